//! A walk over a stack tells what it found: its frames, how it ended, or that it was met before.

#[cfg(by_tables)]
use crate::by_tables::Remembered;
use crate::frames::{Frames, Room};
use crate::{CodeAddress, Cookie};

/// A walk over a stack, whose frames lie in the room that was given for them.
pub struct Walk<'a> {
    frames: Frames<'a>,
    #[cfg(by_tables)]
    remembered: Remembered,
}

impl<'a> Walk<'a> {
    /// A walk that finds its frames by `fill`.
    #[inline(always)]
    pub(crate) fn new(room: &'a mut Room, fill: impl FnOnce(&mut Frames<'a>)) -> Walk<'a> {
        let mut frames = Frames::new(room);
        fill(&mut frames);
        Walk {
            frames,
            #[cfg(by_tables)]
            remembered: Remembered::No,
        }
    }

    /// A walk that finds its frames by `fill`, which also says whether this walk is remembered.
    #[cfg(by_tables)]
    #[inline(always)]
    pub(crate) fn beside_others(
        room: &'a mut Room,
        fill: impl FnOnce(&mut Frames<'a>) -> Remembered,
    ) -> Walk<'a> {
        let mut frames = Frames::new(room);
        let remembered = fill(&mut frames);
        Walk { frames, remembered }
    }

    /// What was attached to this walk when it was met before, if it is remembered. Then [`frames`](Self::frames) is empty,
    /// and the walk was neither cut nor truncated.
    #[inline(always)]
    #[must_use]
    pub fn met(&self) -> Option<Cookie> {
        #[cfg(by_tables)]
        if let Remembered::Met(cookie) = self.remembered {
            return Some(cookie);
        }
        None
    }

    /// Returns the frames, outermost first. There are none if the walk was [met](Self::met) before, or not even the first caller could be
    /// told.
    #[inline(always)]
    #[must_use]
    pub fn frames(&self) -> &[CodeAddress] {
        self.frames.as_slice()
    }

    /// Whether frames beyond the first [`MAX_STACK_DEPTH`](crate::MAX_STACK_DEPTH) are left out.
    #[inline(always)]
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.frames.is_truncated()
    }

    /// Whether there are callers beyond that could not be told: nothing that the program says about a function on the way
    /// leads to its caller.
    #[inline(always)]
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.frames.is_cut()
    }

    /// The hash of the frames, as [`hash_of`](crate::hash_of) computes it.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.frames.hash()
    }

    /// Attaches `cookie` to this walk: when the same walk is met again, [`met`](Self::met) returns it, if the walk is still
    /// remembered then. Where this walk cannot be remembered, nothing happens.
    #[inline(always)]
    pub fn remember(self, cookie: Cookie) {
        #[cfg(by_tables)]
        if let Remembered::Can(remembering) = self.remembered {
            remembering.keep(cookie);
        }
        #[cfg(not(by_tables))]
        let _ = cookie;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{hash_of, room};
    use std::num::NonZeroUsize;

    #[test]
    fn a_walk_tells_what_was_found() {
        let mut room = room();
        let walk = Walk::new(&mut room, |frames| {
            frames.push(CodeAddress::returning_to(1));
            frames.push(CodeAddress::returning_to(2));
        });
        assert_eq!(walk.frames(), [2, 1].map(CodeAddress::returning_to));
        assert_eq!(walk.hash(), hash_of(walk.frames()));
        assert!(walk.met().is_none() && !walk.is_cut() && !walk.is_truncated());
        // It is beside no others, so nothing can be attached to it.
        walk.remember(Cookie(NonZeroUsize::MIN));
    }

    #[cfg(by_tables)]
    #[test]
    fn a_walk_that_was_met_before_has_a_cookie_and_no_frames() {
        let mut room = room();
        let cookie = Cookie(NonZeroUsize::MAX);
        let walk = Walk::beside_others(&mut room, |_| Remembered::Met(cookie));
        assert_eq!((walk.met(), walk.frames()), (Some(cookie), &[][..]));
    }
}
