//! These options say what a profile of the heap is to contain, and how it is to be shown.
//!
//! Path: *read path*.

use super::sample_type::SampleType;
use crate::profile::{Frames, SizeLimit, Symbolize};

/// Which of Go's two heap profiles it is. They differ in what a viewer shows first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileKind {
    /// Bytes in use are shown first. As in Go, the profile names no default, and viewers take the last sample type.
    #[default]
    Heap,
    /// Allocated bytes are shown first.
    Allocs,
}

/// What sets samples of the same stack apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Labels {
    /// Nothing does: there is one sample for each stack. The profile is smaller.
    None,
    /// The label `bytes` does, as in Go: it is the size class, by its upper bound.
    #[default]
    Size,
    /// The label `bytes` does, and for what is in use the label `age` does too. It is in seconds, rounded down to one
    /// of 0, 1, 10, 60, 600, 3600, 21 600, 86 400 or 604 800. What was allocated and freed again stands apart, without
    /// an age. This is only for a snapshot with ages; see `alloc_profiler::snapshot_with_ages`.
    SizeAndAge,
}

/// How a snapshot is encoded.
///
/// Begin with the default, since there may be more options in later versions:
///
/// ```
/// use pprof_server::{ProfileKind, ProfileOptions, Symbolize};
///
/// let options = ProfileOptions::default().with_kind(ProfileKind::Allocs).with_symbolize(Symbolize::None);
/// let profile = pprof_server::heap_profile(&pprof_server::alloc_profiler::snapshot(), &options);
/// # assert!(!profile.is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileOptions {
    /// What a viewer shows first.
    pub kind: ProfileKind,
    /// What a viewer shows first, chosen among all four; it outweighs `kind`. Tables are ordered by it, and folded
    /// stacks show it.
    pub sample_type: Option<SampleType>,
    /// Where names come from.
    pub symbolize: Symbolize,
    /// Which frames are kept.
    pub frames: Frames,
    /// What sets samples of a pprof profile apart, beside their stack.
    pub labels: Labels,
    /// How large a pprof profile may become, and how many folded stacks there may be.
    pub limit: SizeLimit,
}

impl ProfileOptions {
    /// Returns the same options with another [`ProfileOptions::kind`].
    #[must_use]
    pub const fn with_kind(self, kind: ProfileKind) -> ProfileOptions {
        ProfileOptions { kind, ..self }
    }

    /// Returns the same options with a [`ProfileOptions::sample_type`].
    #[must_use]
    pub const fn with_sample_type(self, sample_type: SampleType) -> ProfileOptions {
        ProfileOptions { sample_type: Some(sample_type), ..self }
    }

    /// Returns the same options with another [`ProfileOptions::symbolize`].
    #[must_use]
    pub const fn with_symbolize(self, symbolize: Symbolize) -> ProfileOptions {
        ProfileOptions { symbolize, ..self }
    }

    /// Returns the same options with another [`ProfileOptions::frames`].
    #[must_use]
    pub const fn with_frames(self, frames: Frames) -> ProfileOptions {
        ProfileOptions { frames, ..self }
    }

    /// Returns the same options with another [`ProfileOptions::labels`].
    #[must_use]
    pub const fn with_labels(self, labels: Labels) -> ProfileOptions {
        ProfileOptions { labels, ..self }
    }

    /// Returns the same options with another [`ProfileOptions::limit`].
    #[must_use]
    pub const fn with_limit(self, limit: SizeLimit) -> ProfileOptions {
        ProfileOptions { limit, ..self }
    }

    /// Returns the quantity to show first, or alone.
    pub(crate) fn shown_type(&self) -> SampleType {
        self.sample_type.unwrap_or(match self.kind {
            ProfileKind::Heap => SampleType::InuseSpace,
            ProfileKind::Allocs => SampleType::AllocSpace,
        })
    }
}
