// SPDX-License-Identifier: LGPL-2.1-or-later
//! Ground truth for exact counts: TASKS tasks complete after exactly POLLS polls each.
//! Usage: churn [TASKS=10000] [POLLS=10] [wait]; with "wait" the work begins at a line on
//! standard input. Afterwards one JSON line holds the totals, counted inside the tasks.
use crate::common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::task::{yield_now, JoinSet};

/// Tasks alive at once.
const LIVE: usize = 1000;

static POLLS: AtomicU64 = AtomicU64::new(0);
static TASKS: AtomicU64 = AtomicU64::new(0);

async fn take_turns(polls: u64) {
    for _ in 1..polls {
        POLLS.fetch_add(1, Relaxed);
        yield_now().await;
    }
    POLLS.fetch_add(1, Relaxed);
    TASKS.fetch_add(1, Relaxed);
}

async fn churn(tasks: u64, polls: u64) {
    let mut live = JoinSet::new();
    for _ in 0..tasks {
        if live.len() >= LIVE {
            live.join_next().await;
        }
        live.spawn(take_turns(polls));
    }
    while live.join_next().await.is_some() {}
}

pub fn main() {
    let (tasks, polls) = (common::arg(1, 10_000), common::arg(2, 10));
    common::limit_life();
    let rt = common::runtime(2);
    common::ready();
    if std::env::args().nth(3).is_some_and(|a| a == "wait") {
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    let start = common::mono_ns();
    rt.block_on(churn(tasks, polls));
    let end = common::mono_ns();
    let (t, p) = (TASKS.load(Relaxed), POLLS.load(Relaxed));
    let span = format!("\"start_ns\":{start},\"end_ns\":{end}");
    common::say(&format!("{{\"tasks\":{t},\"polls\":{p},{span}}}"));
    rt.block_on(std::future::pending::<()>());
}
