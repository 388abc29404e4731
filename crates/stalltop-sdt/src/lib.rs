// SPDX-License-Identifier: LGPL-2.1-or-later
//! The probe points that make any task scheduler visible to stalltop (and to bpftrace, perf,
//! SystemTap): version 1 of the contract, the same as the C header `<stalltop/sdt.h>`. What each
//! argument means, in which order the probes fire and on which thread is in `docs/sdt.md`.
//!
//! A probe that nobody watches is a load, a compare and a jump that is not taken; watched, it is a
//! trap on a one-byte `nop`. No dependencies, no allocation, no `std`. On anything but x86-64 ELF
//! all functions do nothing.
//!
//! ```
//! use core::sync::atomic::AtomicU64;
//! use stalltop_sdt as sdt;
//!
//! sdt::runtime!("my-scheduler", "2.3"); // once a program, outside functions
//!
//! static PUSHED: AtomicU64 = AtomicU64::new(0);
//! static POPPED: AtomicU64 = AtomicU64::new(0);
//! static RUNTIME: sdt::Runtime =
//!     sdt::Runtime::new(4, c"main").inject(sdt::Gauge::between(&PUSHED, &POPPED));
//!
//! fn main() {
//!     let here = sdt::here!();
//!
//!     sdt::runtime_start(&RUNTIME);
//!     sdt::task_spawn(&RUNTIME, 1, c"fetch", here);
//!     sdt::poll_begin(&RUNTIME, 1, c"fetch", here);
//!     // the poll
//!     sdt::poll_end(&RUNTIME, 1, sdt::READY);
//! }
//! ```
//!
//! A task type is the *pair of addresses* of its name and its location: write each pair down in one
//! place and pass it on.
#![no_std]

use core::ffi::{c_char, CStr};
use core::ptr::null;
use core::sync::atomic::AtomicU64;

/// The version of the contract.
pub const VERSION: u32 = 1;
/// For [`poll_end`]: the task waits to be woken.
pub const PENDING: u64 = 0;
/// For [`poll_end`]: it is complete.
pub const READY: u64 = 1;
/// For [`queue_depth`].
pub const QUEUE_INJECT: u64 = 0;
/// For [`queue_depth`].
pub const QUEUE_LOCAL: u64 = 1;
/// For [`queue_depth`].
pub const QUEUE_BLOCKING: u64 = 2;

const MAGIC: u64 = 0x3154_4453_504c_5453; // "STLPSDT1"

/// A counter, or the difference of two, that stalltop reads from outside now and then.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Gauge {
    input: *const AtomicU64,
    output: *const AtomicU64,
}

impl Gauge {
    /// Not kept.
    pub const NONE: Gauge = Gauge {
        input: null(),
        output: null(),
    };

    /// What went in less what came out.
    pub const fn between(input: &'static AtomicU64, output: &'static AtomicU64) -> Gauge {
        Gauge { input, output }
    }

    /// The depth itself.
    pub const fn of(depth: &'static AtomicU64) -> Gauge {
        Gauge {
            input: depth,
            output: null(),
        }
    }
}

/// What a runtime tells of itself in memory: its address is the `runtime` of every probe.
#[repr(C)]
pub struct Runtime {
    magic: u64,
    version: u32,
    workers: u32,
    name: *const c_char,
    local: *const Gauge,
    inject: Gauge,
    alive: Gauge,
    blocking_queue: Gauge,
    blocking_threads: Gauge,
    blocking_idle: Gauge,
}

// SAFETY: the pointers are to statics, which are shared as they are, and nobody writes through them.
unsafe impl Sync for Runtime {}
unsafe impl Send for Runtime {}
unsafe impl Sync for Gauge {}
unsafe impl Send for Gauge {}

impl Runtime {
    pub const fn new(workers: u32, name: &'static CStr) -> Runtime {
        Runtime {
            magic: MAGIC,
            version: VERSION,
            workers,
            name: name.as_ptr(),
            local: null(),
            inject: Gauge::NONE,
            alive: Gauge::NONE,
            blocking_queue: Gauge::NONE,
            blocking_threads: Gauge::NONE,
            blocking_idle: Gauge::NONE,
        }
    }

    /// The run queue of each worker: as many as there are workers, else none is read.
    pub const fn local(mut self, gauges: &'static [Gauge]) -> Runtime {
        if gauges.len() == self.workers as usize {
            self.local = gauges.as_ptr();
        }
        self
    }

    /// Tasks in the shared run queue.
    pub const fn inject(mut self, gauge: Gauge) -> Runtime {
        self.inject = gauge;
        self
    }

    /// Tasks that are not complete.
    pub const fn alive(mut self, gauge: Gauge) -> Runtime {
        self.alive = gauge;
        self
    }

    /// The blocking pool: work that waits, threads, and those without work.
    pub const fn blocking(mut self, queue: Gauge, threads: Gauge, idle: Gauge) -> Runtime {
        self.blocking_queue = queue;
        self.blocking_threads = threads;
        self.blocking_idle = idle;
        self
    }
}

/// `"src/file.rs:12"` as a C string: a location.
#[macro_export]
macro_rules! here {
    () => {{
        const TEXT: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(
            concat!(file!(), ":", line!(), "\0").as_bytes(),
        ) {
            Ok(text) => text,
            Err(_) => panic!("a file name with a NUL"),
        };
        TEXT
    }};
}

/// Names the runtime in the file itself, once a program: `runtime!("name", "version");`
#[cfg(all(target_arch = "x86_64", not(any(target_vendor = "apple", windows))))]
#[macro_export]
macro_rules! runtime {
    ($name:literal, $version:literal) => {
        core::arch::global_asm!(
            ".pushsection .note.stalltop,\"\",@note",
            ".balign 4",
            ".4byte 2f-1f, 4f-3f, 1",
            "1: .asciz \"stalltop\"",
            "2: .balign 4",
            concat!("3: .asciz \"", $name, "\""),
            concat!(".asciz \"", $version, "\""),
            "4: .balign 4",
            ".popsection",
            options(att_syntax)
        );
    };
}

#[cfg(not(all(target_arch = "x86_64", not(any(target_vendor = "apple", windows)))))]
#[macro_export]
macro_rules! runtime {
    ($name:literal, $version:literal) => {};
}

#[cfg(all(target_arch = "x86_64", not(any(target_vendor = "apple", windows))))]
macro_rules! probe {
    ($name:literal, $args:literal, $($reg:tt = $value:expr),+) => {{
        /// Raised by the kernel while somebody watches.
        #[used]
        #[link_section = ".probes"]
        static SEMAPHORE: core::sync::atomic::AtomicU16 = core::sync::atomic::AtomicU16::new(0);

        if SEMAPHORE.load(core::sync::atomic::Ordering::Relaxed) != 0 {
            // SAFETY: a nop that changes nothing; the arguments are only put where they are read.
            unsafe {
                core::arch::asm!(
                    "990: nop",
                    ".pushsection .note.stapsdt,\"?\",@note",
                    ".balign 4",
                    ".4byte 992f-991f, 994f-993f, 3",
                    "991: .asciz \"stapsdt\"",
                    "992: .balign 4",
                    "993: .8byte 990b, _.stapsdt.base, {semaphore}",
                    ".asciz \"stalltop\"",
                    concat!(".asciz \"", $name, "\""),
                    concat!(".asciz \"", $args, "\""),
                    "994: .balign 4",
                    ".popsection",
                    ".ifndef _.stapsdt.base",
                    ".pushsection .stapsdt.base,\"aG\",@progbits,.stapsdt.base,comdat",
                    ".weak _.stapsdt.base",
                    ".hidden _.stapsdt.base",
                    "_.stapsdt.base: .space 1",
                    ".size _.stapsdt.base, 1",
                    ".popsection",
                    ".endif",
                    semaphore = sym SEMAPHORE,
                    $(in($reg) $value,)+
                    options(att_syntax, nostack, preserves_flags)
                );
            }
        }
    }};
}

#[cfg(not(all(target_arch = "x86_64", not(any(target_vendor = "apple", windows)))))]
macro_rules! probe {
    ($name:literal, $args:literal, $($reg:tt = $value:expr),+) => {{
        $(let _ = $value;)+
    }};
}

macro_rules! probes {
    ($($(#[$doc:meta])* $fn:ident, $name:literal, ($($arg:ident),*);)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub fn $fn(runtime: &'static Runtime $(, $arg: u64)*) {
                probes!(@fire $name, runtime $(, $arg)*);
            }
        )*
    };
    (@fire $name:literal, $r:ident) => {
        probe!($name, "8@%rdi", "rdi" = $r as *const Runtime as u64)
    };
    (@fire $name:literal, $r:ident, $a:ident) => {
        probe!($name, "8@%rdi 8@%rsi", "rdi" = $r as *const Runtime as u64, "rsi" = $a)
    };
    (@fire $name:literal, $r:ident, $a:ident, $b:ident) => {
        probe!($name, "8@%rdi 8@%rsi 8@%rdx", "rdi" = $r as *const Runtime as u64, "rsi" = $a,
               "rdx" = $b)
    };
    (@fire $name:literal, $r:ident, $a:ident, $b:ident, $c:ident) => {
        probe!($name, "8@%rdi 8@%rsi 8@%rdx 8@%rcx", "rdi" = $r as *const Runtime as u64,
               "rsi" = $a, "rdx" = $b, "rcx" = $c)
    };
}

/// Before the first worker starts.
#[inline]
pub fn runtime_start(runtime: &'static Runtime) {
    probe!(
        "runtime__start",
        "8@%rdi 8@%rsi 8@%rdx",
        "rdi" = runtime as *const Runtime as u64,
        "rsi" = runtime.name as u64,
        "rdx" = u64::from(runtime.workers)
    );
}

/// Before the task can be polled. `task`: not 0, below 2^48, of no other living task.
#[inline]
pub fn task_spawn(
    runtime: &'static Runtime,
    task: u64,
    name: &'static CStr,
    location: &'static CStr,
) {
    probe!(
        "task__spawn",
        "8@%rdi 8@%rsi 8@%rdx 8@%rcx",
        "rdi" = runtime as *const Runtime as u64,
        "rsi" = task,
        "rdx" = name.as_ptr() as u64,
        "rcx" = location.as_ptr() as u64
    );
}

/// On the polling thread, before the poll.
#[inline]
pub fn poll_begin(
    runtime: &'static Runtime,
    task: u64,
    name: &'static CStr,
    location: &'static CStr,
) {
    probe!(
        "poll__begin",
        "8@%rdi 8@%rsi 8@%rdx 8@%rcx",
        "rdi" = runtime as *const Runtime as u64,
        "rsi" = task,
        "rdx" = name.as_ptr() as u64,
        "rcx" = location.as_ptr() as u64
    );
}

/// On a thread of the blocking pool, before the work.
#[inline]
pub fn blocking_begin(
    runtime: &'static Runtime,
    work: u64,
    name: &'static CStr,
    location: &'static CStr,
) {
    probe!(
        "blocking__begin",
        "8@%rdi 8@%rsi 8@%rdx 8@%rcx",
        "rdi" = runtime as *const Runtime as u64,
        "rsi" = work,
        "rdx" = name.as_ptr() as u64,
        "rcx" = location.as_ptr() as u64
    );
}

probes! {
    /// After the last worker stopped.
    runtime_stop, "runtime__stop", ();
    /// On the worker's thread, first.
    worker_start, "worker__start", (index);
    /// On it, before it waits for work.
    worker_park, "worker__park", (index);
    /// On it, after.
    worker_unpark, "worker__unpark", (index);
    /// On it, last.
    worker_stop, "worker__stop", (index);
    /// On the same thread as its begin, after the poll: [`PENDING`] or [`READY`].
    poll_end, "poll__end", (task, end);
    /// Any thread, before the task is put into a run queue again.
    task_wake, "task__wake", (task);
    /// After its last poll.
    task_complete, "task__complete", (task);
    /// Nobody holds its handle any more.
    task_detach, "task__detach", (task);
    /// Its memory is freed: the last that is heard of it.
    task_drop, "task__drop", (task);
    /// Where there are no gauges: how many are in a queue now.
    queue_depth, "queue__depth", (kind, index, depth);
    /// On the pool's thread, after the work.
    blocking_end, "blocking__end", (work);
}
