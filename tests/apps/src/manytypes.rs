// SPDX-License-Identifier: LGPL-2.1-or-later
//! 1 000 distinct task types in a binary of about 100 MB: for the time that attaching takes.
//! The bulk is 48 MiB of read-only data and 1 MB of relocated pointers, made by the assembler.
mod common;

use std::arch::global_asm;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::sleep;

const BULK: usize = 48 << 20;

global_asm!(
    ".section .rodata.bulk, \"a\", @progbits",
    ".balign 64",
    ".globl stalltop_bulk",
    "stalltop_bulk: .fill {words}, 4, 0x61746164",
    ".section .data.rel.ro.bulk, \"aw\", @progbits",
    ".balign 8",
    ".globl stalltop_pointers",
    "stalltop_pointers:",
    ".rept 131072",
    ".quad stalltop_bulk",
    ".endr",
    ".text",
    words = const BULK / 4,
);

extern "C" {
    static stalltop_bulk: [u8; BULK];
    static stalltop_pointers: [*const u8; 131072];
}

async fn job<const N: u64>() {
    loop {
        sleep(Duration::from_millis(1000 + N % 100)).await;
        std::hint::black_box(N);
    }
}

macro_rules! spawn_ten {
    ($rt:expr, $tens:expr) => {
        $rt.spawn(job::<{ $tens * 10 }>());
        $rt.spawn(job::<{ $tens * 10 + 1 }>());
        $rt.spawn(job::<{ $tens * 10 + 2 }>());
        $rt.spawn(job::<{ $tens * 10 + 3 }>());
        $rt.spawn(job::<{ $tens * 10 + 4 }>());
        $rt.spawn(job::<{ $tens * 10 + 5 }>());
        $rt.spawn(job::<{ $tens * 10 + 6 }>());
        $rt.spawn(job::<{ $tens * 10 + 7 }>());
        $rt.spawn(job::<{ $tens * 10 + 8 }>());
        $rt.spawn(job::<{ $tens * 10 + 9 }>());
    };
}

macro_rules! spawn_hundred {
    ($rt:expr, $hundreds:expr) => {
        spawn_ten!($rt, $hundreds * 10);
        spawn_ten!($rt, $hundreds * 10 + 1);
        spawn_ten!($rt, $hundreds * 10 + 2);
        spawn_ten!($rt, $hundreds * 10 + 3);
        spawn_ten!($rt, $hundreds * 10 + 4);
        spawn_ten!($rt, $hundreds * 10 + 5);
        spawn_ten!($rt, $hundreds * 10 + 6);
        spawn_ten!($rt, $hundreds * 10 + 7);
        spawn_ten!($rt, $hundreds * 10 + 8);
        spawn_ten!($rt, $hundreds * 10 + 9);
    };
}

fn spawn_thousand(rt: &Runtime) {
    spawn_hundred!(rt, 0);
    spawn_hundred!(rt, 1);
    spawn_hundred!(rt, 2);
    spawn_hundred!(rt, 3);
    spawn_hundred!(rt, 4);
    spawn_hundred!(rt, 5);
    spawn_hundred!(rt, 6);
    spawn_hundred!(rt, 7);
    spawn_hundred!(rt, 8);
    spawn_hundred!(rt, 9);
}

fn main() {
    common::limit_life();
    // A reference from code keeps the bulk in the binary.
    std::hint::black_box((&raw const stalltop_bulk, &raw const stalltop_pointers));
    let rt = common::runtime(2);
    spawn_thousand(&rt);
    common::ready();
    rt.block_on(std::future::pending::<()>());
}
