//! Call stacks by unwind tables, for callers that may neither lock nor allocate: memory allocators, and handlers of signals.
//!
//! [`capture`] walks over the stack that it is called on, from the caller of the function that owns the [`Room`] outwards.
//! [`capture_from`] walks from given registers, as a signal handler gets them of the code that it interrupted.
//! [`capture_sleeping`] walks over a copy of the stack of another thread, which sleeps. What is found is a [`Walk`]: a
//! [`CodeAddress`] for each frame. [`label`] is a number that each thread carries, so that stacks can be told apart by what they
//! were for.
//!
//! ```
//! #[inline(never)]
//! fn print_callers() {
//!     let mut room = unwinder::room();
//!     let walk = unwinder::capture(&mut room, unwinder::Remember::Nothing);
//!     for frame in walk.frames().iter().rev() {
//!         println!("{:#x}", frame.lookup());
//!     }
//! }
//! unwinder::prepare();
//! unwinder::prepare_thread();
//! print_callers();
//! ```
//!
//! ```text
//! registers ─▶ rule for the address ─▶ caller's registers ─▶ … ─▶ frames
//!                   │ kept? else:
//!                   └─ loader's index ─▶ image, segments ─▶ .eh_frame ─▶ rule, kept
//! ```
//!
//! # What it needs from its caller
//!
//! - **[`prepare`]**, once in a process, from ordinary code: it looks up the loader's index, for which it may take the
//!   loader's lock. Until then, the platform's unwinder takes the stacks.
//! - **[`prepare_thread`]**, once in a thread, from ordinary code or an allocator: it asks the C library where the thread's
//!   stack is, for which that may call `malloc`. In a thread that has not called it, each page of the stack is tried out by
//!   a system call before it is read.
//! - **Room on the stack**: [`has_room`] tells whether enough is left. A walk needs 3 KiB, 6 KiB where it has to evaluate
//!   unwind tables, and 20 KiB in builds without optimization.
//! - **[`begin_anew`]** is called in a child right after `fork`.
//! - **Images stay** as long as functions of them are on a stack that is taken, which whoever closes libraries must see to
//!   anyway.
//!
//! # What it promises
//!
//! - It **allocates nothing**. All of its memory is static, and the system backs pages of it as they are first used: 128 KiB
//!   for rules, up to 70 KiB for each of 64 slots in which walks are remembered, and [`held_bytes`] for images.
//! - It takes **no lock of the loader** and waits for no lock. (The slots of remembered walks have locks, which are tried
//!   once; who does not get one walks without it.)
//! - It uses a **bounded amount of stack**, and a bounded time: at most [`MAX_STACK_DEPTH`] frames are kept, and a walk in
//!   circles ends.
//! - It **reads the stack within bounds**: above the stack pointer and below the end of the thread's own stack, or on pages
//!   that the kernel has just been able to read. So wrong tables and overwritten stacks cut a walk short, and cannot fault.
//!   Images are read within their loaded segments.
//! - It **does not panic**, and leaves `errno` as it was.
//! - It **says what it does not know**: [`Walk::is_truncated`], [`Walk::is_cut`], and an empty walk.
//!
//! # What a signal handler may call
//!
//! A handler may call [`capture`], [`capture_from`] and [`has_room`] once [`prepare`] was called, also where the signal
//! interrupted this very crate, the C library's allocator, or the loader. (Where this crate is in a library that was opened at
//! run time, the loader may allocate thread-local storage at a thread's first use of it. So [`prepare_thread`] must have been
//! called there before [`capture`] and [`has_room`]; [`capture_from`] uses none.)
//! Before that, and where the unwinder is the platform's, it may call nothing. `prepare`, `prepare_thread` and [`images`] are
//! for ordinary code.
//!
//! # What is not promised
//!
//! Where a function has no unwind tables, words on the stack that may be return addresses are looked up, to tell whether it
//! keeps a frame pointer. If such a word leads by chance into a library that another thread closes at that very moment, the
//! library's headers may be gone when they are read.
//!
//! # For which platforms
//!
//! | platform | stacks |
//! |---|---|
//! | Linux on x86-64 or aarch64 with glibc 2.35 or later | all that is said above |
//! | Linux on x86-64 or aarch64 with musl | the same, but in a library that was opened after the last [`prepare`], a walk is cut |
//! | the same with an older glibc, and other Unix systems except musl | by the platform's unwinder, which may lock and allocate |
//! | Windows on x86-64 or aarch64 | by `RtlVirtualUnwind`; which locks Windows takes for that was not looked into |
//! | musl on other processors, Windows in 32 bits, and others | empty: no unwinder there is safe within an allocator |
//!
//! Where the stacks are by the platform, [`has_room`] knows on macOS and on Windows where the thread's stack ends. On the others it
//! takes for granted that there is room.
//!
//! On aarch64, return addresses that are signed (pointer authentication) are known as such. A function whose tables say that it
//! signs by the second key, as no distribution's compiler does by default, cuts a walk.

// No panic may start on the allocation path, so what could start one is not written there.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod address;
mod frames;
#[doc(hidden)]
pub mod hash;
pub mod label;
mod remember;
mod walk;

#[cfg(by_platform)]
mod by_platform;
#[cfg(by_tables)]
mod by_tables;

mod atomic_ref;
mod errno;
// Only our own unwinder meets images, and remembers walks.
#[cfg_attr(not(by_tables), allow(dead_code))]
mod images;
#[cfg_attr(not(by_tables), allow(dead_code))]
mod lock;
#[cfg_attr(not(by_tables), allow(dead_code))]
mod store;

pub use address::CodeAddress;
#[doc(hidden)]
pub use atomic_ref::AtomicRef;
#[doc(hidden)]
pub use errno::keeping_errno;
pub use frames::{MAX_STACK_DEPTH, Room, hash_of, room};
pub use images::{Image, ImageId, images, page_fingerprint, program_entry};
pub use remember::{Cookie, Remember};
pub use walk::Walk;

/// Makes the better unwinder ready, where there is one. With musl, each further call notes the libraries that were opened since. It may take the loader's lock, so the program's own calls lead here,
/// and never an allocator or a signal handler.
///
/// Cost: a look-up of a symbol the first time, then a load.
pub fn prepare() {
    #[cfg(by_tables)]
    by_tables::prepare();
}

/// Whether walks are by unwind tables, so that a signal handler may call [`capture_from`]: [`prepare`] was called, and there is
/// such an unwinder.
///
/// Cost: it loads one word.
#[must_use]
pub fn is_ready() -> bool {
    #[cfg(by_tables)]
    return by_tables::is_ready();
    #[cfg(not(by_tables))]
    false
}

/// Finds out where the calling thread's stack is, if that is not known yet. The C library may call `malloc` for it, and
/// opens no file.
///
/// Cost: some microseconds the first time in a thread, then a load.
pub fn prepare_thread() {
    #[cfg(by_tables)]
    by_tables::prepare_thread();
}

/// Whether enough is left of the stack that we are on for a walk, as far as can be told. `None`: nobody can tell before
/// [`prepare_thread`].
///
/// Cost: some instructions; on a stack that is not the thread's own, up to seven system calls.
#[inline(never)]
#[must_use]
pub fn has_room() -> Option<bool> {
    #[cfg(by_tables)]
    return by_tables::has_room();
    #[cfg(all(by_platform, not(by_tables)))]
    return Some(by_platform::has_room());
    #[cfg(not(any(by_tables, by_platform)))]
    Some(true)
}

/// As [`has_room`], for callers that may be inside the C library, which must not be asked then: it has a lock while it tells where a
/// thread's stack is, and calls `malloc` with it. Before [`prepare_thread`], pages of the stack are tried out.
///
/// Cost: some instructions; before [`prepare_thread`], in a thread that is not the main one, up to seven system calls.
#[inline(never)]
#[must_use]
pub fn has_room_without_asking() -> bool {
    #[cfg(by_tables)]
    return by_tables::has_room_without_asking();
    #[cfg(not(by_tables))]
    has_room().unwrap_or(false)
}

/// Forgets what is half known after a fork. What is known of images stays.
///
/// # Safety
///
/// The calling thread is the only one of its process: the child of a `fork`, before it starts others.
pub unsafe fn begin_anew() {
    #[cfg(by_tables)]
    // SAFETY: the caller's promise, passed on.
    unsafe {
        by_tables::begin_anew();
    }
    #[cfg(by_tables)]
    label::begin_anew();
}

/// The calling stack, from the caller of the function that `room` is a local variable of.
///
/// Frames are told apart by their place on the stack, not counted: how many lie between here and there is the optimizer's
/// business. So `room` must be a local variable of a function on the current stack.
///
/// Cost: 50 ns, and 6 ns for each frame, where its rule is kept; a third of a microsecond where it is not, once for each
/// address. Frames that are compared with a remembered walk take less than 1 ns. `docs/performance.md` of this workspace has
/// how that was measured.
#[inline(always)]
pub fn capture(room: &mut Room, remember: Remember) -> Walk<'_> {
    #[cfg(by_tables)]
    if by_tables::is_ready() {
        return Walk::beside_others(room, |frames| by_tables::fill(frames, by_tables::here(), remember));
    }
    let _ = remember;
    Walk::new(room, |_frames| {
        #[cfg(by_platform)]
        by_platform::fill(_frames);
    })
}

/// The registers that a walk begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The address of the instruction that runs next.
    pub instruction_pointer: usize,
    /// Holds the stack pointer.
    pub stack_pointer: usize,
    /// The frame pointer, whether it is used as one or not.
    pub frame_pointer: usize,
    /// The register that holds the return address at a function's beginning: x30 of aarch64. It is ignored where there is none, and
    /// 0 says that it is not known.
    pub link_register: usize,
}

/// The stack of code that was interrupted, the interrupted instruction included, from the registers that a signal handler
/// gets. Nothing is remembered of it. Empty before [`prepare`], and where the unwinder is the platform's.
///
/// `stack_end` is the address where the stack ends that the stack pointer is on, if the caller knows it. Without it, each page
/// is tried out by a system call. No thread-local is asked, and of the C library nothing is called but the loader's index
/// and what copies and compares memory: `scripts/check-handler.py` of this workspace follows all calls.
///
/// Cost: that of [`capture`] with [`Remember::Nothing`], and a system call for each page of a stack whose end is not given.
///
/// # Safety
///
/// The registers are those of the calling thread, and the code that they belong to does not go on before this returns. Until
/// then, everything from the stack pointer to `stack_end` can be read.
#[must_use]
pub unsafe fn capture_from(room: &mut Room, registers: Registers, stack_end: Option<usize>) -> Walk<'_> {
    #[cfg(by_tables)]
    if by_tables::is_ready() {
        return Walk::new(room, |frames| by_tables::fill_from(frames, registers, stack_end));
    }
    let _ = (registers, stack_end);
    Walk::new(room, |_| ())
}

/// A copy of a stack that another thread sleeps on.
#[derive(Clone, Copy, Debug)]
pub struct StackCopy<'a> {
    /// The stack pointer, which is the address of what was copied first.
    pub start: usize,
    /// Holds the words from there up.
    pub words: &'a [usize],
}

/// The stack of another thread that sleeps in a system call, its instruction included, by a copy. Nothing of that thread's is
/// read but the copy, so the thread may go on meanwhile. Whether it slept all the time while it was copied, the caller has to
/// find out. Empty before [`prepare`], and where the unwinder is the platform's.
///
/// `instruction_pointer` is the address of the instruction that enters the kernel. The thread's frame pointer need not be known: where
/// it is needed, the places on the stack where it may point to are tried out. False is returned with the walk if the place that
/// was taken is only the best guess: the one that leads to the outermost frame over the most frames.
///
/// Where a caller is in a library that may be closed, the walk is cut there: it could be closed while it is read. On aarch64 a
/// function may leave its return address in a register, which is in no copy: then the walk is cut at once.
///
/// A signal handler must not call this. Cost: it takes as long as [`capture_from`]; where the frame pointer has to be found, up to some hundred
/// microseconds.
#[must_use]
pub fn capture_sleeping<'a>(
    room: &'a mut Room,
    instruction_pointer: usize,
    stack: StackCopy<'_>,
) -> (Walk<'a>, bool) {
    #[cfg(by_tables)]
    {
        let mut is_certain = true;
        let walk = Walk::new(room, |frames| {
            if by_tables::is_ready() {
                is_certain = by_tables::fill_sleeping(frames, instruction_pointer, stack);
            }
        });
        (walk, is_certain)
    }
    #[cfg(not(by_tables))]
    {
        let _ = (instruction_pointer, stack);
        (Walk::new(room, |_frames| {}), true)
    }
}

/// Bytes that are used for what is known of images: at most 512 KiB, rounded up to pages.
#[must_use]
pub fn held_bytes() -> usize {
    store::held_bytes()
}

/// As [`capture`], by the platform's unwinder, for tests that compare the two.
#[cfg(by_platform)]
#[doc(hidden)]
#[inline(always)]
pub fn capture_by_platform(room: &mut Room) -> Walk<'_> {
    Walk::new(room, by_platform::fill)
}

/// What the fuzzer calls with unwind tables of its own.
#[cfg(all(fuzzing, by_tables))]
#[doc(hidden)]
pub fn fuzz_tables(bytes: &[u8]) {
    by_tables::fuzz(bytes);
}
