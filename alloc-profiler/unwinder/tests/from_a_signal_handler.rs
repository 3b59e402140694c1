//! A signal handler takes the stack of what it interrupted, from the registers that the kernel hands it: on the same stack,
//! on a stack for signals, and in a thread whose stack nobody has asked for.
#![cfg(by_tables)]

use std::ffi::c_void;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use unwinder::{MAX_STACK_DEPTH, Registers, Remember, capture, capture_from, prepare, prepare_thread, room};

/// What the handler found: the lookup addresses, leaf first, and how many there are.
static FOUND: [AtomicUsize; MAX_STACK_DEPTH] = [const { AtomicUsize::new(0) }; MAX_STACK_DEPTH];
static LEN: AtomicUsize = AtomicUsize::new(0);
/// Signals and what they find are the process's, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn registers_of(context: *const c_void) -> Registers {
    // SAFETY: the kernel has put the context of the interrupted code there.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    #[cfg(target_arch = "x86_64")]
    let [instruction_pointer, stack_pointer, frame_pointer, link_register] = {
        let register = |number: i32| context.uc_mcontext.gregs[number as usize] as usize;
        [register(libc::REG_RIP), register(libc::REG_RSP), register(libc::REG_RBP), 0]
    };
    #[cfg(target_arch = "aarch64")]
    let [instruction_pointer, stack_pointer, frame_pointer, link_register] = {
        let context = &context.uc_mcontext;
        [context.pc, context.sp, context.regs[29], context.regs[30]].map(|register| register as usize)
    };
    Registers { instruction_pointer, stack_pointer, frame_pointer, link_register }
}

extern "C" fn handler(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let mut room = room();
    // SAFETY: what was interrupted goes on when this handler has returned.
    let walk = unsafe { capture_from(&mut room, registers_of(context), None) };
    let frames = walk.frames();
    assert!(frames.last().is_some_and(|frame| !frame.is_return_address()));
    for (found, frame) in FOUND.iter().zip(frames.iter().rev()) {
        found.store(frame.lookup(), Relaxed);
    }
    LEN.store(frames.len(), Relaxed);
}

/// Has the handler find the stack below this function, and finds it too.
#[inline(never)]
fn interrupted(flags: libc::c_int) -> (Vec<usize>, Vec<usize>) {
    prepare();
    // SAFETY: the handler may run where the signal is raised, right here.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()), 0);
    }
    LEN.store(0, Relaxed);
    raise(libc::SIGUSR1);
    let found = FOUND.iter().take(LEN.load(Relaxed)).map(|address| address.load(Relaxed)).collect();
    (found, callers())
}

/// Has this thread handle the signal.
#[cfg(not(target_env = "musl"))]
fn raise(signal: libc::c_int) {
    // SAFETY: the signal has a handler.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// Has this thread handle the signal. musl's functions have no unwind tables, so a walk from one of them is cut at once. This one has some.
#[cfg(target_env = "musl")]
#[inline(never)]
fn raise(signal: libc::c_int) {
    // SAFETY: the signal has a handler, and the calls ask for numbers.
    let result = unsafe {
        let (process, thread) = (libc::getpid(), libc::gettid());
        #[cfg(target_arch = "x86_64")]
        let result: libc::c_long;
        #[cfg(target_arch = "aarch64")]
        let mut result: libc::c_long = process.into();
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("syscall", inlateout("rax") libc::SYS_tgkill => result, in("rdi") process, in("rsi") thread, in("rdx") signal,
            lateout("rcx") _, lateout("r11") _);
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("svc #0", in("x8") libc::SYS_tgkill, inlateout("x0") result, in("x1") thread, in("x2") signal);
        result
    };
    assert_eq!(result, 0);
}

/// Returns the callers of this function's caller.
#[inline(never)]
fn callers() -> Vec<usize> {
    let mut room = room();
    let walk = capture(&mut room, Remember::Nothing);
    walk.frames().iter().rev().skip(1).map(|frame| frame.lookup()).collect()
}

/// The handler finds some frames of what raised the signal, the function that called that, and the same callers as this function.
fn assert_same((found, callers): (Vec<usize>, Vec<usize>)) {
    assert!(callers.len() > 3, "{callers:x?}");
    let within = found.len().saturating_sub(callers.len());
    assert!((2..=5).contains(&within), "{found:x?}\n{callers:x?}");
    assert_eq!(found[within..], callers);
}

#[inline(never)]
fn recurse(depth: usize, flags: libc::c_int) -> (Vec<usize>, Vec<usize>) {
    let found = if depth == 0 { interrupted(flags) } else { recurse(black_box(depth - 1), flags) };
    black_box(depth);
    found
}

#[test]
fn on_the_same_stack() {
    let _turn = TURN.lock();
    prepare_thread();
    assert_same(recurse(0, 0));
    assert_same(recurse(20, 0));
}

#[test]
fn on_a_stack_for_signals() {
    let _turn = TURN.lock();
    prepare_thread();
    let mut other_stack = vec![0_u8; 256 << 10];
    let on =
        libc::stack_t { ss_sp: other_stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: other_stack.len() };
    let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: the stack lives on until it is taken away again.
    assert_eq!(unsafe { libc::sigaltstack(&on, ptr::null_mut()) }, 0);
    let found = recurse(20, libc::SA_ONSTACK);
    // SAFETY: `off` takes the alternate stack away, and no handler runs on it now.
    assert_eq!(unsafe { libc::sigaltstack(&off, ptr::null_mut()) }, 0);
    assert_same(found);
}

#[test]
fn in_a_thread_whose_stack_nobody_has_asked_for() {
    let _turn = TURN.lock();
    let thread = std::thread::spawn(|| {
        assert_eq!(unwinder::has_room(), None);
        assert_same(recurse(20, 0));
        assert_eq!(unwinder::has_room(), None);
    });
    thread.join().expect("no panic");
}

/// How many frames of the handler's own walk are within the interrupted instruction's.
static WITHIN: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_trap(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let mut room = room();
    let walk = capture(&mut room, Remember::Nothing);
    let frames = walk.frames().iter().rev();
    WITHIN.store(frames.clone().take_while(|frame| frame.is_return_address()).count(), Relaxed);
    for (found, frame) in FOUND.iter().zip(frames) {
        found.store(frame.lookup(), Relaxed);
    }
    LEN.store(walk.frames().len(), Relaxed);
    // Of this processor, the instruction that traps is the next one again.
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the kernel has put the context of the interrupted code there, which goes on with what is written to it.
    unsafe {
        (*context.cast::<libc::ucontext_t>()).uc_mcontext.pc += 4;
    }
    #[cfg(not(target_arch = "aarch64"))]
    let _ = context;
}

/// Traps, and returns what the handler found beyond the instruction that did, and the callers of this function.
#[inline(never)]
fn trap() -> (Vec<usize>, Vec<usize>) {
    // SAFETY: the handler goes on behind the instruction that traps, which changes nothing.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = on_trap as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut()), 0);
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("int3");
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("brk #0");
    }
    let within = WITHIN.load(Relaxed);
    let found = FOUND.iter().take(LEN.load(Relaxed)).skip(within + 1);
    (found.map(|address| address.load(Relaxed)).collect(), callers())
}

/// Where a C library has no tables for what a handler returns to, that is known by its instructions.
#[test]
fn a_handler_s_own_walk_goes_on_with_what_was_interrupted() {
    let _turn = TURN.lock();
    prepare();
    prepare_thread();
    let (found, callers) = trap();
    assert!(callers.len() > 3, "{callers:x?}");
    assert_eq!(found, callers);
}

#[test]
fn nonsense_is_no_stack() {
    prepare();
    prepare_thread();
    for stack_pointer in [0, 1, 4095, 1 << 47, usize::MAX - 7, usize::MAX] {
        let mut room = room();
        let instruction_pointer = nonsense_is_no_stack as fn() as usize + 1;
        let registers = Registers {
            instruction_pointer,
            stack_pointer,
            frame_pointer: stack_pointer,
            link_register: stack_pointer,
        };
        // SAFETY: no code has these registers.
        let walk = unsafe { capture_from(&mut room, registers, None) };
        assert_eq!(walk.frames().len(), 1, "{stack_pointer:#x}");
        assert_eq!(walk.frames()[0].lookup(), instruction_pointer);
        assert!(walk.is_cut());
    }
}
