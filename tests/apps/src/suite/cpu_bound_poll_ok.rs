// SPDX-License-Identifier: LGPL-2.1-or-later
//! Healthy twin of cpu_bound_poll: the same work in chunks of 1 ms, with yield_now between.
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::sleep;

async fn resize_images() {
    for ms in [30, 120].into_iter().cycle() {
        sleep(Duration::from_millis(250)).await;
        for _ in 0..ms {
            black_box(common::burn(Duration::from_millis(1)));
            yield_now().await;
        }
    }
}

pub fn main() {
    common::run(2, resize_images());
}
