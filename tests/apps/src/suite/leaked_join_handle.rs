// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: the handle of each finished task is kept in a list that nobody reads, 100 a second.
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::time::sleep;

async fn write_audit_entry(n: u64) -> [u64; 64] {
    sleep(Duration::from_millis(5)).await;
    [n; 64]
}

async fn audit() {
    let mut handles = Vec::new();
    for n in 0.. {
        sleep(Duration::from_millis(10)).await;
        handles.push(tokio::spawn(write_audit_entry(n)));
    }
    black_box(handles);
}

pub fn main() {
    common::run(2, audit());
}
