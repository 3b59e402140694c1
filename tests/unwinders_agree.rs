//! Our unwinder and the platform's find the same call chains, to the last frame: through recursion, closures,
//! trait objects, callbacks from C, panics in flight, async polls, thread starts, signals, and deeper than we
//! keep.

use std::cell::RefCell;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use alloc_profiler::{MAX_STACK_DEPTH, testing};

thread_local! {
    /// What was compared, and how deep.
    static SEEN: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
}

#[inline(never)]
fn compare(what: &'static str) {
    let [ours, platforms] = testing::unwind_both();
    // The platform's names the interrupted instruction of a signal's frame, ours what profiles subtract one from.
    let is_same = |(a, b): (&usize, &usize)| a == b || what == "signal" && *a == b + 1;
    let same = ours.iter().zip(&platforms).take_while(|&pair| is_same(pair)).count();
    assert!(
        same == ours.len() && same == platforms.len() && same > 2,
        "{what}: the same for {same} frames\nours:       {ours:x?}\nplatform's: {platforms:x?}\n{}",
        std::backtrace::Backtrace::force_capture()
    );
    SEEN.with_borrow_mut(|seen| seen.push((what, same)));
}

#[inline(never)]
fn recurse(depth: usize, what: &'static str) {
    if depth == 0 {
        compare(what)
    } else {
        recurse(black_box(depth - 1), what)
    }
    black_box(depth);
}

/// A frame of variable size, for which the compiler needs a frame pointer.
#[inline(never)]
fn over_aligned(what: &'static str) {
    #[repr(align(256))]
    struct Aligned([u8; 256]);
    let aligned = black_box(Aligned([1; 256]));
    compare(what);
    black_box(&aligned.0);
}

trait Visitor {
    fn visit(&self);
}

impl<F: Fn()> Visitor for F {
    #[inline(never)]
    fn visit(&self) {
        self();
        black_box(());
    }
}

struct ComparesOnDrop(&'static str);

impl Drop for ComparesOnDrop {
    fn drop(&mut self) {
        compare(self.0);
    }
}

/// Pending once, so that it is polled from two places.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        compare("async poll");
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

async fn inner() {
    Yield(false).await;
    compare("async body");
}

extern "C" fn order(a: *const libc::c_void, b: *const libc::c_void) -> libc::c_int {
    compare("callback from C");
    a.cmp(&b) as libc::c_int
}

extern "C" fn on_signal(_number: libc::c_int) {
    compare("signal");
}

#[test]
fn unwinders_agree() {
    compare("test");
    for depth in [1, 10, 100, 1000] {
        recurse(depth, "recursion");
    }
    over_aligned("an aligned frame");
    let visitors: [Box<dyn Visitor>; 2] =
        [Box::new(|| compare("trait object")), Box::new(|| recurse(3, "closure"))];
    visitors.iter().for_each(|visitor| visitor.visit());

    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| compare("panic hook")));
    let panicking = || {
        let _guard = ComparesOnDrop("panic in flight");
        let none: Option<u8> = black_box(None);
        none.expect("a panic")
    };
    std::panic::catch_unwind(panicking).expect_err("it panics");
    std::panic::set_hook(hook);

    let mut future = pin!(async { inner().await });
    let mut context = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {}

    let (to_thread, in_thread) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        in_thread.iter().for_each(drop);
        recurse(5, "thread");
        SEEN.with_borrow(Vec::clone)
    });
    drop(to_thread);
    let seen_in_thread = thread.expect("a thread").join().expect("no panic");

    let mut numbers = [3_u64, 1, 2];
    // SAFETY: three numbers of eight bytes, and a comparison that reads none of them.
    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 3, 8, Some(order)) };
    // SAFETY: the handler is safe to run where it is raised, synchronously, right here; once on the usual stack
    // and once on one of its own, which outlives its use.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
        libc::raise(libc::SIGUSR1);
        let mut other_stack = vec![0_u8; 256 * 1024];
        let stack =
            libc::stack_t { ss_sp: other_stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: other_stack.len() };
        assert_eq!(libc::sigaltstack(&stack, std::ptr::null_mut()), 0);
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
        libc::raise(libc::SIGUSR1);
        let off = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        assert_eq!(libc::sigaltstack(&off, std::ptr::null_mut()), 0);
    }

    let seen = SEEN.take();
    println!("{seen:?} {seen_in_thread:?}");
    assert_eq!(seen_in_thread.len(), 1);
    assert!(seen.len() >= 17, "{seen:?}");
    assert_eq!(seen.iter().map(|&(_, depth)| depth).max(), Some(MAX_STACK_DEPTH));
}
