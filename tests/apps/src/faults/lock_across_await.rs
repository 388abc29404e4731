// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: a task on a thread of its own keeps a std Mutex over an .await of 300 ms, and tasks of the
//! workers take it. Twin: it waits first. KIND `itself`: one poll takes the lock twice, on one of two
//! workers; its twin ends the first guard. `thread`: a plain thread has the lock while it sleeps or
//! computes, and a task that waits has a reference to it.
use crate::common;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::sleep;

#[derive(Default)]
struct Rates {
    euro: Mutex<u64>,
}

async fn refresh_rates(rates: Arc<Rates>, healthy: bool) {
    loop {
        if healthy {
            sleep(Duration::from_millis(300)).await;
            *rates.euro.lock().expect("euro") += 1;
        } else {
            #[allow(clippy::await_holding_lock)]
            let mut euro = rates.euro.lock().expect("euro");
            sleep(Duration::from_millis(300)).await;
            *euro += 1;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn quote_price(rates: Arc<Rates>) {
    loop {
        std::hint::black_box(*rates.euro.lock().expect("euro"));
        sleep(Duration::from_millis(20)).await;
    }
}

fn refresher(rates: Arc<Rates>, healthy: bool) {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let local = LocalSet::new();

    local.spawn_local(refresh_rates(rates, healthy));
    rt.block_on(local);
}

#[inline(never)]
fn total(rates: &Rates) -> u64 {
    *rates.euro.lock().expect("euro")
}

#[inline(never)]
fn add_total(rates: &Rates, healthy: bool) {
    let mut euro = rates.euro.lock().expect("euro");
    *euro += 1;
    if healthy {
        drop(euro);
        std::hint::black_box(total(rates));
    } else {
        *euro += total(rates);
    }
}

async fn settle(rates: Arc<Rates>, healthy: bool) {
    sleep(Duration::from_millis(1000)).await;
    loop {
        add_total(&rates, healthy);
        sleep(Duration::from_millis(20)).await;
    }
}

fn rounding(rates: Arc<Rates>) {
    for n in 0.. {
        let mut euro = rates.euro.lock().expect("euro");
        if n % 2 == 0 {
            std::thread::sleep(Duration::from_millis(60));
        } else {
            common::burn(Duration::from_millis(60));
        }
        *euro += 1;
        drop(euro);
        std::thread::sleep(Duration::from_millis(100));
    }
}

async fn audit(rates: &Rates) {
    loop {
        sleep(Duration::from_millis(150)).await;
        std::hint::black_box(rates);
    }
}

async fn exchange(healthy: bool, kind: String) {
    let rates = Arc::new(Rates::default());

    if kind == "itself" {
        tokio::spawn(settle(rates, healthy));
        return;
    }
    tokio::spawn(quote_price(rates.clone()));
    if kind == "thread" {
        tokio::spawn({
            let rates = rates.clone();
            async move { audit(&rates).await }
        });
        std::thread::spawn(move || rounding(rates));
        return;
    }
    std::thread::spawn(move || refresher(rates, healthy));
}

pub fn run(healthy: bool, kind: String) {
    common::run(2, exchange(healthy, kind));
}
