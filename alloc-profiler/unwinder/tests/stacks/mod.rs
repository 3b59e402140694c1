//! Stacks of every kind, on each of which our unwinder, the platform's, framehop and, where the program has them, frame
//! pointers must find the same call chain, to the last frame. Stacks lead through recursion, closures, trait objects,
//! callbacks from C, panics in flight, async polls, thread starts and signals, and are deeper than we keep. Some thousand in
//! a row have their outer frames in common, and some thousand were there before, or begin as others did.
//!
//! An example shares them, so that a program that is built in another way can run through them too.

#[cfg(by_tables)]
mod by_framehop;
#[cfg(by_tables)]
mod others;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use unwinder::{CodeAddress, Cookie, MAX_STACK_DEPTH, Remember};

thread_local! {
    /// What was compared, and how deep.
    static SEEN: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
    /// The walks that the unwinder was asked to remember, leaf first: a walk's cookie is its index plus one.
    static REMEMBERED: RefCell<Vec<Vec<CodeAddress>>> = const { RefCell::new(Vec::new()) };
    static REMEMBER: Cell<Remember> = const { Cell::new(Remember::LastWalk) };
    /// The callers of the function that raises signals, leaf first, as the platform's unwinder finds them.
    static BEFORE_SIGNALS: RefCell<Vec<CodeAddress>> = const { RefCell::new(Vec::new()) };
    /// Walks that were met again.
    static MET: Cell<usize> = const { Cell::new(0) };
}

/// Returns the stack from this function's caller outwards, leaf first, as our unwinder and the platform's find it.
#[inline(never)]
fn unwind_both() -> [Vec<CodeAddress>; 2] {
    let (mut room, mut platforms_room) = (unwinder::room(), unwinder::room());
    unwinder::prepare();
    unwinder::prepare_thread();
    let walk = unwinder::capture(&mut room, REMEMBER.get());
    let ours = match walk.met() {
        Some(Cookie(number)) => {
            assert!(walk.frames().is_empty() && !walk.is_cut() && !walk.is_truncated());
            MET.set(MET.get() + 1);
            REMEMBERED.with_borrow(|remembered| remembered[number.get() - 1].clone())
        }
        None => {
            assert_eq!(walk.hash(), unwinder::hash_of(walk.frames()));
            let frames: Vec<_> = walk.frames().iter().rev().copied().collect();
            let number = REMEMBERED.with_borrow_mut(|remembered| {
                remembered.push(frames.clone());
                NonZeroUsize::new(remembered.len()).expect("one was pushed")
            });
            walk.remember(Cookie(number));
            frames
        }
    };
    let platforms = unwinder::capture_by_platform(&mut platforms_room);
    [ours, platforms.frames().iter().rev().copied().collect()]
}

#[inline(never)]
fn compare(what: &'static str) {
    let [ours, platforms] = unwind_both();
    assert!(what == "signal" || ours.iter().all(|frame| frame.is_return_address()), "{what}: {ours:?}");
    let is_same = |(a, b): &(&CodeAddress, &CodeAddress)| a.address() == b.address();
    let same = ours.iter().zip(&platforms).take_while(is_same).count();
    // On aarch64 the platform's walk ends at the instruction that was interrupted. Beyond are the callers of the function that
    // raised the signal, which it has found before.
    let is_rest_known = cfg!(target_arch = "aarch64")
        && what == "signal"
        && same > 3
        && BEFORE_SIGNALS.with_borrow(|callers| !callers.is_empty() && ours.ends_with(callers));
    assert!(
        (same == ours.len() || is_rest_known) && same == platforms.len() && same > 2,
        "{what}: the same for {same} frames\nours:       {ours:?}\nplatform's: {platforms:?}\n{}",
        std::backtrace::Backtrace::force_capture()
    );
    #[cfg(by_tables)]
    others::compare(what, &ours, by_framehop::Registers::here());
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

/// A frame larger by some words below an aligned one, which may stand at the same place all the same: then what is left
/// of another such call lies between the two.
#[inline(never)]
fn below_an_aligned_frame<const WORDS: usize>() -> u64 {
    let words = black_box([0; WORDS]);
    over_aligned("an aligned frame at the same place");
    // By no call, which would leave another return address there.
    words[0]
}

/// Calls itself through other functions as `numbers` says, and compares at each return and between calls: stacks
/// that have their outer frames in common with the one before, at any depth.
fn wander(numbers: &mut dyn Iterator<Item = u64>, depth: usize) {
    #[inline(never)]
    fn plainly(numbers: &mut dyn Iterator<Item = u64>, depth: usize) {
        // From two places: what is called is the same, at the same place on the stack.
        branch(numbers, depth);
        black_box(depth);
        branch(numbers, depth);
        black_box(depth);
    }
    #[inline(never)]
    fn over_aligned(numbers: &mut dyn Iterator<Item = u64>, depth: usize) {
        #[repr(align(128))]
        struct Aligned([u8; 128]);
        let aligned = black_box(Aligned([1; 128]));
        branch(numbers, depth);
        black_box(&aligned.0);
    }
    #[inline(never)]
    fn of_variable_size(numbers: &mut dyn Iterator<Item = u64>, depth: usize) {
        let large = black_box([depth; 100]);
        branch(numbers, depth);
        black_box(&large);
    }
    #[inline(never)]
    fn through_a_closure(numbers: &mut dyn Iterator<Item = u64>, depth: usize) {
        (0..black_box(2)).for_each(|_| branch(numbers, depth + 1));
        black_box(depth);
    }
    #[inline(never)]
    fn branch(numbers: &mut dyn Iterator<Item = u64>, depth: usize) {
        for _ in 0..2 {
            match numbers.next() {
                None | Some(0..3) => {}
                _ if depth > 150 => {}
                Some(3..6) => plainly(numbers, depth + 1),
                Some(6..8) => over_aligned(numbers, depth + 1),
                Some(8..10) => of_variable_size(numbers, depth + 1),
                Some(_) => through_a_closure(numbers, depth + 1),
            }
            compare("wandering");
        }
        black_box(depth);
    }
    plainly(numbers, depth);
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

/// Compares the unwinders on all of them, and returns how many stacks there were. It is called once in a process.
///
/// # Panics
///
/// It panics if the unwinders differ. Where a panic aborts, stacks with a panic in flight are left out.
pub(crate) fn compare_all() -> usize {
    compare("function");
    for depth in [1, 10, 100, 1000] {
        recurse(depth, "recursion");
    }
    over_aligned("an aligned frame");
    let visitors: [Box<dyn Visitor>; 2] =
        [Box::new(|| compare("trait object")), Box::new(|| recurse(3, "closure"))];
    visitors.iter().for_each(|visitor| visitor.visit());
    compare_many();
    compare_in_panics();
    let mut future = pin!(async { inner().await });
    let mut context = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {}
    compare_in_a_thread();
    let mut numbers = [3_u64, 1, 2];
    // SAFETY: there are three numbers of eight bytes, and the comparison reads none of them.
    unsafe { libc::qsort(numbers.as_mut_ptr().cast(), 3, 8, Some(order)) };
    compare_in_signals();

    let seen = SEEN.take();
    let count = |what| seen.iter().filter(|(seen, _)| *seen == what).count();
    assert!(count("wandering") > 10_000);
    assert!(seen.len() >= 17, "{seen:?}");
    assert_eq!(seen.iter().map(|&(_, depth)| depth).max(), Some(MAX_STACK_DEPTH));
    seen.len()
}

/// Some thousand stacks that have their outer frames in common with the one before, or were there before.
fn compare_many() {
    let mut state = 1_u64;
    let numbers = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 11
    });
    let first: Vec<u64> = numbers.take(5000).collect();
    let mut numbers = first.iter().copied().peekable();
    while numbers.peek().is_some() {
        wander(&mut numbers, 0);
    }
    // Whole stacks are remembered from here on: the same few short ways, each of which parts from the others somewhere.
    REMEMBER.set(Remember::WholeWalks);
    for tour in 0..600 {
        wander(&mut first.chunks(12).nth(tour % 5).expect("there are more").iter().copied(), 0);
    }
    for _ in 0..200 {
        // Each leaves above the next one's place what the next one does not write over.
        let calls: [fn() -> u64; 6] = [
            below_an_aligned_frame::<22>,
            below_an_aligned_frame::<18>,
            below_an_aligned_frame::<14>,
            below_an_aligned_frame::<10>,
            below_an_aligned_frame::<5>,
            below_an_aligned_frame::<1>,
        ];
        black_box(calls.map(|call| call()));
    }
    assert!(MET.get() > 1000, "{} walks were met again", MET.get());
    REMEMBER.set(Remember::Nothing);
    recurse(20, "nothing is remembered");
    REMEMBER.set(Remember::LastWalk);
}

fn compare_in_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| compare("panic hook")));
    let panicking = || {
        let _guard = ComparesOnDrop("panic in flight");
        let none: Option<u8> = black_box(None);
        none.expect("a panic")
    };
    if cfg!(panic = "unwind") {
        std::panic::catch_unwind(panicking).expect_err("it panics");
    }
    std::panic::set_hook(hook);
}

fn compare_in_a_thread() {
    let (to_thread, in_thread) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        in_thread.iter().for_each(drop);
        recurse(5, "thread");
        SEEN.with_borrow(Vec::clone)
    });
    drop(to_thread);
    let seen_in_thread = thread.expect("a thread").join().expect("no panic");
    assert_eq!(seen_in_thread.len(), 1);
}

#[inline(never)]
fn compare_in_signals() {
    let [_, platforms] = unwind_both();
    // The first is in this very function.
    BEFORE_SIGNALS.set(platforms[1..].to_vec());
    // SAFETY: the handler is safe to run where it is raised, synchronously, right here; once on the usual stack and once on
    // one of its own, which outlives its use.
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
}
