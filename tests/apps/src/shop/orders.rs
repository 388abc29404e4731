// SPDX-License-Identifier: LGPL-2.1-or-later
//! Orders: stock is taken, the payment service is asked over TCP, the sale goes to the audit log.
//! Fault (blocking-call): the legacy fraud check sleeps 15 ms on the worker for each eighth order.
use crate::{audit, Shop};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// Connections to the payment service that are not in use.
pub struct Payments {
    port: u16,
    idle: Mutex<Vec<TcpStream>>,
}

impl Payments {
    pub fn new(port: u16) -> Self {
        Payments { port, idle: Mutex::new(Vec::new()) }
    }

    async fn pay(&self, order: u64) -> std::io::Result<u8> {
        let idle = self.idle.lock().await.pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(("127.0.0.1", self.port)).await?,
        };
        stream.write_all(&order.to_be_bytes()).await?;
        let verdict = stream.read_u8().await?;
        self.idle.lock().await.push(stream);
        Ok(verdict)
    }
}

async fn check_fraud(shop: &Shop, order: u64) {
    let wait = Duration::from_millis(15);
    match shop.healthy {
        _ if order % 8 != 0 => (),
        true => sleep(wait).await,
        false => std::thread::sleep(wait),
    }
}

pub async fn place(shop: &Arc<Shop>, order: u64) -> String {
    check_fraud(shop, order).await;
    let paid = timeout(Duration::from_secs(5), shop.payments.pay(order)).await;
    let paid = matches!(paid, Ok(Ok(1)));
    audit::record(shop, order, paid).await;
    format!("{{\"order\":{order},\"paid\":{paid}}}")
}
