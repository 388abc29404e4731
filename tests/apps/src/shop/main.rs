// SPDX-License-Identifier: LGPL-2.1-or-later
//! A small shop on Tokio: an HTTP API on loopback, a catalogue cache, logins, orders with a
//! payment service, reports, an audit log and mailings. Each part has a fault that real services
//! have; --healthy runs the same work without them. It makes its own load, from plain threads.
//! Usage: shop [--healthy] [--seconds N=120]
#[path = "../common.rs"]
mod common;

mod accounts;
mod audit;
mod catalogue;
mod http;
mod load;
mod mail;
mod orders;
mod reports;

use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;

/// What the parts share.
pub struct Shop {
    pub healthy: bool,
    pub catalogue: catalogue::Catalogue,
    pub audit: audit::Log,
    pub payments: orders::Payments,
    /// Room for heavy computing outside the workers, when healthy.
    pub heavy: Semaphore,
}

async fn open(healthy: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let shop = Arc::new(Shop {
        healthy,
        catalogue: catalogue::Catalogue::new(),
        audit: audit::Log::new(),
        payments: orders::Payments::new(load::payment_service()),
        heavy: Semaphore::new(1),
    });
    tokio::spawn(http::serve(listener, shop.clone()));
    tokio::spawn(catalogue::refresh(shop.clone()));
    tokio::spawn(reports::daily_sales(shop.clone()));
    tokio::spawn(reports::yearly_forecast(shop.clone()));
    tokio::spawn(audit::compact(shop.clone()));
    tokio::spawn(mail::campaigns(shop));
    load::customers(port);
}

fn option(name: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|a| a != name);
    args.next()?;
    Some(args.next().unwrap_or_default())
}

fn main() {
    if let Some(seconds) = option("--seconds") {
        std::env::set_var("STALLTOP_APP_SECONDS", seconds);
    }
    common::limit_life();
    let rt = Builder::new_multi_thread()
        .worker_threads(4)
        .thread_name("shop-worker")
        .enable_all()
        .build()
        .expect("runtime");
    rt.block_on(async {
        open(option("--healthy").is_some()).await;
        common::ready();
        std::future::pending::<()>().await
    });
}
