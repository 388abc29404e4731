// SPDX-License-Identifier: LGPL-2.1-or-later
//! The audit log: one task writes each sale.
//! Fault (leaked-join-handle): the handles are kept "to wait for them at shutdown".
use crate::Shop;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub struct Log {
    lines: Mutex<VecDeque<String>>,
    writers: Mutex<Vec<JoinHandle<usize>>>,
}

impl Log {
    pub fn new() -> Self {
        Log { lines: Mutex::new(VecDeque::new()), writers: Mutex::new(Vec::new()) }
    }
}

async fn write_entry(shop: Arc<Shop>, order: u64, paid: bool) -> usize {
    sleep(Duration::from_millis(2)).await;
    let mut lines = shop.audit.lines.lock().expect("audit log");
    lines.push_back(format!("order {order} paid {paid}"));
    lines.len()
}

pub async fn record(shop: &Arc<Shop>, order: u64, paid: bool) {
    let writer = tokio::spawn(write_entry(shop.clone(), order, paid));
    if shop.healthy {
        writer.await.expect("audit entry");
    } else {
        shop.audit.writers.lock().expect("writers").push(writer);
    }
}

/// Old lines leave memory.
pub async fn compact(shop: Arc<Shop>) {
    loop {
        sleep(Duration::from_millis(100)).await;
        let mut lines = shop.audit.lines.lock().expect("audit log");
        while lines.len() > 1000 {
            lines.pop_front();
        }
    }
}
