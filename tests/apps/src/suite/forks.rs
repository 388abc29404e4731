// SPDX-License-Identifier: LGPL-2.1-or-later
//! Forks while its runtime works. The child goes on without Tokio, or starts a runtime of its
//! own; the parent blocks a worker now and then, and the child, with Tokio, does too.
//! Usage: forks [plain|tokio] [FORK_AFTER_MS=0]; a second line tells the child's pid.
use crate::common;

use std::time::Duration;
use tokio::runtime::Builder;
use tokio::time::sleep;

async fn parent_job() {
    loop {
        sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(60));
    }
}

async fn child_job() {
    loop {
        sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(70));
    }
}

fn child(kind: &str) -> ! {
    common::limit_life();
    if kind == "tokio" {
        let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
        rt.block_on(async {
            tokio::spawn(child_job());
            std::future::pending::<()>().await
        });
    }
    loop {
        std::thread::sleep(Duration::from_millis(20));
        std::hint::black_box(common::burn(Duration::from_micros(100)));
    }
}

pub fn main() {
    common::limit_life();
    let rt = common::runtime(2);
    rt.block_on(common::work_beside());
    rt.spawn(parent_job());
    common::ready();
    std::thread::sleep(Duration::from_millis(common::arg(2, 0)));
    // Only the calling thread goes on in the child, and the runtime's workers are not there.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child(&common::arg(1, "plain".to_string()));
    }
    common::say(&format!("child pid={pid}"));
    rt.block_on(std::future::pending::<()>());
}
