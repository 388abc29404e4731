// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: two tasks clone and drop one Arc for each of many small items. Twin: they borrow it.
use crate::{common, rates};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

async fn convert_prices(table: Arc<Vec<u64>>, healthy: bool) {
    loop {
        rates::convert_for_a_turn(&table, healthy);
        sleep(Duration::from_millis(1)).await;
    }
}

async fn exchange(healthy: bool) {
    let table = rates::rates();
    for _ in 0..2 {
        tokio::spawn(convert_prices(table.clone(), healthy));
    }
}

pub fn run(healthy: bool) {
    common::run(2, exchange(healthy));
}
