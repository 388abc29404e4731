// SPDX-License-Identifier: LGPL-2.1-or-later
//! TASKS live tasks that mostly wait; their timers make RATE polls a second in all.
//! Usage: idle10k [TASKS=10000] [RATE=50000] [WORKERS=2]; one JSON line a second.
use crate::common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{sleep_until, Instant};

static POLLS: AtomicU64 = AtomicU64::new(0);

/// One poll a period: the timer that fired and the next one's start share it.
async fn session(first: Instant, period: Duration) {
    let mut next = first;
    loop {
        POLLS.fetch_add(1, Relaxed);
        sleep_until(next).await;
        next += period;
    }
}

async fn report() {
    let (mut polls, mut time) = (0, common::mono_ns());
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (p, t) = (POLLS.load(Relaxed), common::mono_ns());
        let rate = (p - polls) as f64 * 1e9 / (t - time) as f64;
        common::say(&format!("{{\"mono_ns\":{t},\"polls\":{},\"rate\":{rate:.0}}}", p - polls));
        (polls, time) = (p, t);
    }
}

pub fn main() {
    let tasks: u32 = common::arg(1, 10_000);
    let rate: u32 = common::arg(2, 50_000);
    common::limit_life();
    common::runtime(common::arg(3, 2)).block_on(async {
        let period = Duration::from_secs(1) * tasks / rate;
        let start = Instant::now();
        for n in 0..tasks {
            tokio::spawn(session(start + period * n / tasks, period));
        }
        common::ready();
        report().await;
    });
}
