// SPDX-License-Identifier: LGPL-2.1-or-later
//! The same workloads on the runtime that `rt` stands for, two workers.
//! Usage: runtimes storm|pingpong|timers|parked|echo [TASKS]
//!        runtimes client PORT CONNECTIONS    (the other end of echo: threads, no runtime)
//!
//! Says "ready" (echo: and its port), then what count.rs tells. Operations: tasks that were spawned
//! and have ended, messages there and back, timers that fired, wake-ups, echoes.

#[path = "../../peers/src/count.rs"]
mod count;
mod echo;
#[cfg(feature = "async-std")]
#[path = "rt_async_std.rs"]
mod rt;
#[cfg(feature = "smol")]
#[path = "rt_smol.rs"]
mod rt;
#[cfg(feature = "tokio")]
#[path = "rt_tokio.rs"]
mod rt;

use count::{count, report};
use std::io::{Read, Write};
use std::time::Duration;

const MESSAGE: usize = 64;

async fn storm(n: usize) {
    loop {
        let tasks: Vec<_> = (0..100).map(|_| rt::spawn(async move { count(n) })).collect();
        for task in tasks {
            rt::join(task).await;
        }
    }
}

/// The channel is the same crate's on all of them: what differs is the runtime.
async fn ping(n: usize) {
    let (to, there) = async_channel::bounded::<u64>(1);
    let (back, here) = async_channel::bounded::<u64>(1);
    rt::detach(rt::spawn(async move {
        while let Ok(v) = there.recv().await {
            if back.send(v + 1).await.is_err() {
                return;
            }
        }
    }));
    let mut v = 0;
    while to.send(v).await.is_ok() {
        match here.recv().await {
            Ok(next) => v = next,
            Err(_) => return,
        }
        count(n);
    }
}

async fn timer(n: usize) {
    loop {
        rt::sleep(Duration::from_secs(1)).await;
        count(n);
    }
}

async fn parked(n: usize, wake: async_channel::Receiver<()>) {
    while wake.recv().await.is_ok() {
        count(n);
    }
}

/// Wakes all of them once a second, in small groups.
async fn wake_all(tasks: Vec<async_channel::Sender<()>>) {
    let pause = Duration::from_secs(1) / (tasks.len() as u32 / 100).max(1);

    loop {
        for group in tasks.chunks(100) {
            for task in group {
                let _ = task.try_send(());
            }
            rt::sleep(pause).await;
        }
    }
}

async fn echo() {
    let serve = |mut stream: rt::TcpStream| {
        rt::detach(rt::spawn(async move {
            let mut message = [0; MESSAGE];
            while echo::answer(&mut stream, &mut message).await {
                count(0);
            }
        }));
    };
    echo::listen(|port| println!("ready {port}"), serve).await;
}

fn client(port: u16, connections: usize) {
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connect");
                let mut message = [7; MESSAGE];
                stream.set_nodelay(true).expect("nodelay");
                while stream.write_all(&message).and_then(|()| stream.read_exact(&mut message)).is_ok() {}
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

async fn body(mode: String, tasks: usize) {
    let mut wakers = Vec::new();

    for n in 0..tasks {
        rt::detach(match mode.as_str() {
            "storm" => rt::spawn(storm(n)),
            "pingpong" => rt::spawn(ping(n)),
            "timers" => rt::spawn(timer(n)),
            _ => {
                let (to, wake) = async_channel::bounded(1);
                wakers.push(to);
                rt::spawn(parked(n, wake))
            }
        });
    }
    report();
    if mode == "echo" {
        return echo().await;
    }
    println!("ready");
    if !wakers.is_empty() {
        wake_all(wakers).await;
    }
    std::future::pending::<()>().await;
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize, default| args.get(at).map_or(default, |a| a.parse().expect("a number"));
    let mode = args.get(1).cloned().unwrap_or_default();
    let tasks = match mode.as_str() {
        "client" => return client(number(2, 0) as u16, number(3, 16)),
        "storm" => 4,
        "pingpong" => 100,
        "timers" | "parked" => 10_000,
        "echo" => 0,
        _ => panic!("storm, pingpong, timers, parked, echo or client"),
    };

    rt::block_on(body(mode, number(2, tasks)), 2);
}
