//! The system calls that threads wait in: their names, and which of them a signal may interrupt without that anybody sees it.

use std::borrow::Cow;
use std::mem::MaybeUninit;

/// A system call that a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SystemCall {
    pub(super) number: i64,
    pub(super) arguments: [usize; 6],
}

/// The calls that threads wait in, by number.
#[rustfmt::skip]
const NAMES: &[(i64, &str)] = &[
    (libc::SYS_read, "read"), (libc::SYS_write, "write"), (libc::SYS_open, "open"), (libc::SYS_close, "close"),
    (libc::SYS_poll, "poll"), (libc::SYS_ioctl, "ioctl"), (libc::SYS_pread64, "pread64"), (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_readv, "readv"), (libc::SYS_writev, "writev"), (libc::SYS_select, "select"), (libc::SYS_msync, "msync"),
    (libc::SYS_madvise, "madvise"), (libc::SYS_mmap, "mmap"), (libc::SYS_munmap, "munmap"), (libc::SYS_pause, "pause"),
    (libc::SYS_nanosleep, "nanosleep"), (libc::SYS_sendfile, "sendfile"), (libc::SYS_connect, "connect"),
    (libc::SYS_accept, "accept"), (libc::SYS_sendto, "sendto"), (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_sendmsg, "sendmsg"), (libc::SYS_recvmsg, "recvmsg"), (libc::SYS_vfork, "vfork"), (libc::SYS_wait4, "wait4"),
    (libc::SYS_semop, "semop"), (libc::SYS_msgsnd, "msgsnd"), (libc::SYS_msgrcv, "msgrcv"), (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_flock, "flock"), (libc::SYS_fsync, "fsync"), (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait"), (libc::SYS_rt_sigsuspend, "rt_sigsuspend"), (libc::SYS_sync, "sync"),
    (libc::SYS_futex, "futex"), (libc::SYS_io_getevents, "io_getevents"), (libc::SYS_semtimedop, "semtimedop"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"), (libc::SYS_epoll_wait, "epoll_wait"), (libc::SYS_mq_timedsend, "mq_timedsend"),
    (libc::SYS_mq_timedreceive, "mq_timedreceive"), (libc::SYS_waitid, "waitid"), (libc::SYS_openat, "openat"),
    (libc::SYS_pselect6, "pselect6"), (libc::SYS_ppoll, "ppoll"), (libc::SYS_splice, "splice"),
    (libc::SYS_sync_file_range, "sync_file_range"), (libc::SYS_epoll_pwait, "epoll_pwait"), (libc::SYS_accept4, "accept4"),
    (libc::SYS_preadv, "preadv"), (libc::SYS_pwritev, "pwritev"), (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_syncfs, "syncfs"), (libc::SYS_sendmmsg, "sendmmsg"), (libc::SYS_copy_file_range, "copy_file_range"),
    (libc::SYS_io_uring_enter, "io_uring_enter"), (libc::SYS_epoll_pwait2, "epoll_pwait2"), (libc::SYS_futex_waitv, "futex_waitv"),
];

impl SystemCall {
    pub(super) fn name(&self) -> Cow<'static, str> {
        match NAMES.iter().find(|(number, _)| *number == self.number) {
            Some((_, name)) => Cow::Borrowed(name),
            None => Cow::Owned(format!("system call {}", self.number)),
        }
    }

    /// Whether the kernel itself enters the call again when a signal of ours was handled, so that the program does not see that
    /// there was one. These are few: most waits return early, those with a time limit above all.
    ///
    /// Cost: a system call for calls that read from a descriptor.
    pub(super) fn is_restarted(&self) -> bool {
        let [first, second, _, fourth, ..] = self.arguments;
        match self.number {
            libc::SYS_futex => {
                let operation =
                    second as libc::c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
                let is_wait = matches!(operation, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
                let has_no_limit = fourth == 0;
                is_wait && has_no_limit
            }
            libc::SYS_read | libc::SYS_accept | libc::SYS_accept4 => has_no_time_limit(first),
            // What waits for all bytes returns fewer of them.
            libc::SYS_recvfrom => fourth as libc::c_int & libc::MSG_WAITALL == 0 && has_no_time_limit(first),
            libc::SYS_wait4 | libc::SYS_waitid => true,
            _ => false,
        }
    }
}

/// Whether reading from a descriptor waits as long as it takes: a socket may have a time limit.
fn has_no_time_limit(descriptor: usize) -> bool {
    let mut limit = MaybeUninit::<libc::timeval>::zeroed();
    let mut bytes = size_of::<libc::timeval>() as libc::socklen_t;
    let place = limit.as_mut_ptr().cast();
    let descriptor = descriptor as libc::c_int;
    // SAFETY: the call fills in as many bytes at most, of a value for which zeros are valid too.
    let answer =
        unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_RCVTIMEO, place, &raw mut bytes) };
    if answer != 0 {
        // A pipe has none. What is closed by now is not waited for much longer.
        return std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOTSOCK);
    }
    // SAFETY: any bytes are valid, and the call has filled them in.
    let limit = unsafe { limit.assume_init() };
    limit.tv_sec == 0 && limit.tv_usec == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    fn call(number: i64, arguments: [usize; 6]) -> SystemCall {
        SystemCall { number, arguments }
    }

    #[test]
    fn calls_have_names() {
        assert_eq!(call(libc::SYS_futex, [0; 6]).name(), "futex");
        assert_eq!(call(9999, [0; 6]).name(), "system call 9999");
        assert!(NAMES.is_sorted_by(|(one, _), (other, _)| one != other));
    }

    #[test]
    fn only_waits_without_a_limit_are_restarted() {
        let futex = |operation: i32, limit| {
            call(libc::SYS_futex, [1, operation as usize, 0, limit, 0, 0]).is_restarted()
        };
        let private = libc::FUTEX_PRIVATE_FLAG;
        assert!(futex(libc::FUTEX_WAIT | private, 0) && futex(libc::FUTEX_WAIT_BITSET | private, 0));
        assert!(!futex(libc::FUTEX_WAIT | private, 0x1000) && !futex(libc::FUTEX_LOCK_PI, 0));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let descriptor = socket.as_raw_fd() as usize;
        let receive =
            |flags: i32| call(libc::SYS_recvfrom, [descriptor, 0, 0, flags as usize, 0, 0]).is_restarted();
        assert!(receive(0) && !receive(libc::MSG_WAITALL));
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(!receive(0) && !call(libc::SYS_read, [descriptor, 0, 0, 0, 0, 0]).is_restarted());
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(call(libc::SYS_read, [reader.as_raw_fd() as usize, 0, 0, 0, 0, 0]).is_restarted());
        assert!(!call(libc::SYS_read, [usize::MAX, 0, 0, 0, 0, 0]).is_restarted());
        for number in
            [libc::SYS_poll, libc::SYS_epoll_wait, libc::SYS_nanosleep, libc::SYS_clock_nanosleep, 9999]
        {
            assert!(!call(number, [0; 6]).is_restarted());
        }
    }
}
