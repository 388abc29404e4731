// SPDX-License-Identifier: LGPL-2.1-or-later
//! Ground truth for durations: polls of exactly MS milliseconds, measured inside the poll.
//! Usage: planted [sleep|burn] [MS[,MS...]=10,100,1000] [COUNT=10] [GAP_MS=500] [WORKERS=2]
//! The lengths take turns; a plain thread prints one JSON line for each poll after its end.
mod common;

use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;
use tokio::time::sleep;

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
        common::burn(Duration::from_millis(ms));
        send(ms, start_ns, &tx);
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
        match kind.as_str() {
            "burn" => drop(tokio::spawn(planted_burn(list, gap, tx))),
            _ => drop(tokio::spawn(planted_sleep(list, gap, tx))),
        }
        std::thread::spawn(move || print(&kind, rx));
        std::future::pending::<()>().await
    });
}
