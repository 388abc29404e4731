// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: each of 50 requests a second spawns a task that looks for updates for ever; nobody has its
//! handle, nobody ends it. Twin: it ends with its request.
use crate::common;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

async fn look_for_updates(times: u64) {
    let mut tick = interval(Duration::from_millis(500));
    for _ in 0..times {
        tick.tick().await;
    }
}

async fn requests(healthy: bool) {
    let mut lookers = JoinSet::new();
    loop {
        sleep(Duration::from_millis(20)).await;
        if healthy {
            lookers.spawn(look_for_updates(4));
            while lookers.try_join_next().is_some() {}
        } else {
            drop(tokio::spawn(look_for_updates(u64::MAX)));
        }
    }
}

pub fn run(healthy: bool) {
    common::run(2, requests(healthy));
}
