// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: four times as many workers as CPUs, all of them computing. Twin: as many as CPUs. `bench
//! WORKERS`: the same load with so many, and a JSON line a second of what it achieves.
use crate::common;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::sleep;

async fn shade_tiles(shaded: Arc<AtomicU64>) {
    loop {
        common::burn(Duration::from_micros(800));
        shaded.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

async fn render(tasks: usize) {
    let shaded = Arc::new(AtomicU64::new(0));
    for _ in 0..tasks {
        tokio::spawn(shade_tiles(shaded.clone()));
    }
}

pub fn run(healthy: bool) {
    let cpus = std::thread::available_parallelism().map_or(2, |n| n.get());
    let workers = if healthy { cpus } else { 4 * cpus };
    common::run(workers, render(workers));
}

/// The same work each time, however long it takes: some 0.8 ms of an idle CPU.
fn shade_tile(seed: u64) -> u64 {
    (0..400).fold(seed, |x, _| common::checksum(x))
}

async fn shade_for_ever(shaded: Arc<AtomicU64>) {
    for n in 0.. {
        std::hint::black_box(shade_tile(n));
        shaded.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

/// A tile that somebody waits for, each 5 ms: from the spawn to the end.
async fn preview(waits: Arc<Mutex<Vec<u64>>>) {
    for n in 0.. {
        let begin = Instant::now();
        let tile = tokio::spawn(async move { shade_tile(n) });
        std::hint::black_box(tile.await.expect("tile"));
        waits.lock().expect("lock").push(begin.elapsed().as_micros() as u64);
        sleep(Duration::from_millis(5)).await;
    }
}

pub fn bench(workers: usize) {
    let (shaded, waits) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let rt = common::runtime(workers);

    common::limit_life();
    for _ in 0..16 {
        rt.spawn(shade_for_ever(shaded.clone()));
    }
    rt.spawn(preview(waits.clone()));
    common::ready();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let tiles = shaded.swap(0, Ordering::Relaxed);
        let mut seen = std::mem::take(&mut *waits.lock().expect("lock"));
        seen.sort_unstable();
        let p99 = seen.get(seen.len() * 99 / 100).copied().unwrap_or(0);
        common::say(&format!("{{\"tiles\":{tiles},\"previews\":{},\"p99_us\":{p99}}}", seen.len()));
    }
}
