//! This remembers what each reader of a delta profile has had already, so that the next call tells what came since.
//!
//! Readers are told apart by the name they give, so that two of them do not take each other's deltas. Only the last few readers
//! are remembered.
//!
//! Path: *read path*.

use std::hash::RandomState;

/// The number of readers that are remembered. If there is one more, the reader that has not called for longest is forgotten: its
/// next call counts as its first.
const MAX_CLIENTS: usize = 8;

/// The readers of one profile, of whom the latest to call is last, with what each has had.
#[derive(Debug)]
pub(crate) struct Clients<Had> {
    known: Vec<(String, Had)>,
    /// What was had is known by hashes of 64 bits. With 100 000 stacks, two of them are the same in one of four thousand million
    /// cases.
    hasher: RandomState,
}

impl<Had> Default for Clients<Had> {
    fn default() -> Clients<Had> {
        Clients { known: Vec::new(), hasher: RandomState::new() }
    }
}

impl<Had> Clients<Had> {
    /// Answers `client`. From what it has had, `answer` makes the answer, and what it has had then. With `is_peek` the call
    /// does not count.
    pub(super) fn call<T>(
        &mut self,
        client: &str,
        is_peek: bool,
        answer: impl FnOnce(Option<&Had>, &RandomState) -> (T, Had),
    ) -> T {
        let index = self.known.iter().position(|(name, _)| name == client);
        let (answer, had) = answer(index.map(|index| &self.known[index].1), &self.hasher);
        if !is_peek {
            if let Some(index) = index {
                self.known.remove(index);
            } else if self.known.len() == MAX_CLIENTS {
                self.known.remove(0);
            }
            self.known.push((client.to_owned(), had));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts a call, and returns how many of this client there were before.
    fn calls_before(clients: &mut Clients<u32>, client: &str, is_peek: bool) -> u32 {
        clients.call(client, is_peek, |had, _| {
            let before = had.copied().unwrap_or(0);
            (before, before + 1)
        })
    }

    #[test]
    fn the_one_that_has_not_called_for_longest_is_forgotten() {
        let mut clients = Clients::default();
        let mut call = |client: &str| calls_before(&mut clients, client, false);
        for number in 0..MAX_CLIENTS {
            assert_eq!(call(&number.to_string()), 0);
        }
        assert_eq!(call("0"), 1);
        assert_eq!(call("new"), 0);
        assert_eq!(call("0"), 2);
        assert_eq!(call("1"), 0, "forgotten for the new one");
        assert_eq!(clients.known.len(), MAX_CLIENTS);
    }

    #[test]
    fn a_peek_is_no_call() {
        let mut clients = Clients::default();
        for (is_peek, before) in [(true, 0), (false, 0), (true, 1), (true, 1), (false, 1), (false, 2)] {
            assert_eq!(calls_before(&mut clients, "a", is_peek), before);
        }
    }
}
