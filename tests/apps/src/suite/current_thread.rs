// SPDX-License-Identifier: LGPL-2.1-or-later
//! A current-thread runtime with a LocalSet: spawned and local tasks on one thread.
//! Usage: current_thread [ok|block|burn|root]; block and burn hold a poll for 60 ms now and then. With
//! root a task wakes the root future, which computes for 5 ms right after that task's short poll.
use crate::common;

use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::sleep;

async fn local_session(name: Rc<str>, fault: String) {
    loop {
        sleep(Duration::from_millis(200)).await;
        match fault.as_str() {
            "block" => std::thread::sleep(Duration::from_millis(60)),
            "burn" => drop(common::burn(Duration::from_millis(60))),
            _ => drop(std::hint::black_box(name.clone())),
        }
    }
}

async fn local_ticker(period: Duration) {
    loop {
        sleep(period).await;
    }
}

async fn announce(root: Rc<Notify>) {
    loop {
        sleep(Duration::from_millis(10)).await;
        root.notify_one();
    }
}

async fn busy_root() {
    let wanted = Rc::new(Notify::new());
    tokio::task::spawn_local(announce(wanted.clone()));
    common::ready();
    loop {
        wanted.notified().await;
        common::burn(Duration::from_millis(5));
    }
}

pub fn main() {
    common::limit_life();
    let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
    let local = LocalSet::new();
    let fault = common::arg(1, "ok".to_string());
    if fault == "root" {
        local.block_on(&rt, busy_root());
    }
    local.block_on(&rt, async {
        common::work_beside().await;
        tokio::task::spawn_local(local_session("session".into(), fault));
        for n in 1..=4 {
            tokio::task::spawn_local(local_ticker(Duration::from_millis(10 * n)));
        }
        common::ready();
        std::future::pending::<()>().await
    });
}
