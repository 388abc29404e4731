// SPDX-License-Identifier: LGPL-2.1-or-later
//! turns [ROUNDS]: two task types in turn on one thread, as a scheduler would fire the probes; waits
//! for a line before and after. stalltop's tests watch it.
use std::ffi::CStr;
use std::io::{stdin, stdout, BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use stalltop_sdt as sdt;

sdt::runtime!("turns", "0.1");

static SPAWNED: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);
static RUNTIME: sdt::Runtime =
    sdt::Runtime::new(1, c"turns").alive(sdt::Gauge::between(&SPAWNED, &ENDED));

struct Type {
    name: &'static CStr,
    location: &'static CStr,
}

static TYPES: [Type; 2] = [
    Type {
        name: c"even",
        location: sdt::here!(),
    },
    Type {
        name: c"odd",
        location: sdt::here!(),
    },
];

fn turn(task: u64) {
    let kind = &TYPES[(task % 2) as usize];

    SPAWNED.fetch_add(1, Ordering::Relaxed);
    sdt::task_spawn(&RUNTIME, task, kind.name, kind.location);
    sdt::poll_begin(&RUNTIME, task, kind.name, kind.location);
    sdt::poll_end(&RUNTIME, task, sdt::PENDING);
    sdt::task_wake(&RUNTIME, task);
    sdt::poll_begin(&RUNTIME, task, kind.name, kind.location);
    sdt::poll_end(&RUNTIME, task, sdt::READY);
    sdt::task_complete(&RUNTIME, task);
    ENDED.fetch_add(1, Ordering::Relaxed);
    sdt::task_detach(&RUNTIME, task);
    sdt::task_drop(&RUNTIME, task);
}

fn say_and_wait(word: &str) {
    println!("{word}");
    stdout().flush().unwrap();
    stdin().lock().read_line(&mut String::new()).unwrap();
}

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(1000);

    say_and_wait("ready pid=0");
    sdt::runtime_start(&RUNTIME);
    sdt::worker_start(&RUNTIME, 0);
    for task in 1..=rounds {
        turn(task);
    }
    sdt::worker_stop(&RUNTIME, 0);
    sdt::runtime_stop(&RUNTIME);
    say_and_wait("done");
}
