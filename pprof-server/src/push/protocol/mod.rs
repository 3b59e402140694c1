//! How profiles are put into requests, and what an answer says beside its status: a file for each protocol.
//!
//! Path: *read path*.

#[cfg(feature = "push-otlp")]
mod otlp;
mod pyroscope;

pub(super) use pyroscope::LabelPair;

/// What the engine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// It speaks the protocol of Pyroscope.
    Pyroscope,
    /// It speaks that of OpenTelemetry, over HTTP.
    #[cfg(feature = "push-otlp")]
    Otlp,
}

/// The kinds of profiles that are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Heap,
    Cpu,
}

impl Protocol {
    /// The path at which the engine takes profiles.
    pub(super) fn path(self) -> &'static str {
        match self {
            Protocol::Pyroscope => pyroscope::PATH,
            #[cfg(feature = "push-otlp")]
            Protocol::Otlp => otlp::PATH,
        }
    }

    /// Returns headers that every request has.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Protocol::Pyroscope => &pyroscope::HEADERS,
            #[cfg(feature = "push-otlp")]
            Protocol::Otlp => &otlp::HEADERS,
        }
    }

    /// Makes a request that carries a pprof profile, gzipped or not; `None` if the profile would have to be read for that and cannot be.
    pub(super) fn request(self, kind: Kind, labels: &[LabelPair], profile: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Protocol::Pyroscope => Some(pyroscope::request(kind, labels, profile)),
            #[cfg(feature = "push-otlp")]
            Protocol::Otlp => otlp::request(labels, &profile),
        }
    }

    /// Returns what an engine says that has accepted a request, and not all that is in it.
    pub(super) fn complaint(self, answer: &[u8]) -> Option<String> {
        match self {
            Protocol::Pyroscope => pyroscope::complaint(answer),
            #[cfg(feature = "push-otlp")]
            Protocol::Otlp => otlp::complaint(answer),
        }
    }
}

/// Makes 128 random bits, by which engines name a profile.
fn random_bits() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let random = || u128::from(RandomState::new().hash_one(0));
    random() << 64 | random()
}
