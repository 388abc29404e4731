// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tokio, its multi-thread scheduler.
use std::future::Future;

pub use tokio::io::{AsyncReadExt as ReadExt, AsyncWriteExt as WriteExt};
pub use tokio::net::{TcpListener, TcpStream};
pub use tokio::task::JoinHandle;
pub use tokio::time::sleep;

pub fn block_on(future: impl Future<Output = ()>, workers: usize) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().expect("runtime").block_on(future);
}

pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}

pub async fn join<T>(task: JoinHandle<T>) -> T {
    task.await.expect("no panic")
}

/// It goes on without its handle.
pub fn detach<T>(task: JoinHandle<T>) {
    drop(task);
}
