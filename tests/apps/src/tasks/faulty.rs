// SPDX-License-Identifier: LGPL-2.1-or-later
//! The faults; what each is about is in ../../README.md.
use crate::base::{burn, checksum, mono_ns};
use crate::rt;
use std::hint::black_box;
use std::time::Duration;

pub async fn fetch_from_slow_disk() {
    for ms in [20, 150].into_iter().cycle() {
        rt::sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(ms));
    }
}

pub async fn resize_images() {
    for ms in [30, 120].into_iter().cycle() {
        rt::sleep(Duration::from_millis(250)).await;
        black_box(burn(Duration::from_millis(ms)));
    }
}

pub async fn solve_forever(start_after_ms: u64) {
    rt::sleep(Duration::from_millis(start_after_ms)).await;
    let mut x = mono_ns();
    loop {
        x = black_box(checksum(x));
    }
}

async fn price_position() {
    black_box(burn(Duration::from_millis(3)));
}

pub async fn price_portfolio() {
    loop {
        rt::sleep(Duration::from_millis(300)).await;
        let batch: Vec<_> = (0..100).map(|_| rt::spawn(price_position())).collect();
        for position in batch {
            position.await;
        }
    }
}

async fn send_mail(turn: Duration) {
    rt::sleep(turn).await;
}

pub async fn mail_everyone() {
    let mut sent = 0;
    loop {
        rt::sleep(Duration::from_millis(10)).await;
        for _ in 0..40 {
            sent += 1;
            // Its turn is 2 ms after the last one's; 0.25 ms of these have passed by now.
            rt::detach(rt::spawn(send_mail(Duration::from_micros(1750 * sent))));
        }
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

/// 16 000 messages a second are sent, and 1000 received.
pub async fn measure() {
    let (tx, rx) = rt::channel::unbounded();
    rt::detach(rt::spawn(read_sensor(tx.clone())));
    rt::detach(rt::spawn(read_sensor(tx)));
    loop {
        rt::sleep(Duration::from_millis(5)).await;
        for _ in 0..5 {
            black_box(rx.recv().await.expect("open"));
        }
    }
}

async fn write_audit_entry(n: u64) -> [u64; 64] {
    rt::sleep(Duration::from_millis(5)).await;
    [n; 64]
}

pub async fn audit() {
    let mut handles = Vec::new();
    for n in 0.. {
        rt::sleep(Duration::from_millis(10)).await;
        handles.push(rt::spawn(write_audit_entry(n)));
    }
    black_box(handles);
}
