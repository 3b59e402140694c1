//! This keeps account of our own file descriptors: whether a number still stands for what it stood for, and which of
//! them a child of `fork` closes.
//!
//! `pprof-server` uses this for its sockets. A descriptor is a number, and the program may close any number: daemons close
//! all there are, and the next file that is opened gets one of ours. A child of `fork` inherits the numbers, and a
//! listening socket that it keeps takes connections which nobody will ever answer.
//!
//! Path: *read path*, and *after a fork*: [`begin_anew`] does not allocate, takes no lock, and does nothing that a signal
//! handler may not do.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crate::process::alone::Alone;

/// A descriptor's number, and what it stood for: the device and the file number, which no other socket has.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    number: RawFd,
    file: (u64, u64),
}

impl Descriptor {
    /// Notes what `descriptor` stands for now.
    ///
    /// # Errors
    ///
    /// It fails if the number stands for nothing, or if the system does not tell.
    pub fn of(descriptor: impl AsFd) -> io::Result<Descriptor> {
        let number = descriptor.as_fd().as_raw_fd();
        let file = file_behind(number).ok_or_else(io::Error::last_os_error)?;
        Ok(Descriptor { number, file })
    }

    /// Returns whether the number still stands for the same. Another thread may close it right afterwards. The cost is one
    /// system call.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        file_behind(self.number) == Some(self.file)
    }

    /// Has children of `fork` close the descriptor, until the value that is returned is dropped, which must be before the
    /// descriptor is closed. It returns `None` if children close 128 descriptors already: then they keep this one, as they
    /// keep any other.
    #[must_use]
    pub fn close_in_children(self) -> Option<ClosedInChildren> {
        let slot = SLOTS
            .iter()
            .find(|slot| slot.number.compare_exchange(FREE, CHANGING, Acquire, Relaxed).is_ok())?;
        slot.device.store(self.file.0, Relaxed);
        slot.file.store(self.file.1, Relaxed);
        slot.number.store(self.number, Release);
        Some(ClosedInChildren(slot))
    }
}

/// Has an epoll instance no longer look at a descriptor, given the numbers of both.
///
/// # Errors
///
/// It fails if the first number is that of no epoll instance, or if the instance does not look at the other one.
#[doc(hidden)]
#[cfg(target_os = "linux")]
pub fn look_away(epoll: RawFd, descriptor: RawFd) -> io::Result<()> {
    // SAFETY: the call takes numbers, and where it removes one it reads no event.
    match unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, descriptor, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the device and the number of the file that a descriptor stands for.
fn file_behind(number: RawFd) -> Option<(u64, u64)> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `fstat` fills the status in if it returns 0, and only then is it read.
    let status = unsafe {
        if libc::fstat(number, status.as_mut_ptr()) != 0 {
            return None;
        }
        status.assume_init()
    };
    // Systems differ in how wide these fields are.
    #[allow(clippy::unnecessary_cast, reason = "narrower elsewhere")]
    Some((status.st_dev as u64, status.st_ino as u64))
}

/// A descriptor that children of `fork` close.
#[doc(hidden)]
#[derive(Debug)]
pub struct ClosedInChildren(&'static Slot);

impl Drop for ClosedInChildren {
    fn drop(&mut self) {
        self.0.number.store(FREE, Release);
    }
}

/// The number in a slot that holds no descriptor.
const FREE: RawFd = -1;
/// The number in a slot whose descriptor is being written down.
const CHANGING: RawFd = -2;

#[derive(Debug)]
struct Slot {
    number: AtomicI32,
    device: AtomicU64,
    file: AtomicU64,
}

static SLOTS: [Slot; 128] =
    [const { Slot { number: AtomicI32::new(FREE), device: AtomicU64::new(0), file: AtomicU64::new(0) } };
        128];

/// Closes the descriptors that were the parent's. One that is being written down at this moment stays open.
pub(crate) fn begin_anew(_: &Alone) {
    for slot in &SLOTS {
        let number = slot.number.swap(FREE, Acquire);
        let file = (slot.device.load(Relaxed), slot.file.load(Relaxed));
        if number >= 0 && file_behind(number) == Some(file) {
            // SAFETY: the descriptor is the one that was to be closed here, and the threads which use it are the parent's.
            unsafe { libc::close(number) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_number_that_stands_for_something_else_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let descriptor = Descriptor::of(&listener).unwrap();
        assert!(descriptor.is_unchanged());
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        // SAFETY: both are open, and `listener` is dropped as what it has become.
        unsafe { libc::dup2(other.as_raw_fd(), listener.as_raw_fd()) };
        assert!(!descriptor.is_unchanged());
    }

    #[test]
    fn children_close_what_they_are_told_to_and_nothing_else() {
        let [given_up, replaced, kept] = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let closed = [&given_up, &replaced, &kept]
            .map(|listener| Descriptor::of(listener).unwrap().close_in_children().expect("there is room"));
        let [_given_up, _replaced, no_more] = closed;
        drop(no_more);
        let other = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: both are open, and `replaced` is dropped as what it has become.
        unsafe { libc::dup2(other.as_raw_fd(), replaced.as_raw_fd()) };
        crate::fork::prepare();
        // SAFETY: the child makes three system calls and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_open = |number| file_behind(number).is_some();
            let seen = [&given_up, &replaced, &kept].map(|listener| is_open(listener.as_raw_fd()));
            // SAFETY: the call ends the process at once.
            unsafe { libc::_exit(i32::from(seen != [false, true, true])) }
        }
        let mut status = 0;
        // SAFETY: the process is our own child, and the status is there to be written.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
        assert!(TcpStream::connect(given_up.local_addr().unwrap()).is_ok(), "the parent's socket stays open");
    }
}
