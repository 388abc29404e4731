// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: a task runs the executor of the crate futures inside its poll to wait for an answer. Twin:
//! it awaits the answer; where it has to block, it does so below block_in_place or on a thread of
//! the blocking pool.
use crate::common;
use std::hint::black_box;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::sleep;

/// Takes 30 ms: long enough for a stack.
async fn ask_rate() -> u64 {
    sleep(Duration::from_millis(30)).await;
    7
}

async fn convert_money() {
    loop {
        sleep(Duration::from_millis(50)).await;
        black_box(futures_executor::block_on(ask_rate()));
    }
}

async fn convert_money_well() {
    loop {
        sleep(Duration::from_millis(50)).await;
        black_box(ask_rate().await);
        black_box(block_in_place(|| Handle::current().block_on(ask_rate())));
        black_box(spawn_blocking(|| Handle::current().block_on(ask_rate())).await.expect("rate"));
    }
}

async fn bank(healthy: bool) {
    if healthy {
        tokio::spawn(convert_money_well());
    } else {
        tokio::spawn(convert_money());
    }
}

pub fn run(healthy: bool) {
    common::run(4, bank(healthy));
}
