// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: two tasks send 8000 readings a second each into an unbounded channel whose receiver takes
//! 1000. Twin: the same through a bounded channel, which stays full at 20 000; and an unbounded one
//! that rises to 15 000 again and again, and is emptied at once each time.
use crate::common;
use std::hint::black_box;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

const ROOM: usize = 20_000;

#[allow(dead_code)] // it is what a message weighs that counts
pub struct Reading {
    pub sensor: u64,
    pub value: f64,
    pub at: Duration,
}

fn reading(sensor: u64) -> Reading {
    Reading { sensor, value: 0.5, at: Duration::from_millis(sensor) }
}

async fn read_sensor(tx: mpsc::UnboundedSender<Reading>) {
    let mut tick = interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        for n in 0..40 {
            let _ = tx.send(reading(n));
        }
    }
}

async fn store_readings(mut rx: mpsc::UnboundedReceiver<Reading>) {
    let mut tick = interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        for _ in 0..5 {
            black_box(rx.recv().await);
        }
    }
}

async fn read_sensor_bounded(tx: mpsc::Sender<Reading>) {
    for n in 0.. {
        let _ = tx.send(reading(n)).await;
    }
}

async fn store_readings_bounded(mut rx: mpsc::Receiver<Reading>) {
    let mut tick = interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        for _ in 0..5 {
            black_box(rx.recv().await);
        }
    }
}

async fn collect_batch(tx: mpsc::UnboundedSender<Reading>) {
    let mut tick = interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        for n in 0..40 {
            let _ = tx.send(reading(n));
        }
    }
}

async fn store_batches(mut rx: mpsc::UnboundedReceiver<Reading>) {
    loop {
        sleep(Duration::from_millis(1900)).await;
        while rx.try_recv().is_ok() {}
    }
}

async fn measure(healthy: bool) {
    let (tx, rx) = mpsc::unbounded_channel();
    if healthy {
        tokio::spawn(store_batches(rx));
        tokio::spawn(collect_batch(tx));
        let (tx, rx) = mpsc::channel(ROOM);
        tokio::spawn(store_readings_bounded(rx));
        tokio::spawn(read_sensor_bounded(tx.clone()));
        tokio::spawn(read_sensor_bounded(tx));
    } else {
        tokio::spawn(store_readings(rx));
        tokio::spawn(read_sensor(tx.clone()));
        tokio::spawn(read_sensor(tx));
    }
}

pub fn run(healthy: bool) {
    common::run(2, measure(healthy));
}
