//! What a profile lacks, in words: how much of it each loss concerns, and what to do about it.
//!
//! What can be said of stacks and their names is here, for every source. Each source has a list of losses, these among
//! them, in the order in which they are told. Every output has the same words: the comments of a pprof profile, which
//! `go tool pprof` prints above every report, Go's text, the table, JSON, the report on suspects, and with them the page;
//! `/metrics` has each loss's share under the loss's name.
//!
//! Path: *read path*.

mod evidence;
pub(crate) mod of_names;

use crate::profile::{Lack, Stacks};
pub(crate) use evidence::{Evidence, Extent, Share, Weight};

/// Something that a profile lacks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loss {
    /// Its name among the metrics.
    pub(crate) reason: &'static str,
    /// How much of what it is about is concerned, from 0 to 1.
    pub(crate) ratio: f64,
    /// What is lost, how much of it, and what to do about it. One line.
    pub(crate) text: String,
}

/// A loss, but for its name.
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
    pub(crate) symbols: &'static str,
    /// What each weight is a share of, such as `what is in use`.
    pub(crate) wholes: [&'static str; 2],
}

impl StackFacts<'_> {
    /// The part of the profile that `extent` is, if it is any.
    pub(crate) fn share(&self, extent: Extent) -> Option<Share> {
        extent.share_of(self.evidence.whole, self.wholes)
    }

    /// Where most of what lacks names or lines is.
    fn worst_library(&self, lack: Lack) -> &str {
        let gaps = self.stacks.and_then(Stacks::gaps);
        let file = gaps.and_then(|gaps| gaps.file(self.evidence.worst(lack)?));
        file.unwrap_or("a library")
    }
}
