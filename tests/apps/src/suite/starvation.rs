// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: every 600 ms a batch of 100 tasks with 3 ms of computing each lands on 2 workers.
//! No poll is long, but whatever becomes ready meanwhile waits up to 150 ms for a worker.
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{interval, MissedTickBehavior};

async fn price_position() {
    black_box(common::burn(Duration::from_millis(3)));
}

async fn price_portfolio() {
    let mut tick = interval(Duration::from_millis(600));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let mut batch = JoinSet::new();
        for _ in 0..100 {
            batch.spawn(price_position());
        }
        while batch.join_next().await.is_some() {}
    }
}

pub fn main() {
    common::run(2, price_portfolio());
}
