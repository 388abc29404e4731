// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: 2 000 uploads keep a buffer of 10 KiB in their future across an await: 20 MB of tasks.
//! Twin: the buffer is on the heap, and only while there is something in it.
use crate::common;
use std::hint::black_box;
use std::time::Duration;
use tokio::time::sleep;

const UPLOADS: u64 = 2000;

async fn receive_upload(n: u64) {
    let mut buffer = [0u8; 10 * 1024];
    loop {
        sleep(Duration::from_millis(500 + n % 500)).await;
        buffer[n as usize % 1024] += 1;
        black_box(&buffer);
    }
}

async fn receive_upload_boxed(n: u64) {
    loop {
        sleep(Duration::from_millis(500 + n % 500)).await;
        let mut buffer = vec![0u8; 1024];
        buffer[n as usize % 1024] += 1;
        black_box(&buffer);
    }
}

async fn serve(healthy: bool) {
    for n in 0..UPLOADS {
        if healthy {
            tokio::spawn(receive_upload_boxed(n));
        } else {
            tokio::spawn(receive_upload(n));
        }
    }
}

pub fn run(healthy: bool) {
    common::run(2, serve(healthy));
}
