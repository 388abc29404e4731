// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault: 50 tasks a second wait for a reply that never comes. Twin: they wait for 1 s at most.
use crate::common;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

async fn await_reply(reply: oneshot::Receiver<u64>, healthy: bool) {
    if healthy {
        let _ = timeout(Duration::from_secs(1), reply).await;
    } else {
        let _ = reply.await;
    }
}

async fn ask(healthy: bool) {
    let mut asked: Vec<(oneshot::Sender<u64>, JoinHandle<()>)> = Vec::new();
    loop {
        sleep(Duration::from_millis(20)).await;
        let (send, reply) = oneshot::channel();
        asked.push((send, tokio::spawn(await_reply(reply, healthy))));
        asked.retain(|(_, handle)| !handle.is_finished());
    }
}

pub fn run(healthy: bool) {
    common::run(2, ask(healthy));
}
