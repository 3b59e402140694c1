//! Waits one by one, for whoever wants to know when they were.

use std::fmt;

use super::log::Log;
use super::{LockWatch, events};
use crate::{LockEvent, LockEvents, LockStack, StartError};

/// While it exists, waits are measured, and kept one by one. There is one at a time.
pub struct LockTrace {
    log: &'static Log,
    _watch: LockWatch,
}

impl fmt::Debug for LockTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockTrace").finish_non_exhaustive()
    }
}

impl LockTrace {
    /// Begins to measure waits, at [`USUAL_BLOCK_RATE`](crate::USUAL_BLOCK_RATE) unless another rate was set, and to keep up to 65 536 of
    /// them one by one, in 1.5 MiB.
    ///
    /// # Errors
    ///
    /// [`StartError::InUse`] if there is one already; for the others see [`set_block_rate`](crate::set_block_rate).
    pub fn start() -> Result<LockTrace, StartError> {
        let watch = LockWatch::start()?;
        let refused = |source| StartError::Refused { what: "memory for waits", source };
        let log = Log::begin().map_err(refused)?.ok_or(StartError::InUse)?;
        Ok(LockTrace { log, _watch: watch })
    }

    /// Ends it, and returns what was found.
    #[must_use]
    pub fn finish(self) -> LockEvents {
        self.log.take_away();
        let (mut events, lost) = self.log.events();
        let mut numbers: Vec<usize> = events.iter().filter_map(|event| event.stack).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let found: Vec<(usize, LockStack)> =
            numbers.into_iter().filter_map(|number| Some((number, events::stack(number)?))).collect();
        let index = |number| found.binary_search_by_key(&number, |(number, _): &(usize, _)| *number).ok();
        events.iter_mut().for_each(|event: &mut LockEvent| event.stack = event.stack.and_then(index));
        LockEvents { events, stacks: found.into_iter().map(|(_, stack)| stack).collect(), lost }
    }
}

impl Drop for LockTrace {
    fn drop(&mut self) {
        // SAFETY: this is the only one who has the reference, and is dropped.
        unsafe { self.log.give_back() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::super::log::{EVENTS, note};
    use super::*;
    use crate::LockEventKind;
    use std::time::Duration;

    /// There is one log at a time. What has no room in it is counted, and nothing is noted before or afterwards.
    #[test]
    fn what_has_no_room_is_counted() {
        note(Kind::Block, 1, None);
        let trace = LockTrace::start().unwrap();
        assert!(matches!(LockTrace::start(), Err(StartError::InUse)));
        for nanoseconds in 0..EVENTS as u64 + 3 {
            note(if nanoseconds % 2 == 0 { Kind::Block } else { Kind::Mutex }, nanoseconds, None);
        }
        let LockEvents { events, lost, .. } = trace.finish();
        note(Kind::Block, 1, None);
        // Other tests of this process may wait for something too.
        assert!(events.len() == EVENTS && lost >= 3);
        // SAFETY: it asks for a number.
        let this = unsafe { libc::gettid() as u32 };
        let this_thread: Vec<&LockEvent> =
            events.iter().filter(|event| event.thread_id == this && event.stack.is_none()).collect();
        assert!(this_thread.len() + 100 > EVENTS);
        for event in this_thread {
            let is_block = event.waited.as_nanos() % 2 == 0;
            assert_eq!(event.kind, if is_block { LockEventKind::Waited } else { LockEventKind::Woke });
        }
        assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at + Duration::from_secs(1)));
    }
}
