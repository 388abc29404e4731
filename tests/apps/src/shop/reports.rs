// SPDX-License-Identifier: LGPL-2.1-or-later
//! Reports. Fault (cpu-bound-poll): the daily one renders for 130 ms on a worker. Fault
//! (stuck-poll): the yearly forecast computes for 1.5 s in one poll.
use crate::{common, Shop};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

#[inline(never)]
fn render_table() -> u64 {
    common::burn(Duration::from_millis(130))
}

#[inline(never)]
fn fit_curve() -> u64 {
    common::burn(Duration::from_millis(1500))
}

pub async fn daily_sales(shop: Arc<Shop>) {
    loop {
        sleep(Duration::from_millis(1500)).await;
        compute(&shop, render_table).await;
    }
}

pub async fn yearly_forecast(shop: Arc<Shop>) {
    loop {
        sleep(Duration::from_millis(4500)).await;
        compute(&shop, fit_curve).await;
    }
}

async fn compute(shop: &Shop, work: fn() -> u64) {
    if !shop.healthy {
        black_box(work());
        return;
    }
    let _room = shop.heavy.acquire().await.expect("semaphore");
    black_box(spawn_blocking(work).await.expect("report"));
}
