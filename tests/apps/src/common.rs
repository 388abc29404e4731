// SPDX-License-Identifier: LGPL-2.1-or-later
//! What every test program needs: the ready line, a life limit, a clock, a CPU burner and honest
//! asynchronous work beside the fault. Uses no Tokio API newer than 1.20.
#![allow(dead_code)]

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

/// Seconds until the kernel ends the program, unless STALLTOP_APP_SECONDS says otherwise.
const LIFE_SECONDS: u32 = 120;

/// alarm(2) ends the program even when no worker can run; it survives exec, not fork.
pub fn limit_life() {
    let env = std::env::var("STALLTOP_APP_SECONDS").ok();
    let seconds = env.and_then(|s| s.parse().ok()).unwrap_or(LIFE_SECONDS);
    unsafe { libc::alarm(seconds) };
}

/// Prints the one line that tests wait for.
pub fn ready() {
    say(&format!("ready pid={}", std::process::id()));
}

/// One line, flushed; a reader that is gone is no reason to stop.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// The n-th argument as a number or word, else the default.
pub fn arg<T: std::str::FromStr>(n: usize, default: T) -> T {
    std::env::args().nth(n).and_then(|s| s.parse().ok()).unwrap_or(default)
}

/// CLOCK_MONOTONIC, the clock of bpf_ktime_get_ns().
pub fn mono_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

pub fn tid() -> i64 {
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// About 2 µs of arithmetic that the compiler cannot remove.
#[inline(never)]
pub fn checksum(seed: u64) -> u64 {
    let mut x = seed | 1;
    for i in 0..1000u64 {
        x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(i) ^ (x >> 29));
    }
    x
}

/// Keeps the CPU for this long, without a system call (the clock is read in the vDSO).
#[inline(never)]
pub fn burn(time: Duration) -> u64 {
    let end = mono_ns() + time.as_nanos() as u64;
    let mut x = 1;
    while mono_ns() < end {
        x = checksum(x);
    }
    x
}

pub fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("runtime")
}

/// Runs the program: beside work, the fault (or its healthy twin), then waits to be killed.
pub fn run<F>(workers: usize, main: F)
where
    F: std::future::Future<Output = ()> + Send + 'static,
{
    limit_life();
    runtime(workers).block_on(async move {
        work_beside().await;
        ready();
        tokio::spawn(main);
        std::future::pending::<()>().await
    });
}

/// A loopback echo service with four clients, a ticker, and a pipeline that a plain thread feeds.
/// The feeder also wakes a worker from outside: without it, a worker that holds a poll alone
/// can leave nobody at the reactor, and the whole program would stand still.
pub async fn work_beside() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(accept_loop(listener));
    for n in 0..4 {
        tokio::spawn(client(port, n));
    }
    tokio::spawn(ticker());
    let (tx, rx) = mpsc::channel(16);
    tokio::spawn(consumer(rx));
    std::thread::Builder::new().name("feeder".into()).spawn(move || feeder(tx)).expect("thread");
}

async fn accept_loop(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(echo(stream));
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
        sleep(Duration::from_millis(17 + 5 * n)).await;
        if stream.write_all(b"ping").await.is_err() || stream.read(&mut buf).await.is_err() {
            return;
        }
    }
}

async fn ticker() {
    let mut tick = interval(Duration::from_millis(25));
    loop {
        tick.tick().await;
    }
}

async fn consumer(mut rx: mpsc::Receiver<u64>) {
    while let Some(n) = rx.recv().await {
        black_box(checksum(n));
    }
}

fn feeder(tx: mpsc::Sender<u64>) {
    for n in 0.. {
        std::thread::sleep(Duration::from_millis(20));
        if tx.blocking_send(n).is_err() {
            return;
        }
    }
}
