// SPDX-License-Identifier: LGPL-2.1-or-later
//! libplugin.so: a runtime behind a C function. KIND "block" holds a worker for 60 ms now and
//! then, and prints as one JSON line where; anything else is healthy.
mod common;
mod truth;

use std::ffi::{c_char, CStr};
use std::time::Duration;
use tokio::time::sleep;
use truth::{at, Place, Truth};

struct Render;

#[inline(never)]
fn render_page(time: Duration) {
    at!(Render, std::thread::sleep(time));
}

async fn plugin_job(block: bool) {
    loop {
        sleep(Duration::from_millis(200)).await;
        if block {
            render_page(Duration::from_millis(60));
        }
    }
}

fn truth() -> Truth {
    Truth {
        kind: "plugin",
        fault: true,
        site: truth::path(&plugin_job),
        function: truth::path(&render_page),
        never_inlined: true,
        file: file!(),
        line: Render::LINE,
        call: "std::thread::sleep",
        syscalls: &["clock_nanosleep"],
    }
}

/// # Safety
/// `kind` is a C string.
#[no_mangle]
pub unsafe extern "C" fn plugin_start(kind: *const c_char) {
    let block = CStr::from_ptr(kind) == c"block";
    if block {
        common::say(&truth().json());
    }
    let rt = common::runtime(2);
    rt.block_on(common::work_beside());
    rt.spawn(plugin_job(block));
    std::mem::forget(rt);
}
