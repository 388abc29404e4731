// SPDX-License-Identifier: LGPL-2.1-or-later
//! Requests at a fixed rate, over some connections; latencies count from the moment at which a request
//! was due, so that a pause of the server is seen by all that it delays.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Nanoseconds, one a request.
fn connection(address: String, every: Duration, offset: Duration, seconds: u64) -> Vec<u64> {
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut stream = TcpStream::connect(&address).expect("connect");
    let begin = Instant::now() + offset;
    let mut due = begin;
    let mut seen = Vec::new();
    let mut answer = [0; 4096];

    stream.set_nodelay(true).expect("nodelay");
    while due < begin + Duration::from_secs(seconds) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes()).expect("send");
        let mut have = 0;
        while !answer[..have].ends_with(b"hello") {
            have += match stream.read(&mut answer[have..]).expect("receive") {
                0 => panic!("the server has gone"),
                n => n,
            };
        }
        seen.push(due.elapsed().as_nanos() as u64);
        due += every;
    }
    seen
}

/// Says how many requests a second there were, and the quantiles of their latencies.
pub fn run(address: String, connections: u32, rate: u32, seconds: u64) {
    let every = Duration::from_secs(1) * connections / rate;
    let threads: Vec<_> = (0..connections)
        .map(|n| {
            let address = address.clone();
            std::thread::spawn(move || connection(address, every, every / connections * n, seconds))
        })
        .collect();
    let mut all: Vec<u64> = threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect();
    all.sort_unstable();
    let at = |q: f64| all[((all.len() - 1) as f64 * q) as usize];
    println!(
        "{{\"rate\":{},\"p50_ns\":{},\"p99_ns\":{},\"p999_ns\":{}}}",
        all.len() as u64 / seconds,
        at(0.5),
        at(0.99),
        at(0.999)
    );
}
