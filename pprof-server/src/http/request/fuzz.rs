//! This states what must hold of guard and router, whatever bytes they meet.
//!
//! The fuzzer calls this (the target `router` of scripts/check-fuzz.sh), and so does a test, with requests from a fixed
//! seed that are nearly right more often than bytes at random would be.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Uri, Version};

use super::guard::Guard;
use super::lock_request::Span;
use super::path::{Mount, with_query};
use super::period::Period;
use super::routes::{Decision, Rules, decide};
use super::token::Token;

const MAX_DELTA: Duration = Duration::from_secs(300);

/// Decides about the request in these bytes: method, target, host, authorization and origin, a line each.
///
/// # Panics
///
/// If something does not hold.
pub(crate) fn route(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let method = Method::from_bytes(line()).unwrap_or(Method::GET);
    // What hyper does not take for a target never gets here.
    let Ok(uri) = Uri::try_from(line()) else { return };
    let mut headers = HeaderMap::new();
    for name in [HOST, AUTHORIZATION, ORIGIN] {
        if let Ok(value) = HeaderValue::from_bytes(line()) {
            headers.insert(name, value);
        }
    }
    admit(&uri, &headers);
    for mount in [Mount::Root, Mount::AnyPrefix] {
        let rules = Rules { mount, max_delta: MAX_DELTA };
        let decision = decide(rules, &method, uri.path(), uri.query());
        check(&decision);
        if let Decision::Redirect(location) = decision
            && mount == Mount::Root
        {
            let location = resolve(uri.path(), &location);
            let (path, query) = location.split_once('?').map_or((&*location, None), |(p, q)| (p, Some(q)));
            let next = decide(rules, &method, path, query);
            assert!(!matches!(next, Decision::Redirect(_)), "{location} redirects again");
        }
    }
}

fn admit(uri: &Uri, headers: &HeaderMap) {
    const TOKEN: &str = "0123456789abcdef";
    let token = || Token::new(TOKEN.to_owned()).expect("long enough");
    let guard = Guard::of_server(Some(token()), Vec::new()).expect("no names");
    if guard.admit(uri, Version::HTTP_11, headers).is_ok() {
        assert!(token().is_in(headers) && headers.contains_key(HOST));
        // There is no origin, or it is that of our own page.
        let (origin, host) = (headers.get(ORIGIN), &headers[HOST]);
        let own = |scheme| [scheme, host.as_bytes()].concat();
        assert!(
            origin.is_none_or(
                |origin| [own(b"http://"), own(b"https://")].contains(&origin.as_bytes().to_vec())
            ),
            "{origin:?}"
        );
    }
}

/// Where a client goes that asked for `path` and is told the relative `location` (RFC 3986, 5.2).
pub(crate) fn resolve(path: &str, location: &str) -> String {
    let (location, query) = location.split_once('?').map_or((location, None), |(p, q)| (p, Some(q)));
    assert!(!location.starts_with('/') && !location.is_empty(), "{location:?} is not relative");
    assert!(
        !location.split('/').next().is_some_and(|name| name.contains(':')),
        "{location:?} names a protocol"
    );
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let merged = format!("{folder}/{location}");
    let mut names = Vec::new();
    for name in merged.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    if merged.ends_with("/.") || merged.ends_with("/..") {
        names.push("");
    }
    with_query(&format!("/{}", names.join("/")), query)
}

fn check(decision: &Decision) {
    match decision {
        Decision::Refuse(refusal) => {
            assert!(refusal.status.is_client_error());
            let is_constant = matches!(refusal.text, Cow::Borrowed(_));
            let is_too_long = refusal.text == r#"invalid value for "seconds" - must be at most 300"#;
            // The names of the formats are put together, and nothing of the request is in them.
            let is_of_formats =
                refusal.text == r#"invalid value for "format" - must be "pprof", "text", "folded" or "json""#;
            assert!(is_constant || is_too_long || is_of_formats || is_unknown(&refusal.text), "{refusal:?}");
        }
        Decision::Redirect(location) => {
            assert!(HeaderValue::from_str(location).is_ok(), "{location:?} is no header");
            assert!(!location.contains('\\') || location.contains('?'), "{location:?} leads to another host");
        }
        Decision::Profile(wanted) => {
            check_notes(&wanted.notes);
            if let Period::Next(time) = wanted.period {
                assert!((Duration::from_secs(1)..=MAX_DELTA).contains(&time), "{time:?}");
            }
        }
        Decision::DeltaHeap(wanted) => {
            check_notes(&wanted.notes);
            check_name(&wanted.client);
        }
        Decision::Cpu(wanted) => {
            check_notes(&wanted.form.notes);
            assert!((Duration::from_secs(1)..=MAX_DELTA).contains(&wanted.time), "{:?}", wanted.time);
            assert!((1..=1000).contains(&wanted.hz), "{}", wanted.hz);
        }
        Decision::Current(wanted) => check_notes(&wanted.form.notes),
        Decision::Counts(wanted) => {
            check_notes(&wanted.form.notes);
            if let Span::SinceLastCall { client, .. } = &wanted.span {
                check_name(client);
            }
        }
        Decision::Trace(wanted) => {
            check_notes(&wanted.notes);
            assert!(wanted.time <= MAX_DELTA, "{:?}", wanted.time);
        }
        Decision::Wall(wanted) => check_notes(&wanted.form.notes),
        Decision::Goroutine(wanted) => check_notes(&wanted.form.notes),
        Decision::Holders(wanted) => check_notes(&wanted.form.notes),
        Decision::SetMark { name, .. } => check_name(name),
        Decision::Index
        | Decision::Asset(_)
        | Decision::Symbol
        | Decision::Cmdline
        | Decision::Metrics { .. }
        | Decision::History
        | Decision::Marks
        | Decision::Suspects(_) => {}
    }
}

fn check_notes(notes: &[String]) {
    let is_line = |note: &String| note.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    assert!(notes.iter().all(is_line), "{notes:?}");
}

fn check_name(name: &str) {
    assert!(name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
}

/// Whether this says that a parameter is unknown, and names it only if its name is a word.
fn is_unknown(text: &str) -> bool {
    let Some((subject, _)) = text.split_once(" is unknown - there are ") else { return false };
    let quoted = subject.strip_prefix("the parameter \"").and_then(|rest| rest.strip_suffix('"'));
    let is_word =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'));
    subject == "a parameter" || quoted.is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marsaglia's xorshift: the same requests in every run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % limit
        }

        fn one_of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
            choices[self.below(choices.len())]
        }

        /// Writes some of `words`, one after the other, with a random byte in between now and then.
        fn phrase(&mut self, words: &[&str], bytes: &mut Vec<u8>) {
            for _ in 0..self.below(9) {
                bytes.extend_from_slice(self.one_of(words).as_bytes());
                if self.below(12) == 0 {
                    bytes.push(u8::try_from(self.below(256)).unwrap());
                }
            }
            bytes.push(b'\n');
        }
    }

    #[test]
    fn requests_that_are_nearly_right() {
        const TARGET: [&str; 24] = [
            "/",
            "/",
            "debug",
            "pprof",
            "/debug/pprof/",
            "heap",
            "allocs",
            "symbol",
            "..",
            ".",
            "%2f",
            "%68",
            "%",
            "\\",
            "?",
            "&",
            ";",
            "=",
            "seconds=",
            "debug=1",
            "301",
            "1",
            "-",
            "+",
        ];
        const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "CONNECT", "get"];
        const HOSTS: [&str; 8] = ["localhost", "127.0.0.1", "[::1]", ":6060", ".", "evil.example", "[", "@"];
        const CREDENTIALS: [&str; 6] =
            ["Bearer ", "Basic ", "0123456789abcdef", "OjAxMjM0NTY3ODlhYmNkZWY=", " ", "="];
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut bytes = Vec::new();
        for _ in 0..100_000 {
            bytes.clear();
            bytes.extend_from_slice(numbers.one_of(&METHODS).as_bytes());
            bytes.extend_from_slice(b"\n/");
            numbers.phrase(&TARGET, &mut bytes);
            numbers.phrase(&HOSTS, &mut bytes);
            numbers.phrase(&CREDENTIALS, &mut bytes);
            numbers
                .phrase(&["", "null", "http://", "https://", "localhost", "127.0.0.1", ":6060"], &mut bytes);
            route(&bytes);
        }
    }
}
