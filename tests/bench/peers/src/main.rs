// SPDX-License-Identifier: LGPL-2.1-or-later
//! Workloads to watch, each counted by itself.
//! Usage: load yield|pingpong|storm|idle|web [SECONDS]
//!        load paced ADDRESS CONNECTIONS RATE SECONDS    (requests to web; see paced.rs)
//!
//! Says "ready" (web: and its address), then a JSON line a quarter of a second: operations and CPU
//! time so far, and when. Operations: polls that yield, messages there and back, tasks that were
//! spawned and have ended, timers that fired, requests answered. A storm ends after SECONDS.

mod count;
mod paced;

use count::{count, report};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{yield_now, JoinSet};

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
    let seconds = std::env::args().nth(2).map_or(u64::MAX, |s| s.parse().expect("seconds"));
    let begin = std::time::Instant::now();

    while begin.elapsed().as_secs() < seconds {
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
    let args: Vec<String> = std::env::args().collect();
    if let [_, mode, address, connections, rate, seconds] = &args[..] {
        assert_eq!(mode, "paced");
        let number = |text: &String| text.parse().expect("a number");
        return paced::run(address.clone(), number(connections), number(rate), number(seconds).into());
    }
    #[cfg(feature = "console")]
    console_subscriber::init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(body());
}
