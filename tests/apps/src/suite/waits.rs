// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tasks that wait for ever: for each kind of lock of Tokio, and for what only looks like one. Who
//! has what they wait for never lets go. One JSON line tells where two of the locks are.
//! Usage: waits [circle]; circle: from a line on standard input on, two tasks have a Mutex each and
//! wait for the other's.
use crate::common;

use std::future::{pending, Future};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch, Mutex, Notify, RwLock, Semaphore};
use tokio::time::{sleep, timeout};

async fn keep_ledger(ledger: Arc<Mutex<u64>>) {
    let guard = ledger.lock().await;
    pending::<()>().await;
    drop(guard);
}

async fn write_ledger(ledger: Arc<Mutex<u64>>) {
    *ledger.lock().await += 1;
}

/// The wait is deeper in its future, beside a timer.
async fn write_ledger_soon(ledger: Arc<Mutex<u64>>) {
    let _ = timeout(Duration::from_secs(3600), ledger.lock()).await;
}

async fn read_prices(prices: Arc<RwLock<u64>>) {
    let guard = prices.read().await;
    pending::<()>().await;
    drop(guard);
}

async fn set_prices(prices: Arc<RwLock<u64>>) {
    *prices.write().await += 1;
}

async fn use_slots(slots: Arc<Semaphore>) {
    let permit = slots.acquire_many(3).await;
    pending::<()>().await;
    drop(permit);
}

async fn upload(slots: Arc<Semaphore>) {
    let _ = slots.acquire_many(2).await;
}

async fn send_order(orders: mpsc::Sender<u64>) {
    for n in 0.. {
        let _ = orders.send(n).await;
    }
}

/// Queued at a lock once, and now waits for something else: its node is still in its memory.
async fn had_drawer(drawer: Arc<Mutex<u64>>) {
    *drawer.lock().await += 1;
    pending::<()>().await;
}

async fn lend_drawer(drawer: Arc<Mutex<u64>>) {
    let guard = drawer.lock().await;
    sleep(Duration::from_millis(20)).await;
    drop(guard);
    pending::<()>().await;
}

async fn await_signal(signal: Arc<Notify>) {
    signal.notified().await;
}

async fn await_change(mut changes: watch::Receiver<u64>) {
    let _ = changes.changed().await;
}

async fn transfer(from: Arc<Mutex<u64>>, to: Arc<Mutex<u64>>) {
    let mut less = from.lock().await;
    sleep(Duration::from_millis(20)).await;
    let mut more = to.lock().await;
    *less -= 1;
    *more += 1;
}

/// Shows that the runtime is there.
async fn tick() {
    loop {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn settled<F: Future<Output = ()> + Send + 'static>(task: F) {
    tokio::spawn(task);
    sleep(Duration::from_millis(5)).await;
}

async fn wait_for_all() {
    let (ledger, drawer) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let prices = Arc::new(RwLock::new(0));
    let slots = Arc::new(Semaphore::new(3));
    let signal = Arc::new(Notify::new());
    let (orders, full) = mpsc::channel(1);
    let (change, changes) = watch::channel(0);

    settled(keep_ledger(ledger.clone())).await;
    for _ in 0..3 {
        settled(write_ledger(ledger.clone())).await;
    }
    settled(write_ledger_soon(ledger.clone())).await;
    settled(read_prices(prices.clone())).await;
    settled(set_prices(prices.clone())).await;
    settled(use_slots(slots.clone())).await;
    settled(upload(slots.clone())).await;
    settled(send_order(orders)).await;
    settled(lend_drawer(drawer.clone())).await;
    settled(had_drawer(drawer)).await;
    for _ in 0..3 {
        settled(await_signal(signal.clone())).await;
        settled(await_change(changes.clone())).await;
    }
    sleep(Duration::from_millis(50)).await;
    common::say(&format!(
        "{{\"ledger\":{},\"slots\":{}}}",
        &*ledger as *const Mutex<u64> as usize, &*slots as *const Semaphore as usize
    ));
    pending::<()>().await;
    drop((full, change));
}

async fn wait_in_a_circle() {
    let (a, b) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));

    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.ok();
    tokio::spawn(transfer(a.clone(), b.clone()));
    settled(transfer(b, a)).await;
    sleep(Duration::from_millis(50)).await;
    common::say("{}");
    pending::<()>().await;
}

pub fn main() {
    let circle = common::arg(1, String::new()) == "circle";

    common::limit_life();
    common::runtime(2).block_on(async {
        common::ready();
        tokio::spawn(tick());
        if circle {
            wait_in_a_circle().await;
        } else {
            wait_for_all().await;
        }
    });
}
