// SPDX-License-Identifier: LGPL-2.1-or-later
//! Runs Tokio for SECONDS, then replaces itself with exec; the second image blocks its workers.
//! Usage: execs [first|second] [SECONDS=4]
mod common;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;
use tokio::time::sleep;

async fn before_exec(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
    let me = std::env::current_exe().expect("own path");
    let error = Command::new(me).args(["second", "0"]).exec();
    panic!("exec: {error}");
}

async fn after_exec() {
    loop {
        sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(60));
    }
}

fn main() {
    match common::arg(1, "first".to_string()).as_str() {
        "second" => common::run(2, after_exec()),
        _ => common::run(2, before_exec(common::arg(2, 4))),
    }
}
