// SPDX-License-Identifier: LGPL-2.1-or-later
//! A healthy program on a Tokio that stalltop does not support.
mod common;

use std::time::Duration;

async fn session() {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn main() {
    common::run(2, session());
}
