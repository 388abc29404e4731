// SPDX-License-Identifier: LGPL-2.1-or-later
//! Healthy twin of blocking_call: the same sleeps run in the blocking pool.
use crate::common;

use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

async fn fetch_from_slow_disk() {
    for ms in [20, 150].into_iter().cycle() {
        sleep(Duration::from_millis(200)).await;
        let read = spawn_blocking(move || std::thread::sleep(Duration::from_millis(ms)));
        read.await.expect("blocking task");
    }
}

pub fn main() {
    common::run(2, fetch_from_slow_disk());
}
