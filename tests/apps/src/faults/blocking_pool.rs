// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: 100 pieces of blocking work a second, 40 ms each, for a pool of two threads: they queue.
//! Twin: 25 a second, and never more of them at once than there are threads.
use crate::common;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::interval;

const THREADS: usize = 2;

fn read_archive() {
    std::thread::sleep(Duration::from_millis(40));
}

async fn readers(healthy: bool) {
    let room = Arc::new(Semaphore::new(THREADS));
    let mut tick = interval(Duration::from_millis(if healthy { 40 } else { 10 }));
    loop {
        tick.tick().await;
        if healthy {
            let permit = room.clone().acquire_owned().await.expect("open");
            tokio::spawn(async move {
                let _ = spawn_blocking(read_archive).await;
                drop(permit);
            });
        } else {
            drop(spawn_blocking(read_archive));
        }
    }
}

pub fn run(healthy: bool) {
    common::limit_life();
    let rt = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(THREADS)
        .enable_all()
        .build()
        .expect("runtime");
    rt.block_on(async move {
        common::work_beside().await;
        common::ready();
        tokio::spawn(readers(healthy));
        std::future::pending::<()>().await
    });
}
