// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: two tasks take the same two locks in opposite order; both workers stand still for ever.
//! Twin: the same order. KIND: std (default), parking_lot, or pthread, which has a third worker that
//! goes on.
use crate::common;
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

trait Lock: Default + Send + Sync + 'static {
    fn hold(&self, work: impl FnOnce());
}

impl Lock for Mutex<u64> {
    fn hold(&self, work: impl FnOnce()) {
        let mut balance = self.lock().expect("lock");
        work();
        *balance = black_box(balance.wrapping_add(1));
    }
}

impl Lock for parking_lot::Mutex<u64> {
    fn hold(&self, work: impl FnOnce()) {
        let mut balance = self.lock();
        work();
        *balance = black_box(balance.wrapping_add(1));
    }
}

struct Pthread(UnsafeCell<libc::pthread_mutex_t>);

unsafe impl Send for Pthread {}
unsafe impl Sync for Pthread {}

impl Default for Pthread {
    fn default() -> Self {
        Pthread(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }
}

impl Lock for Pthread {
    fn hold(&self, work: impl FnOnce()) {
        unsafe { libc::pthread_mutex_lock(self.0.get()) };
        work();
        unsafe { libc::pthread_mutex_unlock(self.0.get()) };
    }
}

/// Holds the first lock for a while, so that the other task surely has the other one by then.
#[inline(never)]
fn move_money(from: &impl Lock, to: &impl Lock, hold: Duration) {
    from.hold(|| {
        common::burn(hold);
        to.hold(|| ());
    });
}

async fn transfer<L: Lock>(from: Arc<L>, to: Arc<L>, after: Duration) {
    sleep(after).await;
    loop {
        move_money(&*from, &*to, Duration::from_micros(500));
        sleep(Duration::from_millis(1)).await;
    }
}

async fn bank<L: Lock>(healthy: bool, after: Duration) {
    let (a, b) = (Arc::new(L::default()), Arc::new(L::default()));
    tokio::spawn(transfer(a.clone(), b.clone(), after));
    if healthy {
        tokio::spawn(transfer(a, b, after));
    } else {
        tokio::spawn(transfer(b, a, after));
    }
}

pub fn run(healthy: bool, after_ms: u64, kind: &str) {
    let after = Duration::from_millis(after_ms);

    match kind {
        "pthread" => common::run(3, bank::<Pthread>(healthy, after)),
        "parking_lot" => common::run(2, bank::<parking_lot::Mutex<u64>>(healthy, after)),
        _ => common::run(2, bank::<Mutex<u64>>(healthy, after)),
    }
}
