// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: 100 sensors, woken 50 times a second each, are polled by whichever worker is at the timer.
//! Twin: each half of them lives on a thread of its own.
use crate::common;
use std::hint::black_box;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::time::interval;

const SENSORS: u64 = 100;

async fn read_sensor(n: u64) {
    let mut tick = interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        black_box(common::checksum(n));
    }
}

async fn sensors(which: std::ops::Range<u64>) {
    for n in which {
        tokio::time::sleep(Duration::from_micros(190)).await;
        tokio::spawn(read_sensor(n));
    }
    std::future::pending::<()>().await
}

fn shard(which: std::ops::Range<u64>) {
    let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
    rt.block_on(sensors(which));
}

pub fn run(healthy: bool) {
    if !healthy {
        return common::run(2, sensors(0..SENSORS));
    }
    common::limit_life();
    common::ready();
    let other = std::thread::spawn(|| shard(0..SENSORS / 2));
    shard(SENSORS / 2..SENSORS);
    other.join().expect("shard");
}
