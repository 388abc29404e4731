// SPDX-License-Identifier: LGPL-2.1-or-later
//! Work of arc-contention's programs: a batch of many small items that all want the same table.
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ITEMS: u64 = 1_000;
const TURN: Duration = Duration::from_millis(2);

pub fn rates() -> Arc<Vec<u64>> {
    Arc::new((1..100).collect())
}

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

/// Batches, for as long as one poll may last.
pub fn convert_for_a_turn(rates: &Arc<Vec<u64>>, healthy: bool) {
    let begin = Instant::now();
    while begin.elapsed() < TURN {
        black_box(convert(rates, healthy));
    }
}
