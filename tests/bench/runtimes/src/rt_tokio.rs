// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tokio, its multi-thread scheduler.
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use tokio::net::TcpStream;
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

pub async fn listen(port: impl Fn(u16), serve: impl Fn(TcpStream)) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    port(listener.local_addr().expect("an address").port());
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("nodelay");
        serve(stream);
    }
}

/// One message back; false: the other end has gone.
pub async fn echo(stream: &mut TcpStream, message: &mut [u8]) -> bool {
    stream.read_exact(message).await.is_ok() && stream.write_all(message).await.is_ok()
}
