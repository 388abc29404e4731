// SPDX-License-Identifier: LGPL-2.1-or-later
//! Healthy twin of stuck_poll: the same endless computation yields every 2 ms.
//! Usage: stuck_poll_ok [SECONDS=0 (for ever)] [START_AFTER_MS=3000]
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::sleep;

async fn solve_forever(seconds: u64, start_after_ms: u64) {
    loop {
        sleep(Duration::from_millis(start_after_ms)).await;
        let end = common::mono_ns() + seconds * 1_000_000_000;
        while seconds == 0 || common::mono_ns() < end {
            black_box(common::burn(Duration::from_millis(2)));
            yield_now().await;
        }
    }
}

pub fn main() {
    common::run(4, solve_forever(common::arg(1, 0), common::arg(2, 3000)));
}
