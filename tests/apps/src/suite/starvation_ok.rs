// SPDX-License-Identifier: LGPL-2.1-or-later
//! Healthy twin of starvation: the same 100 x 3 ms in each batch, in the blocking pool, one at a
//! time, so that the workers stay free.
use crate::common;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, JoinSet};
use tokio::time::{interval, MissedTickBehavior};

async fn price_position(room: Arc<Semaphore>) {
    let _permit = room.acquire().await.expect("semaphore");
    let price = spawn_blocking(|| black_box(common::burn(Duration::from_millis(3))));
    price.await.expect("blocking task");
}

async fn price_portfolio() {
    let room = Arc::new(Semaphore::new(1));
    let mut tick = interval(Duration::from_millis(600));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let mut batch = JoinSet::new();
        for _ in 0..100 {
            batch.spawn(price_position(room.clone()));
        }
        while batch.join_next().await.is_some() {}
    }
}

pub fn main() {
    common::run(2, price_portfolio());
}
