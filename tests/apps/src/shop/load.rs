// SPDX-License-Identifier: LGPL-2.1-or-later
//! The world outside, on plain threads with blocking sockets: customers and a payment service.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const CUSTOMERS: u64 = 8;

fn thread(name: &str, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(name.into()).spawn(work).expect("thread");
}

pub fn customers(port: u16) {
    for n in 0..CUSTOMERS {
        thread("customer", move || drop(customer(port, n)));
    }
}

/// Looks at items, logs in now and then, buys now and then: about 25 requests a second.
fn customer(port: u16, n: u64) -> std::io::Result<()> {
    let mut write = TcpStream::connect(("127.0.0.1", port))?;
    let mut read = BufReader::new(write.try_clone()?);
    for k in 0.. {
        let id = n + CUSTOMERS * k;
        let request = match k % 25 {
            7 => format!("POST /login/{id}"),
            3 | 11 | 15 | 19 | 23 => format!("POST /order/{id}"),
            _ => format!("GET /item/{id}"),
        };
        write.write_all(format!("{request} HTTP/1.1\r\nHost: shop\r\n\r\n").as_bytes())?;
        read_answer(&mut read)?;
        std::thread::sleep(Duration::from_millis(30 + 3 * n));
    }
    Ok(())
}

fn read_answer(read: &mut impl BufRead) -> std::io::Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if read.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    read.read_exact(&mut vec![0; length])
}

/// Says yes to each order after 4 ms. Returns its port.
pub fn payment_service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    thread("payment-accept", move || {
        for stream in listener.incoming().flatten() {
            thread("payment", move || drop(take_payments(stream)));
        }
    });
    port
}

fn take_payments(mut stream: TcpStream) -> std::io::Result<()> {
    let mut order = [0; 8];
    loop {
        stream.read_exact(&mut order)?;
        std::thread::sleep(Duration::from_millis(4));
        stream.write_all(&[1])?;
    }
}
