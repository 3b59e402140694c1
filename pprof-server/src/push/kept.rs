//! CPU profiles that the engine has not taken yet are kept, within bounds.
//!
//! Heap profiles need not be: the next one has what was allocated since the last one that was taken.
//!
//! Path: *read path*.

use std::collections::VecDeque;

/// The most profiles that are kept.
const MAX_PROFILES: usize = 8;
/// The most bytes that they take, where there is more than one.
const MAX_BYTES: usize = 4 << 20;

/// Keeps profiles, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept(VecDeque<Vec<u8>>);

impl Kept {
    /// Adds the newest profile, and returns how many of the oldest had to go for it.
    pub(super) fn add(&mut self, profile: Vec<u8>) -> usize {
        self.0.push_back(profile);
        let mut dropped = 0;
        while self.0.len() > 1 && (self.0.len() > MAX_PROFILES || self.bytes() > MAX_BYTES) {
            self.0.pop_front();
            dropped += 1;
        }
        dropped
    }

    pub(super) fn oldest(&self) -> Option<&[u8]> {
        self.0.front().map(Vec::as_slice)
    }

    pub(super) fn remove_oldest(&mut self) {
        self.0.pop_front();
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_where_there_are_too_many_or_they_are_too_large() {
        let mut kept = Kept::default();
        let dropped: Vec<usize> = (0..10).map(|number| kept.add(vec![number; 10])).collect();
        assert_eq!(dropped, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(kept.oldest(), Some(&[2; 10][..]));
        assert_eq!(kept.add(vec![10; MAX_BYTES]), 8, "all others");
        assert_eq!(kept.add(vec![11; 1]), 1);
        assert_eq!(kept.oldest(), Some(&[11][..]));
        assert_eq!(kept.add(vec![12; MAX_BYTES + 1]), 1, "one is kept, however large");
        kept.remove_oldest();
        assert_eq!(kept.oldest(), None);
    }
}
