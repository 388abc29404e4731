// SPDX-License-Identifier: LGPL-2.1-or-later
//! Truths that are counted inside the tasks, and tasks on the thread of block_on.
use crate::{base, rt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Tasks alive at once.
const LIVE: u64 = 1000;

static POLLS: AtomicU64 = AtomicU64::new(0);
static TASKS: AtomicU64 = AtomicU64::new(0);
static FILL: AtomicBool = AtomicBool::new(false);

async fn take_turns(polls: u64) {
    for _ in 1..polls {
        POLLS.fetch_add(1, Relaxed);
        rt::yield_now().await;
    }
    POLLS.fetch_add(1, Relaxed);
    TASKS.fetch_add(1, Relaxed);
}

/// TASKS tasks of exactly POLLS polls, from a line on standard input on; then the counts as JSON.
pub fn churn(tasks: u64, polls: u64) {
    rt::workers(2);
    base::ready();
    let _ = std::io::stdin().read_line(&mut String::new());
    rt::block_on(async move {
        for begin in (0..tasks).step_by(LIVE as usize) {
            let end = tasks.min(begin + LIVE);
            let live: Vec<_> = (begin..end).map(|_| rt::spawn(take_turns(polls))).collect();
            for task in live {
                task.await;
            }
        }
    });
    let (t, p) = (TASKS.load(Relaxed), POLLS.load(Relaxed));
    base::say(&format!("{{\"tasks\":{t},\"polls\":{p}}}"));
    loop {
        std::thread::park();
    }
}

async fn fill(tasks: u64) {
    while !FILL.load(Relaxed) {
        rt::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..tasks {
        rt::detach(rt::spawn(std::future::pending::<()>()));
    }
    base::say(&format!("{{\"queued\":{tasks}}}"));
    std::thread::sleep(Duration::from_secs(5));
}

/// From a line on standard input on TASKS tasks wait for the only worker, for 5 s.
pub fn queued(tasks: u64) {
    rt::workers(1);
    rt::detach(rt::spawn(fill(tasks)));
    base::ready();
    let _ = std::io::stdin().read_line(&mut String::new());
    FILL.store(true, Relaxed);
    loop {
        std::thread::park();
    }
}

async fn hot(sleeps: bool) {
    let mut next = base::mono_ns();
    for polls in 1u64.. {
        rt::yield_now().await;
        if sleeps && polls % 64 == 0 && base::mono_ns() > next {
            std::thread::sleep(Duration::from_millis(20));
            next = base::mono_ns() + 300_000_000;
        }
    }
}

/// Ten tasks that yield in a loop; one of them sleeps 20 ms now and then.
pub fn hot_tasks() {
    rt::workers(2);
    for i in 0..10 {
        rt::detach(rt::spawn(hot(i == 0)));
    }
    base::ready();
    loop {
        std::thread::park();
    }
}

#[cfg(feature = "smol")]
async fn sleep_on_the_main_thread() {
    loop {
        rt::sleep(Duration::from_millis(100)).await;
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// A task that only block_on runs, on the thread that calls it.
#[cfg(feature = "smol")]
pub fn local() {
    rt::workers(1);
    base::ready();
    rt::block_on_local(sleep_on_the_main_thread());
}

#[inline(never)]
fn nap() {
    std::thread::sleep(Duration::from_millis(60));
    std::hint::black_box(()); // no tail call: it has a frame
}

async fn nap_in_the_root_future() {
    rt::detach(rt::spawn(take_turns(1)));
    loop {
        nap();
        rt::sleep(Duration::from_millis(40)).await;
    }
}

/// The root future blocks, on the "main" thread, or on one that is "other" (called "driver").
pub fn root(thread: &str) {
    rt::workers(1);
    base::ready();
    if thread == "main" {
        return rt::block_on(nap_in_the_root_future());
    }
    let driver = std::thread::Builder::new().name("driver".into());
    let driver = driver.spawn(|| rt::block_on(nap_in_the_root_future()));
    driver.expect("thread").join().expect("never");
}
