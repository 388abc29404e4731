// SPDX-License-Identifier: LGPL-2.1-or-later
//! One fault each and its healthy twin, and true counts, on the runtime that rt.rs stands for.
//!
//! Usage: tasks SCENARIO [ok] [ARGUMENTS], see the table at the end.
mod base;
mod beside;
mod faulty;
mod healthy;
mod more;
#[path = "../rates.rs"]
mod rates;
mod rt;
mod truth;

use std::future::Future;

/// Runs the program: beside honest work, the scenario; then waits to be killed.
fn run<F: Future<Output = ()> + Send + 'static>(workers: usize, scenario: F) {
    rt::workers(workers);
    rt::block_on(async move {
        beside::work().await;
        base::ready();
        rt::detach(rt::spawn(scenario));
        std::future::pending::<()>().await
    });
}

fn main() {
    let name: String = base::arg(1, String::new());
    let ok = base::arg(2, String::new()) == "ok";

    base::limit_life();
    match (name.as_str(), ok) {
        ("blocking_call", false) => run(2, faulty::fetch_from_slow_disk()),
        ("blocking_call", true) => run(2, healthy::fetch_from_slow_disk()),
        ("cpu_bound_poll", false) => run(2, faulty::resize_images()),
        ("cpu_bound_poll", true) => run(2, healthy::resize_images()),
        ("stuck_poll", false) => run(4, faulty::solve_forever(2500)),
        ("stuck_poll", true) => run(4, healthy::solve_forever(2500)),
        ("starvation", false) => run(2, faulty::price_portfolio()),
        ("starvation", true) => run(2, healthy::price_portfolio()),
        ("task_explosion", false) => run(2, faulty::mail_everyone()),
        ("task_explosion", true) => run(2, healthy::mail_everyone()),
        ("leaked_join_handle", false) => run(2, faulty::audit()),
        ("leaked_join_handle", true) => run(2, healthy::audit()),
        ("blocking_pool_saturated", _) => {
            rt::blocking_threads(2);
            run(2, more::read_archives(ok))
        }
        ("nested_runtime", _) => run(2, more::convert_money(ok)),
        ("deadlock", _) => run(2, more::bank(ok)),
        ("tiny_tasks", _) => run(2, more::add_numbers(ok)),
        ("task_leak", _) => run(2, more::ask(ok)),
        ("cancelled_midway", _) => run(2, more::store_orders(ok)),
        ("detached_task", _) => run(2, more::serve_requests(ok)),
        ("arc_contention", _) => run(2, more::exchange(ok)),
        ("migration", _) => run(if ok { 1 } else { 2 }, more::read_sensors()),
        ("unbounded_channel", false) => run(2, faulty::measure()),
        ("unbounded_channel", true) => run(2, healthy::measure()),
        #[cfg(feature = "smol")]
        ("local", _) => truth::local(),
        ("root", _) => truth::root(&base::arg(2, String::from("main"))),
        ("hot", _) => truth::hot_tasks(),
        ("queued", _) => truth::queued(base::arg(2, 77)),
        ("churn", _) => truth::churn(base::arg(2, 10_000), base::arg(3, 10)),
        _ => panic!("no scenario {name:?}"),
    }
}
