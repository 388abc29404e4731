// SPDX-License-Identifier: LGPL-2.1-or-later
//! Honest work: a loopback echo service with four clients, a ticker, a pipeline that a plain thread
//! feeds, and the blocking pool at its business.
use crate::base;
use crate::rt::{self, channel, ReadExt, TcpListener, TcpStream, WriteExt};
use std::hint::black_box;
use std::time::Duration;

pub async fn work() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    rt::detach(rt::spawn(accept_loop(listener)));
    for n in 0..4 {
        rt::detach(rt::spawn(client(port, n)));
    }
    rt::detach(rt::spawn(ticker()));
    rt::detach(rt::spawn(reader()));
    let (tx, rx) = channel::bounded(16);
    rt::detach(rt::spawn(consumer(rx)));
    std::thread::Builder::new().name("feeder".into()).spawn(move || feeder(tx)).expect("thread");
}

async fn accept_loop(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        rt::detach(rt::spawn(echo(stream)));
    }
}

async fn echo(mut stream: TcpStream) {
    let mut buf = [0u8; 64];
    while let Ok(n) = stream.read(&mut buf).await {
        if n == 0 || stream.write_all(&buf[..n]).await.is_err() {
            return;
        }
    }
}

async fn client(port: u16, n: u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connect");
    let mut buf = [0u8; 64];
    loop {
        rt::sleep(Duration::from_millis(17 + 5 * n)).await;
        if stream.write_all(b"ping").await.is_err() || stream.read(&mut buf).await.is_err() {
            return;
        }
    }
}

async fn ticker() {
    loop {
        rt::sleep(Duration::from_millis(25)).await;
    }
}

/// What the blocking pool is for must not be reported.
async fn reader() {
    loop {
        rt::unblock(|| std::thread::sleep(Duration::from_millis(60))).await;
        rt::sleep(Duration::from_millis(40)).await;
    }
}

async fn consumer(rx: channel::Receiver<u64>) {
    while let Ok(n) = rx.recv().await {
        black_box(base::checksum(n));
    }
}

fn feeder(tx: channel::Sender<u64>) {
    for n in 0.. {
        std::thread::sleep(Duration::from_millis(20));
        if tx.send_blocking(n).is_err() {
            return;
        }
    }
}
