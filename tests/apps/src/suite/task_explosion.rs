// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: 4 000 mails a second are spawned without a bound, the provider takes 500 a second;
//! each task waits on a timer for its turn. 10 000 live tasks after 3 s, and rising for ever.
use crate::common;

use std::time::Duration;
use tokio::time::{interval, sleep_until, Instant};

async fn send_mail(turn: Instant) {
    sleep_until(turn).await;
}

async fn mail_everyone() {
    let start = Instant::now();
    let mut sent = 0;
    let mut tick = interval(Duration::from_millis(10));
    loop {
        tick.tick().await;
        for _ in 0..40 {
            sent += 1;
            tokio::spawn(send_mail(start + Duration::from_millis(2 * sent)));
        }
    }
}

pub fn main() {
    common::run(2, mail_everyone());
}
