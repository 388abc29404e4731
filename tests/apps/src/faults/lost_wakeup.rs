// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: three tasks, one of them awaited, look at a flag, return Pending and leave no waker. Twin:
//! they leave it with the flag, which is set each second; beside one that waits for ever and can be
//! aborted. KIND `forever`: only one that waits for ever, detached.
use crate::common;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::time::sleep;

#[derive(Default)]
struct Flag {
    set: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

async fn await_flag(flag: Arc<Flag>, healthy: bool) {
    loop {
        sleep(Duration::from_millis(10)).await;
        poll_fn(|cx| {
            if healthy {
                flag.waiting.lock().expect("waiting").push(cx.waker().clone());
            }
            if flag.set.load(SeqCst) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

async fn raise_flag(flag: Arc<Flag>) {
    loop {
        sleep(Duration::from_millis(1000)).await;
        flag.set.store(true, SeqCst);
        flag.waiting.lock().expect("waiting").drain(..).for_each(Waker::wake);
        sleep(Duration::from_millis(5)).await;
        flag.set.store(false, SeqCst);
    }
}

async fn wait_for_ever() {
    pending::<()>().await;
}

async fn watch_flag(healthy: bool) {
    // The attach comes first: a task that is not polled again would not be seen.
    sleep(Duration::from_millis(common::arg(3, 2000))).await;
    if common::arg(4, String::new()) == "forever" {
        tokio::spawn(wait_for_ever());
        return;
    }
    let flag = Arc::new(Flag::default());
    tokio::spawn(raise_flag(flag.clone()));
    for _ in 0..2 {
        tokio::spawn(await_flag(flag.clone(), healthy));
    }
    let kept = tokio::spawn(wait_for_ever());
    let _ = tokio::spawn(await_flag(flag, healthy)).await;
    kept.abort();
}

pub fn run(healthy: bool) {
    common::run(2, watch_flag(healthy));
}
