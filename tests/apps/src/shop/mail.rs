// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mailings: 40 000 mails a campaign. Fault (task-explosion): each gets a task at once, 4 000 a
//! second, and waits there for the mail server's rate limit.
use crate::Shop;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, sleep_until, Instant};

const MAILS: u64 = 40_000;

async fn send_mail(turn: Instant) {
    sleep_until(turn).await;
}

pub async fn campaigns(shop: Arc<Shop>) {
    sleep(Duration::from_secs(1)).await;
    loop {
        match shop.healthy {
            true => bounded_campaign().await,
            false => campaign().await,
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// The limit is lifted at the end: then all that wait go out within three seconds.
async fn campaign() {
    let start = Instant::now();
    let mut tick = interval(Duration::from_millis(10));
    for sent in 0..MAILS {
        if sent % 40 == 0 {
            tick.tick().await;
        }
        let turn = start + Duration::from_millis(10_000 + 3_000 * sent / MAILS);
        tokio::spawn(send_mail(turn));
    }
    sleep_until(start + Duration::from_secs(13)).await;
}

async fn bounded_campaign() {
    let mut live = JoinSet::new();
    for _ in 0..MAILS {
        while live.len() >= 100 {
            live.join_next().await;
        }
        live.spawn(send_mail(Instant::now() + Duration::from_millis(40)));
    }
    while live.join_next().await.is_some() {}
}
