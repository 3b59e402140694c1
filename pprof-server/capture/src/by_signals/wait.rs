//! Waits without an end that a signal cut short go on when the handler has returned, so that the program does not see that
//! there was a signal.
//!
//! The kernel itself restarts some calls for handlers that are set so (`SA_RESTART`), but not these. Their wrappers return
//! `EINTR` to programs that may not expect it. What the program waits for has not come, so entering the call once more is
//! what would have happened without us. A wait with a time limit would become longer, so it is left alone, but where the
//! kernel writes back what is left of the time.
//!
//! Path: *signal handlers*.

#[cfg(test)]
mod tests;

use super::context::Context;
use super::system_call::pending_signals;

/// The bytes by which wrappers end: `mov eax, number`, perhaps the first argument from the stack, and `syscall`.
const WRAPPER_BYTES: usize = 11;
const PAGE_BYTES: usize = 4096;

/// Has an endless wait go on that the signal cut short. `has_just_begun`: any wait has, so that it may begin again.
pub(super) fn go_on(context: &mut Context<'_>, has_just_begun: bool) {
    if context.get(libc::REG_RAX) as isize != -(libc::EINTR as isize) {
        return;
    }
    let after = context.get(libc::REG_RIP);
    let may_go_on = |&number: &u32| is_endless(number, context) || has_just_begun && is_wait(number);
    let Some(number) = call_before(after).filter(may_go_on) else { return };
    // A signal of the program's that came at the same moment is handled after ours. The program may count on it to end the
    // wait.
    if pending_signals() & !context.blocked_signals() != 0 {
        return;
    }
    // The arguments are where they were: the kernel changes no other register but two, which are no arguments.
    // mutant: E2 waits end early
    context.set(libc::REG_RIP, after.wrapping_sub(2));
    context.set(libc::REG_RAX, number as usize);
}

/// The number of the system call that code has just returned from, if the instructions before `after` tell.
fn call_before(after: usize) -> Option<u32> {
    // The page that `after` is in holds code that was running. The one before need not be there.
    if after & (PAGE_BYTES - 1) < WRAPPER_BYTES {
        return None;
    }
    let code = std::ptr::with_exposed_provenance::<[u8; WRAPPER_BYTES]>(after.wrapping_sub(WRAPPER_BYTES));
    // SAFETY: the bytes are in a page of code that was running, which can be read on this platform. They are nobody's Rust
    // value that could be changed meanwhile.
    match unsafe { code.read() } {
        [.., 0xB8, a, b, c, d, 0x0F, 0x05]
        // mov edi, [rsp + offset]
        | [0xB8, a, b, c, d, 0x8B, 0x7C, 0x24, _, 0x0F, 0x05] => Some(u32::from_ne_bytes([a, b, c, d])),
        _ => None,
    }
}

/// Whether the call waits without an end, or writes back what is left of the time.
fn is_endless(number: u32, context: &Context<'_>) -> bool {
    let is_negative = |register| (context.get(register) as i32) < 0;
    let is_absent = |register| context.get(register) == 0;
    match libc::c_long::from(number) {
        libc::SYS_poll => is_negative(libc::REG_RDX),
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait => is_negative(libc::REG_R10),
        libc::SYS_epoll_pwait2 | libc::SYS_semtimedop => is_absent(libc::REG_R10),
        libc::SYS_rt_sigtimedwait => is_absent(libc::REG_RDX),
        // These write back what is left.
        libc::SYS_ppoll | libc::SYS_pselect6 | libc::SYS_select => true,
        libc::SYS_pause | libc::SYS_semop | libc::SYS_msgrcv | libc::SYS_msgsnd => true,
        _ => false,
    }
}

/// Whether the call waits, perhaps with a time limit, and may be entered again as if nothing had happened.
fn is_wait(number: u32) -> bool {
    matches!(
        libc::c_long::from(number),
        libc::SYS_poll
            | libc::SYS_epoll_wait
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            | libc::SYS_semtimedop
            | libc::SYS_rt_sigtimedwait
            | libc::SYS_nanosleep
            | libc::SYS_clock_nanosleep
            | libc::SYS_futex
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_read
            | libc::SYS_io_getevents
            | libc::SYS_mq_timedreceive
            | libc::SYS_mq_timedsend
    )
}
