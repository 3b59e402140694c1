//! This tells whether a page of memory is there, and keeps our own pages small.
//!
//! Path: *allocation path* and *signal handlers*.

use super::processor::system_call;
use crate::errno::keeping_errno;

/// What is tried out and read at once. Where the kernel's pages are larger, all of one is there if a part of it is.
pub(super) const PAGE_BYTES: usize = 4096;

/// Whether the page that begins at `page` can be read. The kernel is asked to set a signal mask from it, in a way that does
/// not exist: so it reads the page, and refuses.
///
/// Cost: a system call.
pub(super) fn is_readable(page: usize) -> bool {
    const NO_SUCH_WAY: usize = usize::MAX;
    const SIGNAL_SET_BYTES: usize = 8;
    // SAFETY: the call changes nothing, since its first argument is invalid.
    let answer = unsafe { system_call(libc::SYS_rt_sigprocmask, [NO_SUCH_WAY, page, 0, SIGNAL_SET_BYTES]) };
    // A mask at the address 0 is none, which the kernel does not read.
    page != 0 && answer != (libc::EFAULT as isize).wrapping_neg()
}

/// Asks the system never to back `value` by huge pages, of which one would cost 2 MiB for a few words in use.
pub(super) fn keep_small<T>(value: &'static T) {
    let start = std::ptr::from_ref(value).expose_provenance();
    let first = start.next_multiple_of(PAGE_BYTES);
    let bytes = size_of::<T>().saturating_sub(first.wrapping_sub(start)) & !(PAGE_BYTES - 1);
    let first = std::ptr::with_exposed_provenance_mut(first);
    // SAFETY: this is advice on whole pages of our own static; if the system refuses it, nothing changes.
    let _ = keeping_errno(|| unsafe { libc::madvise(first, bytes, libc::MADV_NOHUGEPAGE) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_can_be_read_as_its_protection_says() {
        let (anywhere, kind) = (std::ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a mapping of our own, at a place that the kernel chooses.
        let start = unsafe { libc::mmap(anywhere, 2 * PAGE_BYTES, libc::PROT_READ, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let second = start.wrapping_byte_add(PAGE_BYTES);
        // SAFETY: this is a page of that mapping, which is the test's own.
        assert_eq!(unsafe { libc::mprotect(second, PAGE_BYTES, libc::PROT_NONE) }, 0);
        assert!(is_readable(start.expose_provenance()));
        assert!(!is_readable(second.expose_provenance()));
        // SAFETY: the mapping of our own, which nobody uses any more.
        assert_eq!(unsafe { libc::munmap(start, 2 * PAGE_BYTES) }, 0);
    }

    #[test]
    fn where_nothing_can_be_there_nothing_can_be_read() {
        for page in [0, PAGE_BYTES, 1 << 47, 1 << 63, usize::MAX - PAGE_BYTES + 1] {
            assert!(!is_readable(page), "{page:#x}");
        }
    }
}
