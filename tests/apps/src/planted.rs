// SPDX-License-Identifier: LGPL-2.1-or-later
//! Ground truth for durations: polls of exactly MS milliseconds, measured inside the poll.
//! Usage: planted [KIND=sleep] [MS[,MS...]=10,100,1000] [COUNT=10] [GAP_MS=500] [WORKERS=2] [HOT=0]
//! KIND is sleep, burn (MS of CPU time) or futex. HOT tasks call yield_now in a loop beside; with hot-sleep, hot-burn
//! or hot-futex it is one of these that does it. A line on standard input makes them wait for the next.
//! The lengths take turns; a plain thread prints one JSON line for each poll after its end.
mod common;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::sleep;

static PAUSED: AtomicBool = AtomicBool::new(false);

struct Poll {
    ms: u64,
    start_ns: u64,
    end_ns: u64,
    task: u64,
    tid: i64,
}

async fn planted_sleep(list: Vec<u64>, gap: Duration, tx: Sender<Poll>) {
    for ms in list {
        sleep(gap).await;
        let start_ns = common::mono_ns();
        sleep_until(start_ns + ms * 1_000_000);
        send(ms, start_ns, &tx);
    }
}

async fn planted_burn(list: Vec<u64>, gap: Duration, tx: Sender<Poll>) {
    for ms in list {
        sleep(gap).await;
        let start_ns = common::mono_ns();
        burn(ms);
        send(ms, start_ns, &tx);
    }
}

async fn planted_futex(list: Vec<u64>, gap: Duration, tx: Sender<Poll>) {
    for ms in list {
        sleep(gap).await;
        let start_ns = common::mono_ns();
        park_until(start_ns + ms * 1_000_000);
        send(ms, start_ns, &tx);
    }
}

/// A hot loop, one of whose polls is long now and then.
async fn hot(list: Vec<u64>, gap: Duration, kind: &'static str, tx: Option<Sender<Poll>>) {
    let (mut list, mut next_ns) = (list.into_iter(), common::mono_ns() + gap.as_nanos() as u64);
    for polls in 1u64.. {
        yield_now().await;
        if polls % 256 != 0 {
            continue;
        }
        while PAUSED.load(Relaxed) {
            sleep(Duration::from_millis(200)).await;
        }
        let (Some(tx), start_ns) = (&tx, common::mono_ns()) else { continue };
        if start_ns < next_ns {
            continue;
        }
        let Some(ms) = list.next() else { continue };
        match kind {
            "hot-burn" => burn(ms),
            "hot-futex" => park_until(start_ns + ms * 1_000_000),
            _ => sleep_until(start_ns + ms * 1_000_000),
        }
        send(ms, start_ns, tx);
        next_ns = common::mono_ns() + gap.as_nanos() as u64;
    }
}

/// Computes for so long: time that a busy machine gave to others is not in it.
#[inline(never)]
fn burn(ms: u64) {
    let end = cpu_ns() + ms * 1_000_000;
    let mut x = 1;
    while cpu_ns() < end {
        x = common::checksum(x);
    }
}

fn cpu_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

fn park_until(ns: u64) {
    loop {
        let now = common::mono_ns();
        if now >= ns {
            return;
        }
        std::thread::park_timeout(Duration::from_nanos(ns - now));
    }
}

fn pause_on_input() {
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap_or(0) > 0 {
        let paused = !PAUSED.fetch_xor(true, Relaxed);
        common::say(&format!("{{\"paused\":{paused}}}"));
    }
}

fn sleep_until(ns: u64) {
    let (tv_sec, tv_nsec) = ((ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64);
    let ts = libc::timespec { tv_sec, tv_nsec };
    let (clock, flags, rest) = (libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, std::ptr::null_mut());
    while unsafe { libc::clock_nanosleep(clock, flags, &ts, rest) } != 0 {}
}

fn send(ms: u64, start_ns: u64, tx: &Sender<Poll>) {
    let end_ns = common::mono_ns();
    let task = tokio::task::id().to_string().parse().expect("task id");
    let _ = tx.send(Poll { ms, start_ns, end_ns, task, tid: common::tid() });
}

fn print(kind: &str, rx: Receiver<Poll>) {
    for p in rx {
        let when = format!("\"start_ns\":{},\"end_ns\":{}", p.start_ns, p.end_ns);
        let who = format!("\"task\":{},\"tid\":{}", p.task, p.tid);
        common::say(&format!("{{\"kind\":\"{kind}\",\"ms\":{},{when},{who}}}", p.ms));
    }
    common::say("{\"done\":true}");
}

fn main() {
    common::limit_life();
    let kind = common::arg(1, "sleep".to_string());
    let lengths = common::arg(2, "10,100,1000".to_string());
    let lengths = lengths.split(',').map(|s| s.parse::<u64>().expect("milliseconds"));
    let list = lengths.cycle().take(common::arg(3, 10)).collect();
    let gap = Duration::from_millis(common::arg(4, 500));
    let (tx, rx) = channel();
    common::runtime(common::arg(5, 2)).block_on(async move {
        common::work_beside().await;
        common::ready();
        let hot_tasks: u64 = common::arg(6, 0);
        for _ in 0..hot_tasks {
            tokio::spawn(hot(Vec::new(), gap, "", None));
        }
        std::thread::spawn(pause_on_input);
        match kind.as_str() {
            "hot-sleep" => drop(tokio::spawn(hot(list, gap, "hot-sleep", Some(tx)))),
            "hot-burn" => drop(tokio::spawn(hot(list, gap, "hot-burn", Some(tx)))),
            "hot-futex" => drop(tokio::spawn(hot(list, gap, "hot-futex", Some(tx)))),
            "futex" => drop(tokio::spawn(planted_futex(list, gap, tx))),
            "burn" => drop(tokio::spawn(planted_burn(list, gap, tx))),
            _ => drop(tokio::spawn(planted_sleep(list, gap, tx))),
        }
        std::thread::spawn(move || print(&kind, rx));
        std::future::pending::<()>().await
    });
}
