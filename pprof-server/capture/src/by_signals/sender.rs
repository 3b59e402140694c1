//! By what we know that a signal was sent by our timers, or by a dump of ours.
//!
//! Path: *signal handlers*, but for [`Senders::draw`].

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::purpose::Purpose;

const LOW_BITS: u32 = 0xff_ffff;

/// A random number that signals of ours carry; 0 before the first capture.
static KEY: AtomicU32 = AtomicU32::new(0);
/// Numbers the present capture and the present dump, by purpose.
static PRESENT: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

/// What a signal carries: 32 bits that are ours, 8 of the capture's number or the dump's, and 24 of the thread's
/// number, which is 0 for the process's timer. (Threads have numbers below 2^22.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender(pub(super) u64);

impl Sender {
    /// The thread that the timer belongs to. `None`: it is the process's.
    pub(super) fn thread_id(self) -> Option<u32> {
        Some(self.0 as u32 & LOW_BITS).filter(|&thread_id| thread_id != 0)
    }

    /// Whether it is ours, of this capture or an earlier one.
    pub(super) fn is_ours(self) -> bool {
        let key = KEY.load(Relaxed);
        // mutant: E5 all signals are ours
        key != 0 && (self.0 >> 32) as u32 == key
    }

    /// Whether it is of the present capture or dump, if it is ours.
    pub(super) fn is_present(self, purpose: Purpose) -> bool {
        let present = PRESENT.get(purpose as usize).map_or(0, |number| number.load(Relaxed));
        (self.0 as u32).wrapping_shr(24) == present & 0xff
    }
}

/// Makes the senders of one capture or dump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Senders(u64);

impl Senders {
    /// Begins those of another capture or dump. There must be no other one of that purpose.
    pub(super) fn draw(purpose: Purpose) -> Senders {
        if KEY.load(Relaxed) == 0 {
            // A capture and a dump may be the first ones at the same time.
            let drawn = (RandomState::new().hash_one(0) as u32).max(1);
            let _ = KEY.compare_exchange(0, drawn, Relaxed, Relaxed);
        }
        let number = PRESENT[purpose as usize].fetch_add(1, Relaxed).wrapping_add(1) & 0xff;
        Senders(u64::from(KEY.load(Relaxed)) << 32 | u64::from(number) << 24)
    }

    pub(super) fn of_thread(self, thread_id: u32) -> Sender {
        Sender(self.0 | u64::from(thread_id))
    }

    pub(super) fn of_process(self) -> Sender {
        Sender(self.0)
    }
}

/// Forgets the key of the parent, so that none of its signals counts as ours.
pub(super) fn begin_anew() {
    KEY.store(0, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_known_by_its_key_its_capture_and_its_thread() {
        let earlier = Senders::draw(Purpose::Cpu).of_thread(77);
        let senders = Senders::draw(Purpose::Cpu);
        let (thread, process) = (senders.of_thread(4_194_303), senders.of_process());
        assert_eq!((thread.thread_id(), process.thread_id()), (Some(4_194_303), None));
        assert!(
            thread.is_ours()
                && thread.is_present(Purpose::Cpu)
                && process.is_ours()
                && process.is_present(Purpose::Cpu)
        );
        assert!(earlier.is_ours() && !earlier.is_present(Purpose::Cpu));
        assert!(!Sender(thread.0 ^ 1 << 40).is_ours() && !Sender(0).is_ours() && !Sender(77).is_ours());
    }
}
