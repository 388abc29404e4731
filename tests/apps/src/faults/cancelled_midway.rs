// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: 20 orders a second are given 10 ms and then aborted between two steps. Twin: each is told
//! to stop and ends at a place of its own choice.
use crate::common;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

async fn store_order(stop: watch::Receiver<bool>, healthy: bool) {
    for _ in 0..1000 {
        sleep(Duration::from_millis(2)).await;
        if healthy && *stop.borrow() {
            return;
        }
    }
}

async fn orders(healthy: bool) {
    loop {
        let (stop, stopped) = watch::channel(false);
        let order = tokio::spawn(store_order(stopped, healthy));
        sleep(Duration::from_millis(25)).await;
        if healthy {
            let _ = stop.send(true);
        } else {
            order.abort();
        }
        let _ = order.await;
        sleep(Duration::from_millis(25)).await;
    }
}

pub fn run(healthy: bool) {
    common::run(2, orders(healthy));
}
