// SPDX-License-Identifier: LGPL-2.1-or-later
//! Workloads to watch, each counted by itself.
//! Usage: load yield|pingpong|storm|idle|web
//!
//! Says "ready" (web: and its address), then a JSON line a quarter of a second: operations and CPU
//! time so far, and when. Operations: polls that yield, messages there and back, tasks that were
//! spawned and have ended, timers that fired, requests answered.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{yield_now, JoinSet};

/// A cache line each, so that counting costs the same on any number of workers.
#[repr(align(128))]
struct Counter(AtomicU64);

static COUNTERS: [Counter; 64] = [const { Counter(AtomicU64::new(0)) }; 64];

fn count(n: usize) {
    COUNTERS[n % COUNTERS.len()].0.fetch_add(1, Relaxed);
}

/// A task as the peer wants it to be spawned, so that it sees all it can.
fn go(future: impl std::future::Future<Output = ()> + Send + 'static) {
    #[cfg(feature = "dial9")]
    dial9::spawn(future);
    #[cfg(not(feature = "dial9"))]
    tokio::spawn(future);
}

async fn spin(n: usize) {
    loop {
        count(n);
        yield_now().await;
    }
}

async fn ping(n: usize) {
    let (to, mut there) = mpsc::channel::<u64>(1);
    let (back, mut here) = mpsc::channel::<u64>(1);
    go(async move {
        while let Some(v) = there.recv().await {
            if back.send(v + 1).await.is_err() {
                return;
            }
        }
    });
    let mut v = 0;
    loop {
        if to.send(v).await.is_err() {
            return;
        }
        match here.recv().await {
            Some(next) => v = next,
            None => return,
        }
        count(n);
    }
}

async fn storm(n: usize) {
    loop {
        let mut set = JoinSet::new();
        for _ in 0..100 {
            set.spawn(async move { count(n) });
        }
        while set.join_next().await.is_some() {}
    }
}

async fn idle(n: usize) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        count(n);
    }
}

async fn web() {
    let app = axum::Router::new().route(
        "/",
        axum::routing::get(|| async {
            count(0);
            "hello"
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("ready {}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("serve");
}

fn clock_ns(id: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(id, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// A thread of its own: what is counted shall not wait for what is watched.
fn report() {
    std::thread::spawn(|| {
        let mut out = std::io::stdout();
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let ops: u64 = COUNTERS.iter().map(|c| c.0.load(Relaxed)).sum();
            let line = format!(
                "{{\"ops\":{ops},\"time_ns\":{},\"cpu_ns\":{}}}\n",
                clock_ns(libc::CLOCK_MONOTONIC),
                clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
            );
            if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                std::process::exit(0);
            }
        }
    });
}

async fn body() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let tasks = match mode.as_str() {
        "yield" | "pingpong" => 100,
        "storm" => 4,
        "idle" => 10_000,
        _ => 0,
    };
    for n in 0..tasks {
        match mode.as_str() {
            "yield" => go(spin(n)),
            "pingpong" => go(ping(n)),
            "storm" => go(storm(n)),
            _ => go(idle(n)),
        }
    }
    report();
    if tasks == 0 {
        return web().await;
    }
    println!("ready");
    std::future::pending::<()>().await;
}

#[cfg(feature = "dial9")]
#[dial9::main(config = || dial9::recorder_from_env_with(|t| { t.worker_threads(2); }))]
async fn main() {
    body().await;
}

#[cfg(not(feature = "dial9"))]
fn main() {
    #[cfg(feature = "console")]
    console_subscriber::init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(body());
}
