// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: an async fn computes for 30 ms and 120 ms in turn without yielding.
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::time::sleep;

async fn resize_images() {
    for ms in [30, 120].into_iter().cycle() {
        sleep(Duration::from_millis(250)).await;
        black_box(common::burn(Duration::from_millis(ms)));
    }
}

pub fn main() {
    common::run(2, resize_images());
}
