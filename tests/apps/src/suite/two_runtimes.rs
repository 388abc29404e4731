// SPDX-License-Identifier: LGPL-2.1-or-later
//! Three runtimes in one process: "front" with 2 workers, "batch" with 3, and "cron" on its own
//! thread; each runs tasks of its own kind.
use crate::common;

use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

async fn front_request() {
    loop {
        sleep(Duration::from_millis(5)).await;
    }
}

async fn batch_job() {
    loop {
        sleep(Duration::from_millis(20)).await;
        std::hint::black_box(common::burn(Duration::from_micros(500)));
    }
}

async fn cron_entry() {
    loop {
        sleep(Duration::from_millis(100)).await;
    }
}

fn named(name: &str, workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).thread_name(name).enable_all().build().expect("runtime")
}

fn cron() {
    let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
    rt.block_on(async {
        tokio::spawn(cron_entry());
        std::future::pending::<()>().await
    });
}

pub fn main() {
    common::limit_life();
    let (front, batch) = (named("front", 2), named("batch", 3));
    for _ in 0..8 {
        front.spawn(front_request());
        batch.spawn(batch_job());
    }
    std::thread::Builder::new().name("cron".into()).spawn(cron).expect("thread");
    common::ready();
    front.block_on(std::future::pending::<()>());
}
