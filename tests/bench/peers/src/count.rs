// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a load has done so far, and a JSON line about it a quarter of a second: operations, CPU time
//! and when.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A cache line each, so that counting costs the same on any number of workers.
#[repr(align(128))]
struct Counter(AtomicU64);

static COUNTERS: [Counter; 64] = [const { Counter(AtomicU64::new(0)) }; 64];

pub fn count(n: usize) {
    COUNTERS[n % COUNTERS.len()].0.fetch_add(1, Relaxed);
}

fn clock_ns(id: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(id, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// A thread of its own: what is counted shall not wait for what is watched.
pub fn report() {
    std::thread::spawn(|| {
        let mut out = std::io::stdout();
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let ops: u64 = COUNTERS.iter().map(|c| c.0.load(Relaxed)).sum();
            let line = format!(
                "{{\"ops\":{ops},\"time_ns\":{},\"cpu_ns\":{}}}\n",
                clock_ns(libc::CLOCK_MONOTONIC),
                clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
            );
            if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                std::process::exit(0);
            }
        }
    });
}
