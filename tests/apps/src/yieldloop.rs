// SPDX-License-Identifier: LGPL-2.1-or-later
//! The cost of a poll: TASKS tasks call yield_now in a loop on WORKERS workers.
//! Usage: yieldloop [TASKS=100] [WORKERS=2] [SECONDS=0 (until killed)]; one JSON line a second.
mod common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;

/// A cache line each, so that counting costs the same on any number of workers.
#[repr(align(128))]
struct Counter(AtomicU64);

async fn spin(counters: Arc<Vec<Counter>>, n: usize) {
    for polls in 1.. {
        counters[n].0.store(polls, Relaxed);
        yield_now().await;
    }
}

fn main() {
    let tasks = common::arg(1, 100);
    let seconds: u64 = common::arg(3, 0);
    common::limit_life();
    let rt = common::runtime(common::arg(2, 2));
    let counters: Arc<Vec<_>> = Arc::new((0..tasks).map(|_| Counter(AtomicU64::new(0))).collect());
    for n in 0..tasks {
        rt.spawn(spin(counters.clone(), n));
    }
    common::ready();
    let (mut polls, mut time, mut line) = (0, common::mono_ns(), 0);
    while seconds == 0 || line < seconds {
        std::thread::sleep(Duration::from_secs(1));
        let p: u64 = counters.iter().map(|c| c.0.load(Relaxed)).sum();
        let t = common::mono_ns();
        let rate = (p - polls) as f64 * 1e9 / (t - time) as f64;
        common::say(&format!("{{\"mono_ns\":{t},\"polls\":{},\"rate\":{rate:.0}}}", p - polls));
        (polls, time, line) = (p, t, line + 1);
    }
    std::process::exit(0);
}
