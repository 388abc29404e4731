// SPDX-License-Identifier: LGPL-2.1-or-later
//! The few things in which smol and async-std differ, for programs that are the same otherwise.

/// Before anything is spawned: how many threads the global executor gets.
pub fn workers(n: usize) {
    std::env::set_var(THREADS, n.to_string());
}

/// Before it is used: how many threads the blocking pool gets.
pub fn blocking_threads(n: usize) {
    std::env::set_var("BLOCKING_MAX_THREADS", n.to_string());
}

#[cfg(feature = "smol")]
mod with {
    pub use smol::channel;
    pub use smol::future::yield_now;
    pub use smol::io::{AsyncReadExt as ReadExt, AsyncWriteExt as WriteExt};
    pub use smol::net::{TcpListener, TcpStream};
    pub use smol::{block_on, spawn, unblock, Task};
    use std::{future::Future, time::Duration};

    pub const THREADS: &str = "SMOL_THREADS";

    pub async fn sleep(time: Duration) {
        smol::Timer::after(time).await;
    }

    pub fn detach<T>(task: Task<T>) {
        task.detach();
    }

    /// Runs on the thread that calls it, beside the global executor's.
    pub fn block_on_local<F: Future<Output = ()> + 'static>(future: F) {
        let local = smol::LocalExecutor::new();
        let task = local.spawn(future);
        smol::block_on(local.run(task));
    }
}

#[cfg(feature = "async-std")]
mod with {
    pub use async_std::channel;
    pub use async_std::io::{ReadExt, WriteExt};
    pub use async_std::net::{TcpListener, TcpStream};
    pub use async_std::task::spawn_blocking as unblock;
    pub use async_std::task::{block_on, sleep, spawn, yield_now, JoinHandle as Task};

    pub const THREADS: &str = "ASYNC_STD_THREAD_COUNT";

    pub fn detach<T>(task: Task<T>) {
        drop(task);
    }
}

pub use with::*;
