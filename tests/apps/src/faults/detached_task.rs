// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: each of 50 requests a second spawns a task that looks for updates for ever; nobody has its
//! handle, nobody ends it. Twin: it ends with its request. KIND `panics`: of ten tasks a second that
//! panic nobody has the handle; twin: it is awaited, and a task that catches its panics goes on.
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

async fn send_receipt() {
    sleep(Duration::from_millis(5)).await;
    panic!("no printer");
}

async fn send_safely() {
    loop {
        sleep(Duration::from_millis(100)).await;
        std::hint::black_box(std::panic::catch_unwind(|| panic!("no paper")).is_err());
    }
}

async fn sales(healthy: bool) {
    std::panic::set_hook(Box::new(|_| ()));
    if healthy {
        tokio::spawn(send_safely());
    }
    loop {
        sleep(Duration::from_millis(100)).await;
        let receipt = tokio::spawn(send_receipt());
        if healthy {
            std::hint::black_box(receipt.await.is_err());
        }
    }
}

pub fn run(healthy: bool, kind: &str) {
    match kind {
        "panics" => common::run(2, sales(healthy)),
        _ => common::run(2, requests(healthy)),
    }
}
