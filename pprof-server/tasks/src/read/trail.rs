//! What was read of a task, so that it can be seen afterwards whether it is still so.

use crate::memory::{Masked, Memory};

/// A longer trail is not believed.
const MAX_STEPS: usize = 4096;
/// So much is copied at once, in bytes. What is larger is read number by number.
const MAX_COPY_BYTES: u64 = 4096;

/// Reads numbers, and remembers them.
pub(super) struct Trail<'m> {
    memory: &'m dyn Memory,
    steps: Vec<Step>,
    copies: Vec<Copy>,
}

struct Step {
    address: Masked,
    bytes: u64,
    /// It may be an address too.
    value: Masked,
}

/// A part of memory that was copied as a whole.
struct Copy {
    address: u64,
    bytes: Vec<u8>,
}

impl<'m> Trail<'m> {
    pub(super) fn new(memory: &'m dyn Memory) -> Trail<'m> {
        Trail { memory, steps: Vec::new(), copies: Vec::new() }
    }

    /// Copies a value of which numbers will be read: one system call is faster than several. Where that fails, each number is
    /// read by itself.
    pub(super) fn copy(&mut self, address: u64, bytes: u64) {
        let is_known = self.copies.iter().any(|copy| copy.number(address, bytes.min(8)).is_some());
        if is_known || bytes <= 8 || bytes > MAX_COPY_BYTES || self.copies.len() >= MAX_STEPS {
            return;
        }
        let mut copy = Copy { address, bytes: vec![0; bytes as usize] };
        if self.memory.read(address, &mut copy.bytes).is_ok() {
            self.copies.push(copy);
        }
    }

    /// Reads a number of 1, 2, 4 or 8 bytes, on which depends what is read next.
    pub(super) fn number(&mut self, address: u64, bytes: u64) -> Option<u64> {
        if self.steps.len() >= MAX_STEPS {
            return None;
        }
        let copied = self.copies.iter().find_map(|copy| copy.number(address, bytes));
        let value = copied.or_else(|| self.look(address, bytes))?;
        self.steps.push(Step { address: Masked::of(address), bytes, value: Masked::of(value) });
        Some(value)
    }

    /// Reads a number that may change meanwhile.
    pub(super) fn look(&self, address: u64, bytes: u64) -> Option<u64> {
        let mut word = [0; 8];
        let part = word.get_mut(..usize::try_from(bytes).ok()?)?;
        self.memory.read(address, part).ok()?;
        number(part)
    }

    /// Whether all that was read is still the same. If it is, there was a moment between the last read and this call at which
    /// all of it held together, unless the task has meanwhile come back to the very same state.
    pub(super) fn is_unchanged(&mut self) -> bool {
        for copy in &mut self.copies {
            if self.memory.read(copy.address, &mut copy.bytes).is_err() {
                return false;
            }
        }
        self.steps.iter().all(|step| {
            let address = step.address.address();
            let copied = self.copies.iter().find_map(|copy| copy.number(address, step.bytes));
            copied.or_else(|| self.look(address, step.bytes)) == Some(step.value.address())
        })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Memory that is freed keeps what was in it, and whoever searches memory for pointers would find those of the task.
        self.bytes.fill(0);
        // The compiler would leave out a write that nobody reads.
        std::hint::black_box(&self.bytes);
    }
}

impl Copy {
    /// Returns the number at `address`, if all of it is in the copy.
    fn number(&self, address: u64, bytes: u64) -> Option<u64> {
        let start = usize::try_from(address.checked_sub(self.address)?).ok()?;
        number(self.bytes.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)?)
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(match *bytes {
        [byte] => u64::from(byte),
        [a, b] => u64::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
        _ => u64::from_ne_bytes(bytes.try_into().ok()?),
    })
}
