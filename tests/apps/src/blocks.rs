// SPDX-License-Identifier: LGPL-2.1-or-later
//! Many kinds of blocking calls with ground truth. Usage: blocks [KIND|all|root] [COUNT=endless]
//!
//! Each kind has its own task, whose async fn blocks through a plain function. A plain thread lets
//! them block in turn, one at a time, for 30 to 60 ms, and holds the locks and answers late.
//! Prints one JSON line for each kind before the ready line, then one for each block after it.
//! "root": the same sleeping in the root future of a current-thread runtime instead.
mod common;
mod truth;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Condvar, Mutex, RwLock};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use truth::{at, Place, Truth};

/// What the tasks block on, and the ends that the director holds.
struct Stage {
    fifo: File,
    peer: (TcpStream, TcpStream),
    listener: TcpListener,
    socket: UdpSocket,
    ledger: Mutex<u64>,
    prices: RwLock<u64>,
    bell: (Mutex<bool>, Condvar),
    cache: parking_lot::Mutex<u64>,
    lock: (File, File),
    pipe: (File, File),
    local: (UnixStream, UnixStream),
}

fn temporary(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("blocks-{}-{name}", std::process::id()))
}

/// Open for both directions: neither open(2) nor the end of a writer matters then.
fn fifo() -> File {
    let path = temporary("fifo");
    let name = std::ffi::CString::new(path.to_str().expect("path")).expect("path");
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0, "mkfifo {path:?}");
    let file = File::options().read(true).write(true).open(&path).expect("open the FIFO");
    std::fs::remove_file(&path).expect("remove the FIFO");
    file
}

/// One file, opened twice: flock(2) locks belong to the open file.
fn lock_file() -> (File, File) {
    let path = temporary("lock");
    let open = || File::options().write(true).create(true).truncate(false).open(&path);
    let pair = (open().expect("lock file"), open().expect("lock file"));
    std::fs::remove_file(&path).expect("remove the lock file");
    pair
}

fn pipe() -> (File, File) {
    let mut fds = [0; 2];
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0, "pipe2");
    unsafe { (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1])) }
}

impl Stage {
    fn new() -> &'static Stage {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let near = connect(&listener);
        let far = listener.accept().expect("accept").0;
        Box::leak(Box::new(Stage {
            fifo: fifo(),
            peer: (near, far),
            listener,
            socket: UdpSocket::bind("127.0.0.1:0").expect("bind"),
            ledger: Mutex::new(0),
            prices: RwLock::new(0),
            bell: (Mutex::new(false), Condvar::new()),
            cache: parking_lot::Mutex::new(0),
            lock: lock_file(),
            pipe: pipe(),
            local: UnixStream::pair().expect("socketpair"),
        }))
    }
}

fn connect(listener: &TcpListener) -> TcpStream {
    TcpStream::connect(listener.local_addr().expect("address")).expect("connect")
}

// --- the helpers: the functions that a finding is to name -------------------------------------

#[inline(never)]
fn wait_a_little(time: Duration) {
    at!(Sleep, thread::sleep(time));
}

fn read_from_fifo(mut fifo: &File) -> u8 {
    let mut buf = [0];
    at!(Fifo, fifo.read(&mut buf)).expect("read");
    buf[0]
}

#[inline(never)]
fn read_answer(mut peer: &TcpStream) -> u8 {
    let mut buf = [0];
    at!(TcpRead, peer.read(&mut buf)).expect("read");
    buf[0]
}

fn wait_for_customer(listener: &TcpListener) -> TcpStream {
    let (stream, _) = at!(Accept, listener.accept()).expect("accept");
    stream
}

#[inline(never)]
fn listen_for_beacon(socket: &UdpSocket, time: Duration) -> usize {
    let mut buf = [0; 16];
    socket.set_read_timeout(Some(time)).expect("timeout");
    at!(Udp, socket.recv(&mut buf)).unwrap_or(0)
}

fn run_converter(time: Duration) -> bool {
    let mut command = Command::new("sleep");
    command.arg(time.as_secs_f64().to_string());
    let status = at!(Process, command.status()).expect("sleep(1)");
    status.success()
}

#[inline(never)]
fn book_sale(ledger: &Mutex<u64>) -> u64 {
    let mut total = at!(StdMutex, ledger.lock()).expect("ledger");
    *total += 1;
    *total
}

fn look_up_price(prices: &RwLock<u64>) -> u64 {
    let price = at!(StdRwLock, prices.read()).expect("prices");
    *price
}

#[inline(never)]
fn wait_for_bell(bell: &Mutex<bool>, rung: &Condvar, time: Duration) -> bool {
    let guard = bell.lock().expect("bell");
    let (guard, _) = at!(CondvarWait, rung.wait_timeout(guard, time)).expect("bell");
    *guard
}

fn take_next_order(time: Duration) -> u64 {
    let (_keep, orders) = channel::<u64>();
    at!(Recv, orders.recv_timeout(time)).unwrap_or(0)
}

#[inline(never)]
fn refresh_cache(cache: &parking_lot::Mutex<u64>) -> u64 {
    let mut entries = at!(ParkingLot, cache.lock());
    *entries += 1;
    *entries
}

fn join_counter(time: Duration) -> u64 {
    let counter = thread::spawn(move || {
        thread::sleep(time);
        1
    });
    at!(Join, counter.join()).expect("counter")
}

#[inline(never)]
fn ask_exchange(time: Duration) -> u64 {
    let (answer, question) = oneshot::channel();
    thread::spawn(move || {
        thread::sleep(time);
        let _ = answer.send(1);
    });
    at!(BlockOn, futures_executor::block_on(question)).expect("exchange")
}

fn lock_archive(archive: &File) {
    let fd = archive.as_raw_fd();
    let got = at!(Flock, unsafe { libc::flock(fd, libc::LOCK_EX) });
    assert_eq!(got, 0, "flock");
    unsafe { libc::flock(fd, libc::LOCK_UN) };
}

#[inline(never)]
fn rest_until_called(time: Duration) {
    at!(Park, thread::park_timeout(time));
}

fn watch_gauge(gauge: &File) -> u8 {
    let mut fds = libc::pollfd { fd: gauge.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let got = at!(Poll, unsafe { libc::poll(&mut fds, 1, 1000) });
    assert_eq!(got, 1, "poll");
    let mut buf = [0];
    let mut gauge = gauge;
    gauge.read_exact(&mut buf).expect("read");
    buf[0]
}

#[inline(never)]
fn read_from_daemon(mut daemon: &UnixStream) -> u8 {
    let mut buf = [0];
    at!(UnixRead, daemon.read(&mut buf)).expect("read");
    buf[0]
}

#[inline(never)]
fn copy_in_place(time: Duration) {
    at!(InPlace, thread::sleep(time));
}

#[inline(never)]
fn copy_elsewhere(time: Duration) {
    at!(Elsewhere, thread::sleep(time));
}

#[inline(never)]
fn wait_at_root(time: Duration) {
    at!(Root, thread::sleep(time));
}

// --- the tasks --------------------------------------------------------------------------------

/// A task's end of the play: it waits for its turn, then reports how long it was blocked.
struct Turns {
    stage: &'static Stage,
    turn: mpsc::UnboundedReceiver<Duration>,
    begun: Sender<()>,
    ended: Sender<Block>,
    start_ns: u64,
}

struct Block {
    /// Null for the root future.
    task: Option<tokio::task::Id>,
    start_ns: u64,
    ns: u64,
}

impl Turns {
    async fn next(&mut self) -> Option<Duration> {
        let time = self.turn.recv().await?;
        let _ = self.begun.send(());
        self.start_ns = common::mono_ns();
        Some(time)
    }

    fn end(&mut self) {
        let ns = common::mono_ns() - self.start_ns;
        let task = tokio::task::try_id();
        let _ = self.ended.send(Block { task, start_ns: self.start_ns, ns });
    }
}

/// `async fn NAME`: whenever it is its turn, `BLOCK`, with the stage and the time at hand.
macro_rules! site {
    ($name:ident, |$stage:pat_param, $time:pat_param| $block:expr) => {
        async fn $name(mut turns: Turns) {
            while let Some($time) = turns.next().await {
                let $stage = turns.stage;
                std::hint::black_box($block);
                turns.end();
            }
        }
    };
}

site!(nightly_pause, |_, time| wait_a_little(time));
site!(load_report, |stage, _| read_from_fifo(&stage.fifo));
site!(ask_warehouse, |stage, _| read_answer(&stage.peer.0));
site!(open_door, |stage, _| wait_for_customer(&stage.listener));
site!(find_printer, |stage, time| listen_for_beacon(&stage.socket, time));
site!(convert_image, |_, time| run_converter(time));
site!(close_day, |stage, _| book_sale(&stage.ledger));
site!(print_label, |stage, _| look_up_price(&stage.prices));
site!(end_shift, |stage, time| wait_for_bell(&stage.bell.0, &stage.bell.1, time));
site!(pack_parcel, |_, time| take_next_order(time));
site!(show_shelf, |stage, _| refresh_cache(&stage.cache));
site!(take_stock, |_, time| join_counter(time));
site!(convert_money, |_, time| ask_exchange(time));
site!(file_invoice, |stage, _| lock_archive(&stage.lock.0));
site!(guard_gate, |_, time| rest_until_called(time));
site!(heat_hall, |stage, _| watch_gauge(&stage.pipe.0));
site!(send_mail, |stage, _| read_from_daemon(&stage.local.0));
site!(back_up, |_, time| tokio::task::block_in_place(|| copy_in_place(time)));
site!(archive_mail, |_, time| tokio::task::spawn_blocking(move || copy_elsewhere(time)).await);
site!(serve_alone, |_, time| wait_at_root(time));

// --- the director -----------------------------------------------------------------------------

/// What the director does around a block: `go` lets the task begin and returns when it has.
type Partner = fn(&Stage, Duration, go: &dyn Fn());

fn just_go(_: &Stage, _: Duration, go: &dyn Fn()) {
    go();
}

fn feed(stage: &Stage, time: Duration, go: &dyn Fn()) {
    late(time, go, &stage.fifo);
}

fn answer(stage: &Stage, time: Duration, go: &dyn Fn()) {
    late(time, go, &stage.peer.1);
}

fn raise_gauge(stage: &Stage, time: Duration, go: &dyn Fn()) {
    late(time, go, &stage.pipe.1);
}

fn reply(stage: &Stage, time: Duration, go: &dyn Fn()) {
    late(time, go, &stage.local.1);
}

fn late(time: Duration, go: &dyn Fn(), mut to: impl Write) {
    go();
    thread::sleep(time);
    to.write_all(b"x").expect("write");
}

fn come_in(stage: &Stage, time: Duration, go: &dyn Fn()) {
    go();
    thread::sleep(time);
    connect(&stage.listener);
}

fn hold_ledger(stage: &Stage, time: Duration, go: &dyn Fn()) {
    let _held = stage.ledger.lock();
    go();
    thread::sleep(time);
}

fn hold_prices(stage: &Stage, time: Duration, go: &dyn Fn()) {
    let _held = stage.prices.write();
    go();
    thread::sleep(time);
}

fn hold_cache(stage: &Stage, time: Duration, go: &dyn Fn()) {
    let _held = stage.cache.lock();
    go();
    thread::sleep(time);
}

fn hold_archive(stage: &Stage, time: Duration, go: &dyn Fn()) {
    let fd = stage.lock.1.as_raw_fd();
    assert_eq!(unsafe { libc::flock(fd, libc::LOCK_EX) }, 0, "flock");
    go();
    thread::sleep(time);
    unsafe { libc::flock(fd, libc::LOCK_UN) };
}

struct Kind {
    truth: Truth,
    /// Spawns the task. As a function, so that its type is the async fn's.
    spawn: fn(Turns),
    partner: Partner,
}

/// Rows of: marker, name, async fn, helper, never inlined, partner, call, system calls, fault.
macro_rules! kinds {
    ($($mark:ident $name:literal $site:ident $helper:ident $never:literal $partner:ident
       $call:literal [$($syscall:literal),*] $fault:literal;)*) => {
        $(struct $mark;)*

        fn kinds() -> Vec<Kind> {
            vec![$(Kind {
                truth: Truth {
                    kind: $name,
                    fault: $fault,
                    site: truth::path(&$site),
                    function: truth::path(&$helper),
                    never_inlined: $never,
                    file: file!(),
                    line: $mark::LINE,
                    call: $call,
                    syscalls: &[$($syscall),*],
                },
                spawn: |turns| drop(tokio::spawn($site(turns))),
                partner: $partner,
            }),*]
        }
    };
}

#[rustfmt::skip]
kinds! {
    Sleep "sleep" nightly_pause wait_a_little true just_go
        "std::thread::sleep" ["clock_nanosleep"] true;
    Fifo "fifo" load_report read_from_fifo false feed
        "std::fs::File::read" ["read"] true;
    TcpRead "tcp_read" ask_warehouse read_answer true answer
        "std::net::TcpStream::read" ["recvfrom"] true;
    Accept "accept" open_door wait_for_customer false come_in
        "std::net::TcpListener::accept" ["accept4"] true;
    Udp "udp_recv" find_printer listen_for_beacon true just_go
        "std::net::UdpSocket::recv" ["recvfrom"] true;
    Process "process" convert_image run_converter false just_go
        "std::process::Command::status" ["wait4"] true;
    StdMutex "mutex" close_day book_sale true hold_ledger
        "std::sync::Mutex::lock" ["futex"] true;
    StdRwLock "rwlock" print_label look_up_price false hold_prices
        "std::sync::RwLock::read" ["futex"] true;
    CondvarWait "condvar" end_shift wait_for_bell true just_go
        "std::sync::Condvar::wait_timeout" ["futex"] true;
    Recv "mpsc" pack_parcel take_next_order false just_go
        "std::sync::mpsc::Receiver::recv_timeout" ["futex"] true;
    ParkingLot "parking_lot" show_shelf refresh_cache true hold_cache
        "parking_lot::Mutex::lock" ["futex"] true;
    Join "join" take_stock join_counter false just_go
        "std::thread::JoinHandle::join" ["futex"] true;
    BlockOn "block_on" convert_money ask_exchange true just_go
        "futures::executor::block_on" ["futex"] true;
    Flock "flock" file_invoice lock_archive false hold_archive
        "libc::flock" ["flock"] true;
    Park "park" guard_gate rest_until_called true just_go
        "std::thread::park_timeout" ["futex"] true;
    Poll "poll" heat_hall watch_gauge false raise_gauge
        "libc::poll" ["poll"] true;
    UnixRead "unix_read" send_mail read_from_daemon true reply
        "std::os::unix::net::UnixStream::read" ["recvfrom"] true;
    InPlace "block_in_place" back_up copy_in_place true just_go
        "std::thread::sleep" ["clock_nanosleep"] false;
    Elsewhere "spawn_blocking" archive_mail copy_elsewhere true just_go
        "std::thread::sleep" ["clock_nanosleep"] false;
    Root "root" serve_alone wait_at_root true just_go
        "std::thread::sleep" ["clock_nanosleep"] true;
}

/// The director's end of a task's play.
struct Actor {
    kind: Kind,
    turn: mpsc::UnboundedSender<Duration>,
    begun: Receiver<()>,
    ended: Receiver<Block>,
}

fn cast(kind: Kind, stage: &'static Stage) -> (Actor, Turns) {
    let (turn, turns) = mpsc::unbounded_channel();
    let ((begin, begun), (end, ended)) = (channel(), channel());
    let turns = Turns { stage, turn: turns, begun: begin, ended: end, start_ns: 0 };
    (Actor { kind, turn, begun, ended }, turns)
}

fn direct(actors: Vec<Actor>, stage: &'static Stage, count: u64) {
    for n in 0..count {
        let actor = &actors[n as usize % actors.len()];
        let time = Duration::from_millis(30 + n * 7 % 31);
        (actor.kind.partner)(stage, time, &|| {
            actor.turn.send(time).expect("a task ended");
            actor.begun.recv().expect("a task ended");
        });
        let block = actor.ended.recv().expect("a task ended");
        let task = block.task.map_or("null".into(), |id| id.to_string());
        let when = format!("\"start_ns\":{},\"ns\":{}", block.start_ns, block.ns);
        let kind = actor.kind.truth.kind;
        common::say(&format!("{{\"block\":{n},\"kind\":\"{kind}\",\"task\":{task},{when}}}"));
        thread::sleep(Duration::from_millis(5));
    }
    common::say("{\"done\":true}");
    loop {
        thread::park();
    }
}

/// Starts the play when the program is ready.
fn begin(actors: Vec<Actor>, stage: &'static Stage) {
    let count = common::arg(2, u64::MAX);
    common::ready();
    thread::spawn(move || direct(actors, stage, count));
}

fn main() {
    common::limit_life();
    let wanted = common::arg(1, "all".to_string());
    let mut kinds = kinds();
    kinds.retain(|k| k.truth.kind == wanted || wanted == "all" && k.truth.kind != "root");
    assert!(!kinds.is_empty(), "no kind {wanted}");
    kinds.iter().for_each(|kind| common::say(&kind.truth.json()));
    let stage = Stage::new();
    let (actors, mut turns): (Vec<_>, Vec<_>) = kinds.into_iter().map(|k| cast(k, stage)).unzip();
    if wanted == "root" {
        let rt = Builder::new_current_thread().enable_all().build().expect("runtime");
        rt.block_on(common::work_beside());
        begin(actors, stage);
        return rt.block_on(serve_alone(turns.remove(0)));
    }
    common::runtime(2).block_on(async move {
        common::work_beside().await;
        actors.iter().zip(turns).for_each(|(actor, turns)| (actor.kind.spawn)(turns));
        begin(actors, stage);
        std::future::pending::<()>().await
    });
}
