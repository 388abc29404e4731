// SPDX-License-Identifier: LGPL-2.1-or-later
//! Healthy twin of task_explosion: the same tasks, never more than 100 at once.
use crate::common;

use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, Instant};

async fn send_mail(turn: Instant) {
    sleep_until(turn).await;
}

async fn mail_everyone() {
    let mut live = JoinSet::new();
    loop {
        while live.len() >= 100 {
            live.join_next().await;
        }
        live.spawn(send_mail(Instant::now() + Duration::from_millis(40)));
    }
}

pub fn main() {
    common::run(2, mail_everyone());
}
