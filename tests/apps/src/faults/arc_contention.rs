// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: two tasks clone and drop one Arc for each of many small items. Twin: they borrow it.
use crate::common;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const ITEMS: u64 = 1_000;
const TURN: Duration = Duration::from_millis(2);

#[inline(never)]
fn rated(rates: &[u64], item: u64) -> u64 {
    rates[item as usize % rates.len()].wrapping_mul(item ^ 7)
}

/// A batch of items; each has an Arc of its own, or all of them borrow one.
#[inline(never)]
fn convert(rates: &Arc<Vec<u64>>, healthy: bool) -> u64 {
    let mut sum = 0u64;
    for item in 0..ITEMS {
        if healthy {
            sum = sum.wrapping_add(rated(black_box(rates), item));
        } else {
            let mine = Arc::clone(rates);
            sum = sum.wrapping_add(rated(black_box(&mine), item));
        }
    }
    sum
}

async fn convert_prices(rates: Arc<Vec<u64>>, healthy: bool) {
    loop {
        let begin = Instant::now();
        while begin.elapsed() < TURN {
            black_box(convert(&rates, healthy));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn exchange(healthy: bool) {
    let rates = Arc::new((1..100).collect::<Vec<u64>>());
    for _ in 0..2 {
        tokio::spawn(convert_prices(rates.clone(), healthy));
    }
}

pub fn run(healthy: bool) {
    common::run(2, exchange(healthy));
}
