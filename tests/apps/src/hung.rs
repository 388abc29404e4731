// SPDX-License-Identifier: LGPL-2.1-or-later
//! Threads that hang before anybody watches, with ground truth.
//! Usage: hung mutex|spin|root|main
//!
//! "mutex": a task waits for ever in a std Mutex; "spin": one computes for ever; "root": the root
//! future of block_on on the main thread waits in the Mutex; "main": it sleeps 60 ms again and again.
//! A JSON line says where; 40 tasks sleep for ever and were polled before the ready line only.
mod common;
mod truth;

use std::hint::black_box;
use std::sync::{mpsc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::time::sleep;
use truth::{at, Place, Truth};

static VAULT: Mutex<u64> = Mutex::new(0);

struct AtVault;
struct AtNap;

/// Holds the vault for ever.
fn lock_vault() {
    let (tx, rx) = mpsc::channel();
    thread::Builder::new()
        .name("holder".into())
        .spawn(move || {
            let _guard = VAULT.lock();
            tx.send(()).expect("told");
            loop {
                thread::sleep(Duration::from_secs(3600));
            }
        })
        .expect("thread");
    rx.recv().expect("locked");
}

#[inline(never)]
fn open_vault() -> u64 {
    *at!(AtVault, VAULT.lock()).expect("gold")
}

#[inline(never)]
fn nap() {
    at!(AtNap, thread::sleep(Duration::from_millis(60)));
}

async fn fetch_gold() {
    sleep(Duration::from_millis(1)).await;
    black_box(open_vault());
}

async fn count_gold() {
    sleep(Duration::from_millis(1)).await;
    let mut x = 1;
    loop {
        x = black_box(common::checksum(x));
    }
}

async fn sleeper() {
    sleep(Duration::from_secs(3600)).await;
}

async fn root(mode: String) {
    for _ in 0..40 {
        tokio::spawn(sleeper());
    }
    lock_vault();
    // A worker that hangs may take the timers with it: a thread of its own says when it does.
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(300));
        common::ready();
    });
    match mode.as_str() {
        "mutex" => drop(tokio::spawn(fetch_gold())),
        "spin" => drop(tokio::spawn(count_gold())),
        _ => (),
    }
    match mode.as_str() {
        "root" => drop(black_box(open_vault())),
        "main" => loop {
            nap();
            sleep(Duration::from_millis(40)).await;
        },
        _ => std::future::pending().await,
    }
}

fn main() {
    common::limit_life();
    let mode: String = common::arg(1, "mutex".into());
    let napping = mode == "main";
    let truth = Truth {
        kind: "hung",
        fault: true,
        site: match mode.as_str() {
            "mutex" => truth::path(&fetch_gold),
            "spin" => truth::path(&count_gold),
            _ => "root future of block_on",
        },
        function: if napping { truth::path(&nap) } else { truth::path(&open_vault) },
        never_inlined: true,
        file: file!(),
        line: if napping { AtNap::LINE } else { AtVault::LINE },
        call: if napping { "std::thread::sleep" } else { "std::sync::Mutex::lock" },
        syscalls: if napping { &["clock_nanosleep", "nanosleep"] } else { &["futex"] },
    };
    common::say(&truth.json());
    common::runtime(3).block_on(root(mode));
}
