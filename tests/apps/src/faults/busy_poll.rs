// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: a task asks for a flag again and again and wakes itself to be asked next. Twin: it waits
//! to be notified.
use crate::common;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::Notify;

async fn wait_for_flag(flag: Arc<AtomicBool>) {
    poll_fn(|cx| {
        if flag.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn wait_for_notice(notice: Arc<Notify>) {
    notice.notified().await
}

async fn wait(healthy: bool) {
    if healthy {
        wait_for_notice(Arc::new(Notify::new())).await;
    } else {
        wait_for_flag(Arc::new(AtomicBool::new(false))).await;
    }
}

pub fn run(healthy: bool) {
    common::run(2, wait(healthy));
}
