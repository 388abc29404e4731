// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: a task for each of 10 000 numbers a second. Twin: a task for each batch of 50.
use crate::common;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::interval;

const BATCH: u64 = 50;

async fn add_number(sum: Arc<AtomicU64>, n: u64) {
    sum.fetch_add(n, Ordering::Relaxed);
}

async fn add_batch(sum: Arc<AtomicU64>, numbers: std::ops::Range<u64>) {
    for n in numbers {
        add_number(sum.clone(), n).await;
    }
}

async fn numbers(healthy: bool) {
    let sum = Arc::new(AtomicU64::new(0));
    let mut tick = interval(Duration::from_millis(5));
    for batch in 0.. {
        tick.tick().await;
        if healthy {
            tokio::spawn(add_batch(sum.clone(), batch * BATCH..(batch + 1) * BATCH));
            continue;
        }
        for n in batch * BATCH..(batch + 1) * BATCH {
            tokio::spawn(add_number(sum.clone(), n));
        }
    }
}

pub fn run(healthy: bool) {
    common::run(2, numbers(healthy));
}
