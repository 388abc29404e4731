// SPDX-License-Identifier: LGPL-2.1-or-later
//! A load that comes and goes. Lines on standard input take turns: the tide rises, and falls.
//! High: a flood of short tasks, each of which ends with its last waker (so a probe of Tokio's
//! `dealloc` sees it, as it seldom does). When it falls, tasks that last end, and others begin.
//! One JSON line tells how many there are then: `sleepers` are polled three times a second, `waiters`
//! never again after their first poll.
//! Usage: tide [detached TASKS]; detached: at the first line TASKS tasks are spawned, all alive at once;
//! each is freed as its second and last poll ends. A JSON line tells that they were.
mod common;

use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;

const SLEEPERS: (usize, usize, usize) = (20, 8, 5); // at first; that end; that begin
const WAITERS: (usize, usize) = (10, 4);
const AT_ONCE: usize = 400; // each 10 ms

static HIGH: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);
static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

async fn sleeper(i: usize) {
    while ENDED.load(Relaxed) <= i {
        sleep(Duration::from_millis(300)).await;
    }
}

async fn waiter(end: Option<Arc<Notify>>) {
    match end {
        Some(end) => end.notified().await,
        None => pending().await,
    }
}

async fn drop_in_the_flood() {
    poll_fn(|cx| {
        WAKERS.lock().expect("wakers").push(cx.waker().clone());
        Poll::Ready(())
    })
    .await
}

async fn flood() {
    loop {
        if HIGH.load(Relaxed) % 2 == 1 {
            for _ in 0..AT_ONCE {
                tokio::spawn(drop_in_the_flood());
            }
        }
        sleep(Duration::from_millis(10)).await;
        WAKERS.lock().expect("wakers").clear();
    }
}

/// The next line; the program stays when there will be none.
async fn line() {
    let read = || {
        if std::io::stdin().read_line(&mut String::new()).unwrap_or(0) == 0 {
            loop {
                std::thread::park();
            }
        }
    };
    let _ = tokio::task::spawn_blocking(read).await;
}

async fn tides() {
    let end = Arc::new(Notify::new());
    line().await;
    for i in 0..WAITERS.0 {
        tokio::spawn(waiter((i < WAITERS.1).then(|| end.clone())));
    }
    HIGH.store(1, Relaxed);
    line().await;
    HIGH.store(2, Relaxed);
    ENDED.store(SLEEPERS.1, Relaxed);
    end.notify_waiters();
    for _ in 0..SLEEPERS.2 {
        tokio::spawn(sleeper(usize::MAX));
    }
    let sleepers = SLEEPERS.0 - SLEEPERS.1 + SLEEPERS.2;
    let waiters = WAITERS.0 - WAITERS.1;
    let count = format!("\"sleepers\":{sleepers},\"waiters\":{waiters}");
    common::say(&format!("{{\"low_ns\":{},{count}}}", common::mono_ns()));
    loop {
        line().await;
        HIGH.fetch_add(1, Relaxed);
    }
}

/// Larger than the other tasks, so that the linker cannot fold its code and theirs into one.
async fn yield_once() {
    let counts = black_box([1; 8]);
    yield_now().await;
    ENDED.fetch_add(black_box(counts)[0], Relaxed);
}

async fn detached(tasks: usize) {
    line().await;
    for _ in 0..tasks {
        tokio::spawn(yield_once());
    }
    while ENDED.load(Relaxed) < tasks {
        sleep(Duration::from_millis(10)).await;
    }
    common::say(&format!("{{\"tasks\":{tasks}}}"));
    pending().await
}

fn main() {
    common::limit_life();
    let (tasks, runtime) = (common::arg(2, 0), common::runtime(2));
    if tasks > 0 {
        common::ready();
        return runtime.block_on(detached(tasks));
    }
    runtime.block_on(async {
        for i in 0..SLEEPERS.0 {
            tokio::spawn(sleeper(i));
        }
        tokio::spawn(flood());
        common::ready();
        tides().await
    });
}
