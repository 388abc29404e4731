// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tasks of several types, of which one is spawned in three places, and a poll that waits for a
//! page of memory. A JSON line for each place says which function spawns what on which line, and
//! what part of the tasks of that type it spawns; one more says where the page is waited for.
mod common;
mod truth;

use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::sleep;
use truth::{at, path, Place};

const EVERY: Duration = Duration::from_millis(60);
const PAGE_WAIT: Duration = Duration::from_millis(40);

struct Bell;
struct FrontDoor;
struct BackDoor;
struct Window;
struct NightShift;
struct Cellar;

async fn ring() {
    sleep(Duration::from_millis(300)).await;
}

async fn carry_parcel(weight: u32) -> u32 {
    sleep(Duration::from_millis(320)).await;
    weight + 1
}

async fn doze() {
    sleep(Duration::from_millis(340)).await;
}

#[inline(never)]
fn strike_bell() {
    drop(at!(Bell, tokio::spawn(ring())));
}

#[inline(never)]
fn open_front_door() {
    drop(at!(FrontDoor, tokio::spawn(carry_parcel(1))));
}

#[inline(never)]
fn open_back_door() {
    drop(at!(BackDoor, tokio::spawn(carry_parcel(2))));
}

#[inline(never)]
fn open_window() {
    drop(at!(Window, tokio::spawn(carry_parcel(3))));
}

#[inline(never)]
fn begin_night_shift() {
    drop(at!(NightShift, tokio::task::spawn_local(doze())));
}

async fn house() {
    loop {
        for n in 0..6 {
            sleep(EVERY).await;
            strike_bell();
            match n {
                0 => open_window(),
                1 | 2 => open_back_door(),
                _ => open_front_door(),
            }
        }
    }
}

async fn night() {
    loop {
        sleep(EVERY).await;
        begin_night_shift();
    }
}

/// A page that takes its time: userfaultfd(2) hands its faults to a thread, which waits.
struct SlowPage {
    page: *mut u8,
    fd: i32,
}

unsafe impl Send for SlowPage {}

#[repr(C)]
struct UffdApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdRange {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;

fn slow_page() -> Option<SlowPage> {
    let (rw, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    unsafe {
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32;
        let page = libc::mmap(std::ptr::null_mut(), 4096, rw, private, -1, 0);
        let mut api = UffdApi { api: 0xaa, features: 0, ioctls: 0 };
        let mut range = UffdRange { start: page as u64, len: 4096, mode: 1, ioctls: 0 };
        let fine = fd >= 0
            && libc::ioctl(fd, UFFDIO_API, &mut api) == 0
            && libc::ioctl(fd, UFFDIO_REGISTER, &mut range) == 0;
        fine.then_some(SlowPage { page: page.cast(), fd })
    }
}

fn serve_page(page: u64, fd: i32) {
    let mut message = [0u8; 32];
    while unsafe { libc::read(fd, message.as_mut_ptr().cast(), 32) } == 32 {
        std::thread::sleep(PAGE_WAIT);
        let mut zero = UffdRange { start: page, len: 4096, mode: 0, ioctls: 0 };
        unsafe { libc::ioctl(fd, UFFDIO_ZEROPAGE, &mut zero) };
    }
}

#[inline(never)]
fn touch_page(page: *mut u8) -> u8 {
    at!(Cellar, unsafe { page.read_volatile() })
}

async fn search_cellar(slow: SlowPage) {
    let slow = slow;
    loop {
        sleep(Duration::from_millis(300)).await;
        touch_page(slow.page);
        unsafe { libc::madvise(slow.page.cast(), 4096, libc::MADV_DONTNEED) };
    }
}

fn tell<P: Place>(_: P, what: &str, site: &str, function: &str, share: f64) {
    let place = format!("\"file\":\"{}\",\"line\":{}", file!(), P::LINE);
    common::say(&format!(
        "{{\"what\":\"{what}\",\"site\":\"{site}\",\"function\":\"{function}\",{place},\"share\":{share}}}"
    ));
}

fn tell_all() {
    tell(Bell, "spawn", path(&ring), path(&strike_bell), 1.0);
    tell(FrontDoor, "spawn", path(&carry_parcel), path(&open_front_door), 0.5);
    tell(BackDoor, "spawn", path(&carry_parcel), path(&open_back_door), 0.3333);
    tell(Window, "spawn", path(&carry_parcel), path(&open_window), 0.1667);
    tell(NightShift, "local", path(&doze), path(&begin_night_shift), 1.0);
}

fn main() {
    common::limit_life();
    tell_all();
    std::thread::spawn(|| {
        let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
        LocalSet::new().block_on(&rt, night());
    });
    common::runtime(2).block_on(async {
        common::work_beside().await;
        tokio::spawn(house());
        if let Some(slow) = slow_page() {
            tell(Cellar, "page", path(&search_cellar), path(&touch_page), 1.0);
            let (page, fd) = (slow.page as u64, slow.fd);
            std::thread::spawn(move || serve_page(page, fd));
            tokio::spawn(search_cellar(slow));
        }
        common::ready();
        std::future::pending::<()>().await
    });
}
