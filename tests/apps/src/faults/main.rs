// SPDX-License-Identifier: LGPL-2.1-or-later
//! One fault of the catalogue at a time, or its healthy twin: `faults RULE [bad|ok] [AFTER_MS [KIND]]`. One
//! program, because linking twenty takes longer than all their tests.
#[path = "../common.rs"]
mod common;
#[path = "../rates.rs"]
mod rates;

mod arc_contention;
mod blocking_pool;
mod busy_poll;
mod cancelled_midway;
mod deadlock;
mod detached_task;
mod large_future;
mod lock_across_await;
mod lost_wakeup;
mod migration;
mod nested_runtime;
mod task_leak;
mod tiny_tasks;
mod unbounded_channel;
mod worker_tuning;

fn main() {
    let rule: String = common::arg(1, String::new());
    let mode = common::arg(2, "bad".to_string());
    let healthy = mode == "ok";

    match rule.as_str() {
        "arc-contention" => arc_contention::run(healthy),
        "blocking-pool-saturated" => blocking_pool::run(healthy),
        "busy-poll" => busy_poll::run(healthy),
        "cancelled-midway" => cancelled_midway::run(healthy),
        "deadlock" => deadlock::run(healthy, common::arg(3, 2500), &common::arg(4, String::new())),
        "detached-task" => detached_task::run(healthy, &common::arg(3, String::new())),
        "large-future" => large_future::run(healthy),
        "lock-across-await" => lock_across_await::run(healthy, common::arg(3, String::new())),
        "lost-wakeup" => lost_wakeup::run(healthy),
        "migration" => migration::run(healthy),
        "nested-runtime" => nested_runtime::run(healthy),
        "task-leak" => task_leak::run(healthy),
        "tiny-tasks" => tiny_tasks::run(healthy),
        "unbounded-channel" => unbounded_channel::run(healthy),
        "worker-tuning" if mode == "bench" => worker_tuning::bench(common::arg(3, 2)),
        "worker-tuning" => worker_tuning::run(healthy),
        _ => panic!("usage: faults RULE [bad|ok] [AFTER_MS [KIND]]"),
    }
}
