// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tokio and smol in one process: `mixed apart|waits|crowd`. "apart": each runs tasks of its own.
//! "waits": besides, a task of each blocks in the executor of the other. "crowd": besides, Tokio has
//! five times as many workers as there are CPUs.
#[path = "tasks/base.rs"]
#[allow(dead_code)]
mod base;

use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

async fn tokio_ticks() {
    loop {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

async fn smol_ticks() {
    loop {
        smol::Timer::after(Duration::from_millis(3)).await;
    }
}

/// A Tokio task that waits for smol's timer.
async fn print_invoice() {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        smol::block_on(smol::Timer::after(Duration::from_millis(30)));
    }
}

/// A smol task that waits for Tokio's.
async fn ship_parcel(tokio: Handle) {
    loop {
        smol::Timer::after(Duration::from_millis(50)).await;
        tokio.block_on(async { tokio::time::sleep(Duration::from_millis(30)).await });
    }
}

fn tokio_with(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_time().build().expect("runtime")
}

fn main() {
    let mode: String = base::arg(1, String::new());
    let cpus = std::thread::available_parallelism().expect("CPUs").get();

    base::limit_life();
    std::env::set_var("SMOL_THREADS", "2");
    let tokio = tokio_with(if mode == "crowd" { 5 * cpus } else { 2 });
    for _ in 0..8 * cpus {
        tokio.spawn(tokio_ticks());
    }
    smol::spawn(smol_ticks()).detach();
    match mode.as_str() {
        "waits" => {
            tokio.spawn(print_invoice());
            smol::spawn(ship_parcel(tokio.handle().clone())).detach();
        }
        "apart" | "crowd" => {}
        _ => panic!("usage: mixed apart|waits|crowd"),
    }
    base::ready();
    loop {
        std::thread::park();
    }
}
