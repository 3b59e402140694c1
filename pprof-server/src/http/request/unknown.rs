//! This finds parameters that nobody knows, and values that Go takes for 0 without a word.
//!
//! Go ignores both, and what was written for Go, scrapers above all, may rely on it: a request with nothing but Go's own
//! parameters is answered as Go answers it, and the profile's notes say what was ignored. Where one of our own parameters is
//! asked for, or a page that Go does not have, no promise of Go's is at stake, and what nobody knows is an error: an
//! `ago` that is misspelt would silently be a profile of something else.
//!
//! Path: *read path*. Pure.

use super::query::{escapes_are_whole, given};
use crate::http::refusal::Refusal;

/// The parameters that Go reads.
const OF_GO: [&str; 3] = ["seconds", "debug", "gc"];
/// Lists our own parameters of `heap` and `allocs`.
pub(crate) const OF_PROFILES: &[&str] = &[
    "ago",
    "since",
    "at",
    "min_age",
    "format",
    "top",
    "sample_index",
    "sample",
    "symbolize",
    "frames",
    "labels",
    "limit",
];
/// Lists our own parameters of `profile`.
pub(crate) const OF_CPU: &[&str] = &["hz", "format", "top", "symbolize", "labels", "limit"];
/// Lists our own parameters of `trace`.
pub(crate) const OF_TRACE: &[&str] = &["hz", "symbolize"];
/// Lists our own parameters of `goroutine`, `goroutineleak`, `threadcreate`, `fgprof`, `block` and `mutex`.
pub(crate) const OF_COUNTS: &[&str] = &["format", "top", "symbolize", "labels", "limit"];
/// Lists our own parameters of `mutex`.
pub(crate) const OF_MUTEX: &[&str] = &["format", "top", "symbolize", "labels", "limit", "idle"];
/// Lists our own parameters of `block`.
pub(crate) const OF_BLOCK: &[&str] = &["format", "top", "symbolize", "labels", "limit", "idle", "current"];
/// Lists our own parameters of `delta_block` and `delta_mutex`.
pub(crate) const OF_DELTA_LOCKS: &[&str] =
    &["client", "format", "top", "symbolize", "labels", "limit", "idle"];
/// Lists our own parameters of `holders`, and those that it shares with Go's pages.
pub(crate) const OF_HOLDERS: &[&str] =
    &["stack", "top", "min_age", "format", "debug", "symbolize", "labels", "limit"];
/// Lists our own parameters of `delta_heap`.
pub(crate) const OF_DELTA_HEAP: &[&str] =
    &["client", "format", "sample_index", "sample", "symbolize", "frames", "labels", "limit"];
/// The longest name of a parameter that comes back in a text.
const MAX_NAME_BYTES: usize = 24;

/// Refuses, on a page that only we have, what is not among `known`.
pub(crate) fn refuse(query: &str, known: &[&str]) -> Result<(), Refusal> {
    let first = unknown(query, |name| known.contains(&name)).into_iter().next();
    first.map_or(Ok(()), |name| Err(refusal(&name, known)))
}

/// Tells what is ignored as Go ignores it, a sentence each, for a profile that has the parameters `ours` beside Go's.
pub(crate) fn ignored(query: &str, ours: &[&str]) -> Result<Vec<String>, Refusal> {
    let unknown = unknown(query, |name| OF_GO.contains(&name) || ours.contains(&name));
    let known = [&OF_GO[..], ours].concat();
    if let Some(name) = unknown.first()
        && ours.iter().any(|name| given(query, name).is_some())
    {
        return Err(refusal(name, &known));
    }
    let listed = listed(&known);
    let mut notes: Vec<String> = unknown
        .iter()
        .map(|name| format!("request: ignored, as Go does: {name}, which is unknown - there are {listed}"))
        .collect();
    for name in ["debug", "gc"] {
        if given(query, name).is_some_and(|value| !is_number(&value)) {
            notes.push(format!("request: ignored, as Go does: the value of \"{name}\", which is no number"));
        }
    }
    if query.split('&').any(|pair| pair.contains(';') || !escapes_are_whole(pair)) {
        notes.push(
            "request: ignored, as Go does: a parameter with a semicolon or a broken percent escape in it"
                .to_owned(),
        );
    }
    Ok(notes)
}

/// Lists each parameter that is not known once, by what it may be called. Those that begin with `_` are nobody's mistake: they
/// are there to get past caches.
fn unknown(query: &str, is_known: impl Fn(&str) -> bool) -> Vec<String> {
    let pairs = query.split('&').filter(|pair| !pair.contains(';') && escapes_are_whole(pair));
    let names = pairs.flat_map(|pair| form_urlencoded::parse(pair.as_bytes())).map(|(name, _)| name);
    let mut unknown: Vec<String> =
        names.filter(|name| !is_known(name) && !name.starts_with('_')).map(|name| named(&name)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}

/// What a parameter may be called in a text: nothing of a request comes back that could be more than a word.
fn named(name: &str) -> String {
    let is_word = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'));
    if is_word { format!("the parameter \"{name}\"") } else { "a parameter".to_owned() }
}

fn refusal(name: &str, known: &[&str]) -> Refusal {
    let text = match known {
        [] => format!("{name} is unknown - there are none here"),
        known => format!("{name} is unknown - there are {}", listed(known)),
    };
    Refusal::bad_request(text)
}

fn listed(known: &[&str]) -> String {
    known.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// Whether Go's `Atoi` takes it for a number, however large.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn notes(query: &str) -> Vec<String> {
        ignored(query, OF_PROFILES).unwrap()
    }

    #[test]
    fn what_go_ignores_is_ignored_and_said() {
        for query in [
            "",
            "seconds=1&debug=&gc=0",
            "debug=-1&gc=%2B1",
            "format=json&_=1764374400",
            "gc=99999999999999999999",
            "&&",
        ] {
            assert_eq!(notes(query), [""; 0], "{query}");
        }
        let unknown = |name| {
            format!("request: ignored, as Go does: {name}, which is unknown - there are \"seconds\", ")
        };
        for (query, expected) in [
            ("second=30", "the parameter \"second\""),
            ("min-age=1h", "the parameter \"min-age\""),
            ("Debug=1", "a parameter"),
            ("%3Cscript%3E=1", "a parameter"),
            ("=1", "a parameter"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaa", "a parameter"),
        ] {
            let notes = notes(query);
            assert!(notes.len() == 1 && notes[0].starts_with(&unknown(expected)), "{query}: {notes:?}");
        }
        assert_eq!(notes("b&a&a=2&seconds=1").len(), 2, "each once");
        for query in ["debug=true", "gc=x", "debug=0x1", "gc=+1", "debug=-", "debug=1;x", "gc=%zz"] {
            let notes = notes(query);
            assert!(notes.len() == 1 && notes[0].contains("ignored, as Go does: "), "{query}: {notes:?}");
        }
    }

    #[test]
    fn beside_our_own_what_nobody_knows_is_an_error() {
        for query in ["ago=10m&mim_age=1h", "mim_age=1h&format=text", "client=a&ago=1m"] {
            let ours = if query.starts_with("client") { OF_DELTA_HEAP } else { OF_PROFILES };
            let refusal = ignored(query, ours).unwrap_err();
            let name = if query.starts_with("client") { "ago" } else { "mim_age" };
            let expected =
                format!("the parameter \"{name}\" is unknown - there are \"seconds\", \"debug\", \"gc\", \"");
            assert!(refusal.text.starts_with(&expected) && refusal.is_for_pprof, "{refusal:?}");
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
        // Ours, but empty, is as if it were left out.
        assert_eq!(ignored("format=&x", OF_PROFILES).unwrap().len(), 1);
    }

    #[test]
    fn pages_of_our_own_know_their_parameters() {
        assert_eq!(refuse("format=json&top=3&_=1", &["format", "top"]), Ok(()));
        let text = |query, known: &[&str]| refuse(query, known).unwrap_err().text;
        assert_eq!(
            text("tpo=3", &["format", "top"]),
            "the parameter \"tpo\" is unknown - there are \"format\", \"top\""
        );
        assert_eq!(text("x", &[]), "the parameter \"x\" is unknown - there are none here");
    }
}
