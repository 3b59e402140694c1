//! This says in words what a profile lacks: how much of it each loss concerns, and what to do about it.
//!
//! What can be said of stacks and their names is here, for every source. Each source has a list of losses, these among
//! them, in the order in which they are told. Every output has the same words: the comments of a pprof profile, which
//! `go tool pprof` prints above every report, Go's text, the table, JSON, the report on suspects, and with them the page;
//! `/metrics` has each loss's share under the loss's name.
//!
//! Path: *read path*.

mod evidence;
pub(crate) mod of_names;

use crate::profile::Stacks;
pub(crate) use evidence::{Evidence, Extent, Share, Weight};

/// Something that a profile lacks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loss {
    /// What the metrics call it.
    pub(crate) reason: &'static str,
    /// How much of what it is about is concerned, from 0 to 1.
    pub(crate) ratio: f64,
    /// What is lost, how much of it, and what to do about it. It is one line.
    pub(crate) text: String,
}

/// This is a loss that has no name yet.
pub(crate) struct Told {
    pub(crate) ratio: f64,
    pub(crate) text: String,
}

/// Losses by name, without those that there are not.
pub(crate) fn told(found: impl Iterator<Item = (&'static str, Option<Told>)>) -> Vec<Loss> {
    let named = found.filter_map(|(reason, told)| Some((reason, told?)));
    named.map(|(reason, Told { ratio, text })| Loss { reason, ratio, text }).collect()
}

/// What is known of a profile's stacks.
pub(crate) struct StackFacts<'a> {
    /// If addresses were named.
    pub(crate) stacks: Option<&'a Stacks>,
    pub(crate) evidence: Evidence,
    /// `full`, or why the program's own functions cannot be named in full.
    pub(crate) symbols: String,
    /// What each weight is a share of, such as `what is in use`.
    pub(crate) wholes: [&'static str; 2],
}

impl StackFacts<'_> {
    /// The part of the profile that `extent` is, if it is any.
    pub(crate) fn share(&self, extent: Extent) -> Option<Share> {
        extent.share_of(self.evidence.whole, self.wholes)
    }

    /// Where most of what lacks names is.
    fn worst_library(&self) -> &str {
        let gaps = self.stacks.and_then(Stacks::gaps);
        let file = gaps.and_then(|gaps| gaps.file(self.evidence.worst()?));
        file.unwrap_or("a library")
    }
}
