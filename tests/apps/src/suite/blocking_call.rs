// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: an async fn sleeps with std::thread::sleep, 20 ms and 150 ms in turn.
use crate::common;

use std::time::Duration;
use tokio::time::sleep;

async fn fetch_from_slow_disk() {
    for ms in [20, 150].into_iter().cycle() {
        sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(ms));
    }
}

pub fn main() {
    common::run(2, fetch_from_slow_disk());
}
