// SPDX-License-Identifier: LGPL-2.1-or-later
//! smol, its global executor.
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::future::Future;
use std::time::Duration;

pub use smol::net::TcpStream;
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

pub async fn listen(port: impl Fn(u16), serve: impl Fn(TcpStream)) {
    let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
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
