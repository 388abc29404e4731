// SPDX-License-Identifier: LGPL-2.1-or-later
//! Healthy twin of leaked_join_handle: the same tasks, their results taken from a JoinSet.
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

async fn write_audit_entry(n: u64) -> [u64; 64] {
    sleep(Duration::from_millis(5)).await;
    [n; 64]
}

async fn audit() {
    let mut entries = JoinSet::new();
    for n in 0.. {
        sleep(Duration::from_millis(10)).await;
        entries.spawn(write_audit_entry(n));
        while entries.len() > 4 {
            black_box(entries.join_next().await);
        }
    }
}

pub fn main() {
    common::run(2, audit());
}
