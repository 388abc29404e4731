// SPDX-License-Identifier: LGPL-2.1-or-later
//! Logins. Fault (cpu-bound-poll): passwords are hashed on the worker, 25 ms each.
use crate::{common, Shop};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

#[inline(never)]
fn hash_password(user: u64) -> u64 {
    common::burn(Duration::from_millis(25)) ^ user
}

pub async fn login(shop: Arc<Shop>, user: u64) -> String {
    let session = tokio::spawn(verify_password(shop.clone(), user)).await.expect("login");
    format!("{{\"session\":{session}}}")
}

async fn verify_password(shop: Arc<Shop>, user: u64) -> u64 {
    if !shop.healthy {
        return hash_password(user);
    }
    let _room = shop.heavy.acquire().await.expect("semaphore");
    spawn_blocking(move || hash_password(user)).await.expect("hash")
}
