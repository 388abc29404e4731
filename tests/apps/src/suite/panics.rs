// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tasks that end by panic, ten a second; the runtime catches them. One JSON line a second.
use crate::common;

use std::time::Duration;
use tokio::time::sleep;

async fn parse_request(n: u64) {
    sleep(Duration::from_millis(5)).await;
    if n % 2 == 0 {
        panic!("bad request {n}");
    }
}

async fn serve() {
    let (mut caught, mut done) = (0, 0);
    for n in 1.. {
        sleep(Duration::from_millis(45)).await;
        match tokio::spawn(parse_request(n)).await {
            Ok(()) => done += 1,
            Err(e) => caught += e.is_panic() as u64,
        }
        if n % 20 == 0 {
            common::say(&format!("{{\"completed\":{done},\"panics_caught\":{caught}}}"));
        }
    }
}

pub fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    common::run(2, serve());
}
