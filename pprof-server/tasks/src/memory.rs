//! Copies of memory that cannot fault: what is not mapped any more is an error, and no signal.
//!
//! This is the only file of the crate with unsafe code.

use std::fmt;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;

/// An address that is kept with all its bits inverted, so that whoever searches memory for pointers does not find it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked(u64);

impl Masked {
    /// Returns the address in its masked form.
    #[must_use]
    pub const fn of(address: u64) -> Masked {
        Masked(!address)
    }

    /// Returns the address.
    #[must_use]
    pub const fn address(self) -> u64 {
        !self.0
    }
}

/// Memory that tasks are read from.
pub trait Memory {
    /// Fills `bytes` with what is at `address`.
    ///
    /// # Errors
    ///
    /// It is an error if any of that is not readable memory. `bytes` may be filled in part then.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable>;
}

/// There is no readable memory at some address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The address at which the copy began.
    pub address: u64,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no readable memory at {:#x}", self.address)
    }
}

impl std::error::Error for Unreadable {}

/// The memory of this process, by whichever system call is allowed.
#[derive(Debug)]
pub struct OwnMemory {
    way: Way,
}

#[derive(Debug)]
enum Way {
    #[cfg(target_os = "linux")]
    Copy,
    #[cfg(target_os = "linux")]
    File(File),
}

#[cfg(target_os = "linux")]
impl OwnMemory {
    /// Finds a way that works: `process_vm_readv` on this process, or else its memory as a file.
    ///
    /// # Errors
    ///
    /// Where a sandbox forbids both, the error is the one of opening or reading `/proc/self/mem`.
    pub fn open() -> io::Result<OwnMemory> {
        let copying = OwnMemory { way: Way::Copy };
        match copying.works() {
            true => Ok(copying),
            false => OwnMemory::of_file(File::open("/proc/self/mem")?),
        }
    }

    /// Reads through `file`, which is `/proc/self/mem`, opened while that was allowed.
    ///
    /// # Errors
    ///
    /// It is an error if the file does not show this process's memory, as after `fork`.
    pub fn of_file(file: File) -> io::Result<OwnMemory> {
        let memory = OwnMemory { way: Way::File(file) };
        match memory.works() {
            true => Ok(memory),
            false => Err(io::Error::other("/proc/self/mem does not show this process's memory")),
        }
    }

    /// Whether a value on the stack reads as what it is.
    fn works(&self) -> bool {
        let known = (&raw const self as u64 ^ 0x5bd1_e995_7a3c_41f7).to_ne_bytes();
        let mut copy = [0; 8];
        self.read(known.as_ptr() as u64, &mut copy).is_ok() && copy == known
    }
}

#[cfg(target_os = "linux")]
impl Memory for OwnMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Unreadable> {
        let unreadable = Unreadable { address };
        match &self.way {
            Way::Copy => copy(address, bytes).then_some(()).ok_or(unreadable),
            Way::File(file) => {
                std::os::unix::fs::FileExt::read_exact_at(file, bytes, address).map_err(|_| unreadable)
            }
        }
    }
}

/// Copies memory of this process; true if all of it could be read.
#[cfg(target_os = "linux")]
fn copy(address: u64, bytes: &mut [u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let to = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let from = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: `process_vm_readv` demands that each local entry describes memory that the caller may write to: `to` is the
    // exclusively borrowed slice `bytes`, which lives until the call returns. The remote entry may be any address, because
    // the kernel checks it and returns an error where nothing is mapped.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
    copied == bytes.len() as isize
}

#[cfg(not(target_os = "linux"))]
impl OwnMemory {
    /// Refuses, since this platform has no copy that cannot fault.
    ///
    /// # Errors
    ///
    /// It always returns an error.
    pub fn open() -> io::Result<OwnMemory> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "memory is read safely on Linux only"))
    }
}

#[cfg(not(target_os = "linux"))]
impl Memory for OwnMemory {
    fn read(&self, _address: u64, _bytes: &mut [u8]) -> Result<(), Unreadable> {
        match self.way {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn both_ways_read_the_same_and_neither_faults() {
        let known = *b"what is known is copied";
        let file = OwnMemory::of_file(File::open("/proc/self/mem").unwrap()).unwrap();
        for memory in [OwnMemory::open().unwrap(), file] {
            let mut copy = [0; 23];
            assert_eq!(memory.read(known.as_ptr() as u64, &mut copy), Ok(()));
            assert_eq!(copy, known);
            for address in [0, 1, 0xffff, 1 << 47, u64::MAX - 30, u64::MAX - 3, u64::MAX] {
                assert_eq!(memory.read(address, &mut copy), Err(Unreadable { address }), "{address:#x}");
            }
            assert_eq!(memory.read(8, &mut []), Ok(()));
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        assert!(OwnMemory::of_file(File::open("/proc/self/maps").unwrap()).is_err());
    }
}
