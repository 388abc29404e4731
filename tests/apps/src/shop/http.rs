// SPDX-License-Identifier: LGPL-2.1-or-later
//! As much of HTTP/1.1 as the customers need: keep-alive, no bodies in requests.
use crate::{accounts, orders, Shop};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub async fn serve(listener: TcpListener, shop: Arc<Shop>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, shop.clone()));
    }
}

async fn connection(stream: TcpStream, shop: Arc<Shop>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(request)) = lines.next_line().await {
        while matches!(lines.next_line().await, Ok(Some(header)) if !header.is_empty()) {}
        let body = answer(&request, &shop).await;
        let (status, body) = match body {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", String::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        if write.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn answer(request: &str, shop: &Arc<Shop>) -> Option<String> {
    let mut words = request.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let id = path.rsplit('/').next()?.parse().unwrap_or(0);
    match (method, path.split('/').nth(1)?) {
        ("GET", "item") => shop.catalogue.item(id),
        ("POST", "login") => Some(accounts::login(shop.clone(), id).await),
        ("POST", "order") => Some(orders::place(shop, id).await),
        _ => None,
    }
}
