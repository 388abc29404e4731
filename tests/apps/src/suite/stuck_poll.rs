// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: one task of a runtime with 4 workers enters a poll that never ends.
//! Usage: stuck_poll [SECONDS=0 (for ever)] [START_AFTER_MS=3000]; with SECONDS the poll ends
//! after that time and the next one starts START_AFTER_MS later.
use crate::common;

use std::hint::black_box;
use std::time::Duration;
use tokio::time::sleep;

async fn solve_forever(seconds: u64, start_after_ms: u64) {
    loop {
        sleep(Duration::from_millis(start_after_ms)).await;
        let mut x = common::mono_ns();
        let end = x + seconds * 1_000_000_000;
        while seconds == 0 || common::mono_ns() < end {
            x = black_box(common::checksum(x));
        }
    }
}

pub fn main() {
    common::run(4, solve_forever(common::arg(1, 0), common::arg(2, 3000)));
}
