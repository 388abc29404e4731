// SPDX-License-Identifier: LGPL-2.1-or-later
//! smol, its global executor.
use std::future::Future;
use std::time::Duration;

pub use smol::io::{AsyncReadExt as ReadExt, AsyncWriteExt as WriteExt};
pub use smol::net::{TcpListener, TcpStream};
pub use smol::Task as JoinHandle;

pub async fn sleep(duration: Duration) {
    smol::Timer::after(duration).await;
}

pub fn block_on(future: impl Future<Output = ()>, workers: usize) {
    std::env::set_var("SMOL_THREADS", workers.to_string());
    smol::block_on(future);
}

pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    smol::spawn(future)
}

pub async fn join<T>(task: JoinHandle<T>) -> T {
    task.await
}

pub fn detach<T>(task: JoinHandle<T>) {
    task.detach();
}
