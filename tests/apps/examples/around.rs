// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the examples of the rules take for granted.
pub use std::future::poll_fn;
pub use std::io;
pub use std::rc::Rc;
pub use std::sync::atomic::{AtomicBool, Ordering::Acquire};
pub use std::sync::{Arc, Mutex};
pub use std::task::Poll;
pub use std::time::Duration;
pub use tokio::io::AsyncReadExt;
pub use tokio::net::{TcpListener, TcpStream};
pub use tokio::runtime::{Builder, Handle, Runtime};
pub use tokio::sync::{mpsc, oneshot, watch, Notify, Semaphore};
pub use tokio::task::{spawn_blocking, JoinError, JoinSet};
pub use tokio::time::{sleep, timeout};

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

pub struct Image;
pub struct Mail;
pub struct Entry;
pub struct Answer;
pub struct Position;
#[derive(Clone)]
pub struct User;
#[derive(Clone)]
pub struct Row;
pub struct Account {
    pub id: u64,
    pub balance: Mutex<u64>,
}

/// As in the crate futures.
pub struct AtomicWaker;
impl AtomicWaker {
    pub fn register(&self, _: &std::task::Waker) {}
}

/// As in the crate futures.
pub mod futures {
    pub mod executor {
        pub fn block_on<F: std::future::Future>(_: F) -> F::Output {
            unimplemented!()
        }
    }
}

pub fn add(_: Row) {}
pub fn add_by(_: &[u64], _: Position) {}
pub fn add_rated(_: Arc<Vec<u64>>, _: Position) {}
pub fn book<T>(_: T, _: T) {}
pub fn price(_: Position) {}
pub fn read_archive(_: String) {}
pub fn shrink(_: &Image) {}
pub fn store(_: &[u8]) {}
pub async fn ask_rate() -> u64 {
    7
}
pub async fn look_for_updates(_: User) {}
pub async fn send(_: Mail) {}
pub async fn serve<T>(_: T) {}
pub async fn store_order() {}
pub async fn store_order_until(_: watch::Receiver<bool>) {}
pub async fn write_entry(_: Entry) {}
