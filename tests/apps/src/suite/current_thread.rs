// SPDX-License-Identifier: LGPL-2.1-or-later
//! A current-thread runtime with a LocalSet: spawned and local tasks on one thread.
//! Usage: current_thread [ok|block|burn]; the last two hold a poll for 60 ms now and then.
use crate::common;

use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::Builder;
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

pub fn main() {
    common::limit_life();
    let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
    let local = LocalSet::new();
    local.block_on(&rt, async {
        common::work_beside().await;
        let fault = common::arg(1, "ok".to_string());
        tokio::task::spawn_local(local_session("session".into(), fault));
        for n in 1..=4 {
            tokio::task::spawn_local(local_ticker(Duration::from_millis(10 * n)));
        }
        common::ready();
        std::future::pending::<()>().await
    });
}
