// SPDX-License-Identifier: LGPL-2.1-or-later
//! The same work, done right.
use crate::base::{burn, mono_ns};
use crate::rt;
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

pub async fn fetch_from_slow_disk() {
    for ms in [20, 150].into_iter().cycle() {
        rt::sleep(Duration::from_millis(200)).await;
        rt::unblock(move || std::thread::sleep(Duration::from_millis(ms))).await;
    }
}

async fn burn_in_chunks(ms: u64, chunk: u64) {
    let end = mono_ns() + ms * 1_000_000;
    while mono_ns() < end {
        black_box(burn(Duration::from_millis(chunk)));
        rt::yield_now().await;
    }
}

pub async fn resize_images() {
    for ms in [30, 120].into_iter().cycle() {
        rt::sleep(Duration::from_millis(250)).await;
        burn_in_chunks(ms, 1).await;
    }
}

pub async fn solve_forever(start_after_ms: u64) {
    rt::sleep(Duration::from_millis(start_after_ms)).await;
    loop {
        burn_in_chunks(1000, 2).await;
    }
}

async fn price_position() {
    rt::unblock(|| black_box(burn(Duration::from_millis(3)))).await;
}

pub async fn price_portfolio() {
    loop {
        rt::sleep(Duration::from_millis(300)).await;
        for _ in 0..100 {
            rt::spawn(price_position()).await;
        }
    }
}

async fn send_mail() {
    rt::sleep(Duration::from_millis(40)).await;
}

pub async fn mail_everyone() {
    let mut live = VecDeque::new();
    loop {
        if live.len() >= 100 {
            if let Some(oldest) = live.pop_front() {
                let oldest: rt::Task<()> = oldest;
                oldest.await;
            }
        }
        live.push_back(rt::spawn(send_mail()));
    }
}

async fn read_sensor(tx: rt::channel::Sender<[u64; 3]>) {
    loop {
        rt::sleep(Duration::from_millis(5)).await;
        for n in 0..40 {
            let _ = tx.send([n; 3]).await;
        }
    }
}

/// A bounded channel that stays full, and an unbounded one that is emptied in bursts.
pub async fn measure() {
    let (full, _rest) = rt::channel::bounded(20_000);
    rt::detach(rt::spawn(read_sensor(full.clone())));
    rt::detach(rt::spawn(read_sensor(full)));
    let (tx, rx) = rt::channel::unbounded();
    rt::detach(rt::spawn(read_sensor(tx.clone())));
    rt::detach(rt::spawn(read_sensor(tx)));
    loop {
        rt::sleep(Duration::from_millis(1500)).await;
        while rx.try_recv().is_ok() {}
    }
}

async fn write_audit_entry(n: u64) -> [u64; 64] {
    rt::sleep(Duration::from_millis(5)).await;
    [n; 64]
}

pub async fn audit() {
    let mut entries = VecDeque::new();
    for n in 0.. {
        rt::sleep(Duration::from_millis(10)).await;
        entries.push_back(rt::spawn(write_audit_entry(n)));
        if entries.len() > 4 {
            if let Some(oldest) = entries.pop_front() {
                black_box(oldest.await);
            }
        }
    }
}
