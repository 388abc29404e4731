// SPDX-License-Identifier: LGPL-2.1-or-later
//! More faults, each beside its healthy twin; what each is about is in ../../README.md.
use crate::base::{burn, checksum};
use crate::rates;
use crate::rt::{self, channel};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn read_archive() {
    std::thread::sleep(ms(40));
}

/// For a pool of two threads, which the honest work beside needs half of the time.
pub async fn read_archives(healthy: bool) {
    let mut started = Vec::new();
    for _ in 0.. {
        rt::sleep(ms(if healthy { 100 } else { 10 })).await;
        let job = rt::unblock(read_archive);
        if healthy {
            job.await;
        } else {
            started.push(job);
        }
    }
    black_box(started);
}

/// Takes 30 ms: long enough for a stack.
async fn ask_rate() -> u64 {
    rt::sleep(ms(30)).await;
    7
}

pub async fn convert_money(healthy: bool) {
    loop {
        rt::sleep(ms(50)).await;
        if healthy {
            black_box(ask_rate().await);
        } else {
            black_box(rt::block_on(ask_rate()));
        }
    }
}

type Account = Arc<Mutex<u64>>;

/// Holds the first lock for a while, so that the other task surely has the other one by then.
fn move_money(from: &Account, to: &Account) {
    let mut from = from.lock().expect("lock");
    burn(Duration::from_micros(500));
    let mut to = to.lock().expect("lock");
    *from = from.wrapping_sub(1);
    *to = to.wrapping_add(1);
    black_box((&from, &to));
}

async fn transfer(from: Account, to: Account) {
    rt::sleep(ms(1500)).await;
    loop {
        move_money(&from, &to);
        rt::sleep(ms(1)).await;
    }
}

pub async fn bank(healthy: bool) {
    let (a, b) = (Account::default(), Account::default());
    rt::detach(rt::spawn(transfer(a.clone(), b.clone())));
    rt::detach(rt::spawn(if healthy { transfer(a, b) } else { transfer(b, a) }));
}

async fn add_number(sum: Arc<AtomicU64>, n: u64) {
    sum.fetch_add(n, Relaxed);
}

async fn add_batch(sum: Arc<AtomicU64>, numbers: std::ops::Range<u64>) {
    for n in numbers {
        add_number(sum.clone(), n).await;
    }
}

pub async fn add_numbers(healthy: bool) {
    let sum = Arc::new(AtomicU64::new(0));
    for batch in (0..).step_by(50) {
        rt::sleep(ms(5)).await;
        if healthy {
            rt::detach(rt::spawn(add_batch(sum.clone(), batch..batch + 50)));
            continue;
        }
        for n in batch..batch + 50 {
            rt::detach(rt::spawn(add_number(sum.clone(), n)));
        }
    }
}

async fn await_reply(reply: channel::Receiver<u64>) {
    let _ = reply.recv().await;
}

/// 50 a second wait for a reply: never answered, or after 0.5 s.
pub async fn ask(healthy: bool) {
    let mut asked = std::collections::VecDeque::new();
    loop {
        rt::sleep(ms(20)).await;
        let (send, reply) = channel::bounded(1);
        asked.push_back((send, rt::spawn(await_reply(reply))));
        if healthy && asked.len() > 25 {
            if let Some((send, task)) = asked.pop_front() {
                let _ = send.send(7).await;
                task.await;
            }
        }
    }
}

async fn store_order(stop: channel::Receiver<()>) {
    for _ in 0..1000 {
        rt::sleep(ms(2)).await;
        if stop.try_recv().is_ok() {
            return;
        }
    }
}

pub async fn store_orders(healthy: bool) {
    loop {
        let (stop, stopped) = channel::bounded(1);
        let order = rt::spawn(store_order(stopped));
        rt::sleep(ms(25)).await;
        if healthy {
            let _ = stop.send(()).await;
            order.await;
        } else {
            order.cancel().await;
        }
        rt::sleep(ms(25)).await;
    }
}

async fn look_for_updates(times: u64) {
    for _ in 0..times {
        rt::sleep(ms(500)).await;
    }
}

pub async fn serve_requests(healthy: bool) {
    loop {
        rt::sleep(ms(20)).await;
        rt::detach(rt::spawn(look_for_updates(if healthy { 4 } else { u64::MAX })));
    }
}

async fn read_sensor(n: u64) {
    loop {
        rt::sleep(ms(20)).await;
        black_box(checksum(n));
    }
}

async fn convert_prices(table: Arc<Vec<u64>>, healthy: bool) {
    loop {
        rates::convert_for_a_turn(&table, healthy);
        rt::sleep(ms(1)).await;
    }
}

pub async fn exchange(healthy: bool) {
    let table = rates::rates();
    for _ in 0..2 {
        rt::detach(rt::spawn(convert_prices(table.clone(), healthy)));
    }
}

/// 100 sensors, polled by whichever worker is free. The twin has one.
pub async fn read_sensors() {
    for n in 0..100 {
        rt::sleep(Duration::from_micros(190)).await;
        rt::detach(rt::spawn(read_sensor(n)));
    }
}
