// SPDX-License-Identifier: LGPL-2.1-or-later
//! The catalogue: items in memory, filled anew from a file every so often.
//! Fault (blocking-call): the file is read, from a slow disk, on a worker.
use crate::Shop;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

pub struct Catalogue {
    items: RwLock<Arc<HashMap<u64, String>>>,
}

impl Catalogue {
    pub fn new() -> Self {
        Catalogue { items: RwLock::new(Arc::new(read_file())) }
    }

    pub fn item(&self, id: u64) -> Option<String> {
        self.items.read().ok()?.get(&(id % 1000)).cloned()
    }
}

/// Stands for a file on a network disk: 40 ms to open, then the rows.
fn read_file() -> HashMap<u64, String> {
    std::thread::sleep(Duration::from_millis(40));
    (0..1000).map(|n| (n, format!("{{\"id\":{n},\"price\":{}}}", 100 + n * 7 % 900))).collect()
}

pub async fn refresh(shop: Arc<Shop>) {
    loop {
        sleep(Duration::from_millis(500)).await;
        let fresh = match shop.healthy {
            true => spawn_blocking(read_file).await.expect("reader"),
            false => read_file(),
        };
        *shop.catalogue.items.write().expect("catalogue") = Arc::new(fresh);
    }
}
