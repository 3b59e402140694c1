//! The messages of Pyroscope's `push/v1/push.proto` carry profiles to it.
//!
//! Field numbers are the wire format and never change. Each message carries one profile: where an engine refuses it, none of
//! its parts was taken.
//!
//! Path: *read path*.

use prost::Message;

use super::{Kind, random_bits};

/// Where Pyroscope takes profiles: the method of its API, over the protocol of connectrpc.com.
pub(super) const PATH: &str = "push.v1.PusherService/Push";
pub(super) const HEADERS: [(&str, &str); 2] =
    [("Content-Type", "application/proto"), ("Connect-Protocol-Version", "1")];

/// The label that names the kind of profile.
const PROFILE_LABEL: &str = "__name__";
/// The label by which Pyroscope knows that `alloc_*` counts from profile to profile, and not from the start of the program.
const DELTA_LABEL: (&str, &str) = ("__delta__", "false");

/// This is the request of `push.v1.PusherService/Push`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<RawProfileSeries>,
}

/// Profiles with the labels that they all have.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RawProfileSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<RawSample>,
}

/// Is a label of the whole profile.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::push) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(in crate::push) name: String,
    #[prost(string, tag = "2")]
    pub(in crate::push) value: String,
}

/// Carries one profile.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RawSample {
    /// This is a pprof profile, gzipped or not.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) raw_profile: Vec<u8>,
    /// A UUID, by which the engine's log names the profile.
    #[prost(string, tag = "2")]
    pub(super) id: String,
}

impl LabelPair {
    pub(in crate::push) fn new(name: impl Into<String>, value: impl Into<String>) -> LabelPair {
        LabelPair { name: name.into(), value: value.into() }
    }
}

/// Returns the bytes of a request that carries `profile`. The names of its types are as in Go.
pub(super) fn request(kind: Kind, labels: &[LabelPair], profile: Vec<u8>) -> Vec<u8> {
    let name = match kind {
        Kind::Heap => "memory",
        Kind::Cpu => "process_cpu",
    };
    let (delta, is_delta) = DELTA_LABEL;
    let own = [LabelPair::new(PROFILE_LABEL, name), LabelPair::new(delta, is_delta)];
    let labels = own.into_iter().chain(labels.iter().cloned()).collect();
    let samples = vec![RawSample { raw_profile: profile, id: uuid() }];
    PushRequest { series: vec![RawProfileSeries { labels, samples }] }.encode_to_vec()
}

/// An engine has nothing to say of a part of a request: `PushResponse`, the answer of one that has taken it, is a message without
/// fields. What it does not take, it refuses by the status.
pub(super) fn complaint(_answer: &[u8]) -> Option<String> {
    None
}

/// Makes a random UUID, of version 4.
fn uuid() -> String {
    let bits = random_bits();
    let (version, variant) = (0x4_u128 << 76, 0b10_u128 << 62);
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | version | variant;
    let text = format!("{bits:032x}");
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_that_differ() {
        let ids = [uuid(), uuid()];
        for id in &ids {
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(&id[14..15], "4", "{id}");
            assert!(["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
        }
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_request_carries_one_profile() {
        let labels = [LabelPair::new("service_name", "shop")];
        let bytes = request(Kind::Heap, &labels, b"profile".to_vec());
        let read = PushRequest::decode(&bytes[..]).unwrap();
        let [series] = &read.series[..] else { panic!("{read:?}") };
        let found: Vec<(&str, &str)> =
            series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
        assert_eq!(found, [("__name__", "memory"), ("__delta__", "false"), ("service_name", "shop")]);
        assert_eq!(series.samples.len(), 1);
        assert_eq!(series.samples[0].raw_profile, b"profile");
    }
}
