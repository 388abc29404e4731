// SPDX-License-Identifier: LGPL-2.1-or-later
//! Ground truth about planted blocks: which function of the program makes the blocking call, and
//! on which line.

/// The line of a kind's only blocking call: see `at!`.
pub trait Place {
    const LINE: u32;
}

/// `at!(Kind, call)`, on one line: makes the call and says that Kind blocks on this line.
///
/// Then it counts. A call at the end of a function becomes a jump, and the function would rightly
/// be missing from the stack; and the compiler makes one function of two that are alike, so each
/// has a counter of its own.
macro_rules! at {
    ($kind:ty, $call:expr) => {{
        #[allow(non_local_definitions)]
        impl crate::truth::Place for $kind {
            const LINE: u32 = line!();
        }
        static OVER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let got = $call;
        OVER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        got
    }};
}
pub(crate) use at;

/// One kind of block. The functions are told by themselves: `truth::path(&helper)`.
pub struct Truth {
    pub kind: &'static str,
    /// It holds a worker. Otherwise it must not be reported.
    pub fault: bool,
    /// The async fn whose task is polled meanwhile.
    pub site: &'static str,
    /// Makes the call, on `line` of `file`.
    pub function: &'static str,
    /// It is marked #[inline(never)]; otherwise the compiler decides.
    pub never_inlined: bool,
    pub file: &'static str,
    pub line: u32,
    pub call: &'static str,
    pub syscalls: &'static [&'static str],
}

/// The path of a function.
pub fn path<F>(_: &F) -> &'static str {
    std::any::type_name::<F>()
}

impl Truth {
    pub fn json(&self) -> String {
        let who = format!("\"site\":\"{}\",\"function\":\"{}\"", self.site, self.function);
        let place = format!("\"file\":\"{}\",\"line\":{}", self.file, self.line);
        let how = format!("\"fault\":{},\"never_inlined\":{}", self.fault, self.never_inlined);
        let what = format!("\"call\":\"{}\",\"syscalls\":{:?}", self.call, self.syscalls);
        format!("{{\"kind\":\"{}\",{who},{place},{how},{what}}}", self.kind)
    }
}
