// SPDX-License-Identifier: LGPL-2.1-or-later
//! A program without Tokio that loads libplugin.so, which carries one, at SIGUSR1 or at a line on
//! standard input. The library is looked for beside the program. Usage: dlopen_host [KIND=block]
use std::ffi::CString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

static LOAD: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: libc::c_int) {
    LOAD.store(true, SeqCst);
}

fn load(kind: &str) {
    let path = std::env::current_exe().expect("own path").with_file_name("libplugin.so");
    let path = CString::new(path.as_os_str().as_bytes()).expect("path");
    let kind = CString::new(kind).expect("kind");
    unsafe {
        let lib = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!lib.is_null(), "dlopen {path:?} failed");
        let start = libc::dlsym(lib, c"plugin_start".as_ptr());
        assert!(!start.is_null(), "no plugin_start");
        let start: extern "C" fn(*const libc::c_char) = std::mem::transmute(start);
        start(kind.as_ptr());
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn main() {
    let kind = std::env::args().nth(1).unwrap_or("block".into());
    unsafe {
        libc::alarm(120);
        libc::signal(libc::SIGUSR1, on_signal as *const () as libc::sighandler_t);
    }
    say(&format!("ready pid={}", std::process::id()));
    std::thread::spawn(|| match std::io::stdin().read_line(&mut String::new()) {
        Ok(n) if n > 0 => LOAD.store(true, SeqCst),
        _ => (),
    });
    while !LOAD.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    load(&kind);
    say("loaded");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
