//! What a sandbox forbids, as filters of system calls that kill for it.

/// What a filter kills for.
#[derive(Clone, Copy)]
pub(crate) enum Forbidden {
    Call(i64),
    /// The call is `mmap` or `mprotect`, with `PROT_EXEC` in the third argument.
    Executable(i64),
}
use Forbidden::{Call, Executable};

pub(crate) const FILES: &[Forbidden] = &[
    Call(libc::SYS_open),
    Call(libc::SYS_openat),
    Call(libc::SYS_openat2),
    Call(libc::SYS_creat),
    Call(libc::SYS_open_by_handle_at),
];
pub(crate) const SOCKETS: &[Forbidden] = &[
    Call(libc::SYS_socket),
    Call(libc::SYS_socketpair),
    Call(libc::SYS_connect),
    Call(libc::SYS_bind),
    Call(libc::SYS_listen),
];
pub(crate) const THREADS: &[Forbidden] =
    &[Call(libc::SYS_clone), Call(libc::SYS_clone3), Call(libc::SYS_fork), Call(libc::SYS_vfork)];
pub(crate) const PROGRAMS: &[Forbidden] = &[Call(libc::SYS_execve), Call(libc::SYS_execveat)];
pub(crate) const CODE: &[Forbidden] = &[
    Executable(libc::SYS_mmap),
    Executable(libc::SYS_mprotect),
    Executable(libc::SYS_pkey_mprotect),
    Call(libc::SYS_memfd_create),
];
pub(crate) const OTHERS: &[Forbidden] = &[
    Call(libc::SYS_readlink),
    Call(libc::SYS_readlinkat),
    Call(libc::SYS_stat),
    Call(libc::SYS_access),
    Call(libc::SYS_faccessat),
    Call(libc::SYS_ptrace),
    Call(libc::SYS_process_vm_readv),
    Call(libc::SYS_perf_event_open),
    Call(libc::SYS_bpf),
    Call(libc::SYS_prctl),
    Call(libc::SYS_setrlimit),
    Call(libc::SYS_prlimit64),
    Call(libc::SYS_kill),
    Call(libc::SYS_tgkill),
    Call(libc::SYS_unlink),
    Call(libc::SYS_rename),
    Call(libc::SYS_epoll_create1),
    Call(libc::SYS_eventfd2),
    Call(libc::SYS_pipe2),
];
/// Enters the sandbox, with all threads: from here on, a forbidden call is the end of the process.
pub(crate) fn enter(forbidden: impl Iterator<Item = Forbidden>) {
    const NUMBER: u32 = 0;
    /// This is where the lower half of the third argument is.
    const PROTECTION: u32 = 16 + 2 * 8;
    let load = |from| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: from };
    let unless_equal =
        |number: i64, skipped| libc::sock_filter { code: 0x15, jt: 0, jf: skipped, k: number as u32 };
    let unless_any =
        |bits: i32, skipped| libc::sock_filter { code: 0x45, jt: 0, jf: skipped, k: bits as u32 };
    let end = |how| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: how };
    let mut filter = vec![load(NUMBER)];
    for call in forbidden {
        match call {
            Call(number) => filter.extend([unless_equal(number, 1), end(libc::SECCOMP_RET_KILL_PROCESS)]),
            Executable(number) => filter.extend([
                unless_equal(number, 4),
                load(PROTECTION),
                unless_any(libc::PROT_EXEC, 1),
                end(libc::SECCOMP_RET_KILL_PROCESS),
                load(NUMBER),
            ]),
        }
    }
    filter.push(end(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is there for as long as the call, and the kernel checks it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
        let set = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program);
        assert_eq!(set, 0, "no filter can be set");
    }
}
