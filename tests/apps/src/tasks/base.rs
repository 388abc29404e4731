// SPDX-License-Identifier: LGPL-2.1-or-later
//! The ready line, a life limit, a clock and a CPU burner: as in ../common.rs, which needs Tokio.
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

const LIFE_SECONDS: u32 = 120;

pub fn limit_life() {
    let env = std::env::var("STALLTOP_APP_SECONDS").ok();
    let seconds = env.and_then(|s| s.parse().ok()).unwrap_or(LIFE_SECONDS);
    unsafe { libc::alarm(seconds) };
}

pub fn ready() {
    say(&format!("ready pid={}", std::process::id()));
}

pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

pub fn arg<T: std::str::FromStr>(n: usize, default: T) -> T {
    std::env::args().nth(n).and_then(|s| s.parse().ok()).unwrap_or(default)
}

pub fn mono_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

#[inline(never)]
pub fn checksum(seed: u64) -> u64 {
    let mut x = seed | 1;
    for i in 0..1000u64 {
        x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(i) ^ (x >> 29));
    }
    x
}

#[inline(never)]
pub fn burn(time: Duration) -> u64 {
    let end = mono_ns() + time.as_nanos() as u64;
    let mut x = 1;
    while mono_ns() < end {
        x = checksum(x);
    }
    x
}
