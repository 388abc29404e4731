// SPDX-License-Identifier: LGPL-2.1-or-later
//! The cost of a poll: TASKS tasks call yield_now in a loop on WORKERS workers. With BLOCK_US each
//! poll blocks its worker for so long: the cost of a block.
//! Usage: yieldloop [TASKS=100] [WORKERS=2] [SECONDS=0 (until killed)] [BLOCK_US=0]; one JSON line
//! a second.
use crate::common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;

/// A cache line each, so that counting costs the same on any number of workers.
#[repr(align(128))]
struct Counter(AtomicU64);

async fn spin(counters: Arc<Vec<Counter>>, n: usize, block: Duration) {
    for polls in 1.. {
        counters[n].0.store(polls, Relaxed);
        if !block.is_zero() {
            std::thread::sleep(block);
        }
        yield_now().await;
    }
}

/// CPU time of this process, read at the same moment as the counters.
fn cpu_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

pub fn main() {
    let tasks = common::arg(1, 100);
    let seconds: u64 = common::arg(3, 0);
    let block = Duration::from_micros(common::arg(4, 0));
    common::limit_life();
    let rt = common::runtime(common::arg(2, 2));
    let counters: Arc<Vec<_>> = Arc::new((0..tasks).map(|_| Counter(AtomicU64::new(0))).collect());
    for n in 0..tasks {
        rt.spawn(spin(counters.clone(), n, block));
    }
    common::ready();
    let (mut polls, mut time, mut cpu, mut line) = (0, common::mono_ns(), cpu_ns(), 0);
    while seconds == 0 || line < seconds {
        std::thread::sleep(Duration::from_secs(1));
        let p: u64 = counters.iter().map(|c| c.0.load(Relaxed)).sum();
        let (t, c) = (common::mono_ns(), cpu_ns());
        let rate = (p - polls) as f64 * 1e9 / (t - time) as f64;
        let (polls_now, cpu_now) = (p - polls, c - cpu);
        common::say(&format!(
            "{{\"mono_ns\":{t},\"polls\":{polls_now},\"cpu_ns\":{cpu_now},\"rate\":{rate:.0}}}"
        ));
        (polls, time, cpu, line) = (p, t, c, line + 1);
    }
    std::process::exit(0);
}
