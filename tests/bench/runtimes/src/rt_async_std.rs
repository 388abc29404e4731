// SPDX-License-Identifier: LGPL-2.1-or-later
//! async-std, its global executor.
use async_std::io::{ReadExt, WriteExt};
use std::future::Future;

pub use async_std::net::TcpStream;
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

pub async fn listen(port: impl Fn(u16), serve: impl Fn(TcpStream)) {
    let listener = async_std::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
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
