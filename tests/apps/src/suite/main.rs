// SPDX-License-Identifier: LGPL-2.1-or-later
//! Many programs in one, since linking each for every version of Tokio and every profile takes
//! longer than all their tests. It is the one that its file is called, or that STALLTOP_APP says;
//! by any other name it is the first.
#[path = "../common.rs"]
mod common;

use std::path::Path;

macro_rules! programs {
    ($($name:ident)*) => {
        $(mod $name;)*
        const PROGRAMS: &[(&str, fn())] = &[$((stringify!($name), $name::main),)*];
    };
}

programs! {
    blocking_call blocking_call_ok
    cpu_bound_poll cpu_bound_poll_ok
    stuck_poll stuck_poll_ok
    starvation starvation_ok
    task_explosion task_explosion_ok
    leaked_join_handle leaked_join_handle_ok
    churn idle10k current_thread two_runtimes
    forks panics yieldloop waits
}

/// The last part of the path it was started by.
fn file_name() -> Option<String> {
    let path = std::env::args_os().next()?;
    Some(Path::new(&path).file_name()?.to_string_lossy().into_owned())
}

fn main() {
    let name = std::env::var("STALLTOP_APP").ok().or_else(file_name).unwrap_or_default();
    let (_, run) = PROGRAMS.iter().find(|(known, _)| *known == name).unwrap_or(&PROGRAMS[0]);
    run();
}
