// SPDX-License-Identifier: LGPL-2.1-or-later
//! libplugin.so: a runtime behind a C function. KIND "block" holds a worker for 60 ms now and
//! then, anything else is healthy.
mod common;

use std::ffi::{c_char, CStr};
use std::time::Duration;
use tokio::time::sleep;

async fn plugin_job(block: bool) {
    loop {
        sleep(Duration::from_millis(200)).await;
        if block {
            std::thread::sleep(Duration::from_millis(60));
        }
    }
}

/// # Safety
/// `kind` is a C string.
#[no_mangle]
pub unsafe extern "C" fn plugin_start(kind: *const c_char) {
    let block = CStr::from_ptr(kind) == c"block";
    let rt = common::runtime(2);
    rt.block_on(common::work_beside());
    rt.spawn(plugin_job(block));
    std::mem::forget(rt);
}
