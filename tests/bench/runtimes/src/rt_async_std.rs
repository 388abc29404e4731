// SPDX-License-Identifier: LGPL-2.1-or-later
//! async-std, its global executor.
use std::future::Future;

pub use async_std::io::{ReadExt, WriteExt};
pub use async_std::net::{TcpListener, TcpStream};
pub use async_std::task::{sleep, JoinHandle};

pub fn block_on(future: impl Future<Output = ()>, workers: usize) {
    std::env::set_var("ASYNC_STD_THREAD_COUNT", workers.to_string());
    async_std::task::block_on(future);
}

pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    async_std::task::spawn(future)
}

pub async fn join<T>(task: JoinHandle<T>) -> T {
    task.await
}

/// It goes on without its handle.
pub fn detach<T>(task: JoinHandle<T>) {
    drop(task);
}
