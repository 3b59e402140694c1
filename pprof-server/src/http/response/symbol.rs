//! This names addresses for `/debug/pprof/symbol`, where `go tool pprof` sends what a profile left unnamed.
//!
//! The protocol is older than Go: addresses joined by `+` in the raw query or in the body of
//! a POST, a line for each that has a name. Addresses arrive as they stand in the profile, already one below
//! the return address. Names are those of profiles, but mangled where there are brackets in them: pprof would cut
//! these out, and demangles by itself.
//!
//! A megabyte of addresses may ask for gigabytes of names, so an address that comes again is answered once, and the
//! answer is bounded while it is written.
//!
//! Path: *read path*.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use crate::encode::BoundedText;
use crate::http::refusal::Refusal;
use crate::http::workers::executor::sleep;
use crate::http::workers::{Lane, Workers};
use crate::symbols::LinkageNames;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::{Method, Request, StatusCode};

/// The largest body of a `symbol` request: some 70 000 addresses.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;
/// The longest time for that body to arrive.
const MAX_BODY_TIME: Duration = Duration::from_secs(5);
/// The longest word that Go reads; a longer one ends its reading.
const MAX_WORD_BYTES: usize = 4096;
/// The longest answer, and what the distinct names in it take at most: each address of the largest body may have a name of 200
/// bytes, which is longer than most are.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The end of an answer in which names are missing.
const CUT: &str =
    "names are missing: all of them together are longer than 16 MiB; ask for fewer addresses at a time\n";

/// The words of a `symbol` request: the body of a POST, else the raw query.
pub(crate) async fn words<B>(request: Request<B>, workers: &Workers) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    if *request.method() != Method::POST {
        return Ok(Bytes::copy_from_slice(request.uri().query().unwrap_or_default().as_bytes()));
    }
    let too_long = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a symbol request must be at most 1 MiB");
    let body = request.into_body();
    // This is asked before the first read: a client that waits for `100 Continue` then never sends the body.
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_long());
    }
    let body = pin!(Limited::new(body, MAX_BODY_BYTES));
    tokio::select! {
        body = body.collect() => match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
            Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "reading request: unexpected EOF")),
        },
        // The worker's thread waits, since the caller's may have no clock.
        waited = workers.run(Lane::Addresses, async { sleep(MAX_BODY_TIME).await }) => {
            waited?;
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "reading request: timed out"))
        }
    }
}

/// What a `symbol` request asks for.
#[derive(Debug)]
pub(crate) struct Question {
    /// Holds the addresses in the order of the request, each once.
    pub(crate) addresses: Vec<u64>,
    /// Whether a word was too long, which ends the reading.
    is_cut: bool,
}

impl Question {
    /// Reads `words`, or returns 503 where there is no memory for the addresses.
    pub(crate) fn read(words: &[u8]) -> Result<Question, Refusal> {
        let mut addresses = Vec::new();
        let most = words.iter().filter(|byte| **byte == b'+').count() + 1;
        addresses.try_reserve_exact(most).map_err(|_| no_memory())?;
        let mut is_cut = false;
        for word in words.split(|byte| *byte == b'+') {
            addresses.extend(address(word));
            is_cut = word.len() >= MAX_WORD_BYTES;
            if is_cut {
                break;
            }
        }
        let mut seen = HashSet::new();
        seen.try_reserve(addresses.len()).map_err(|_| no_memory())?;
        // mutant: D13 an address is answered each time
        addresses.retain(|address| seen.insert(*address));
        Ok(Question { addresses, is_cut })
    }

    /// Returns the answer, of [`MAX_ANSWER_BYTES`] at most.
    pub(crate) fn answer(&self, names: &LinkageNames) -> String {
        // mutant: D13 an answer to symbol has no bound
        // The number is a constant: all that pprof asks is whether it is zero.
        let mut lines = BoundedText::new(MAX_ANSWER_BYTES);
        let named = || self.addresses.iter().filter_map(|&address| Some((address, names.get(address)?)));
        // An address has 18 characters at most, and a space and the end of the line stand beside it and its name.
        let length: usize = named().map(|(_, name)| 18 + 2 + name.len()).sum();
        lines.reserve(length + 32);
        let mut is_whole = lines.push_line(format_args!("num_symbols: 1")) && !names.is_cut;
        for (address, name) in named() {
            is_whole &= lines.push_line(format_args!("{address:#x} {name}"));
        }
        let mut answer = lines.into_text();
        // Readers pass over lines that do not begin with an address.
        if !is_whole {
            answer.push_str(CUT);
        }
        if self.is_cut {
            answer.push_str("reading request: bufio: buffer full\n");
        }
        answer
    }
}

fn no_memory() -> Refusal {
    let text = "there is no memory to answer; ask for fewer addresses at a time";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).with_retry_after("10")
}

/// An unsigned integer with Go's base prefixes, if it is not zero.
fn address(word: &[u8]) -> Option<u64> {
    // `from_str_radix` would take a second sign; none is allowed here.
    let word = std::str::from_utf8(word)
        .ok()
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', b'o' | b'O', ..] => (&word[2..], 8),
        [b'0', b'b' | b'B', ..] => (&word[2..], 2),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    u64::from_str_radix(digits, radix).ok().filter(|address| *address != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    /// Names every address but 99.
    fn answer(words: &str) -> String {
        let question = Question::read(words.as_bytes()).unwrap();
        let names: Vec<_> = question.addresses.iter().map(|address| format!("_R{address}")).collect();
        let named = question.addresses.iter().copied().zip(names.iter().map(String::as_str));
        let mut named: Vec<_> = named.filter(|(address, _)| *address != 99).collect();
        named.sort_unstable();
        question.answer(&LinkageNames::fixed(&named))
    }

    #[test]
    fn words_are_integers_in_any_base_of_go() {
        for (words, lines) in [
            ("", ""),
            ("0x10", "0x10 _R16\n"),
            ("0X10+0b11+0o17+017+12", "0x10 _R16\n0x3 _R3\n0xf _R15\n0xc _R12\n"),
            ("0xffffffffffffffff", "0xffffffffffffffff _R18446744073709551615\n"),
            ("0x10000000000000000", ""),
            ("0", ""),
            ("0x0+0x", ""),
            ("x+-1+ 16+0x1g", ""),
            ("0x10%2B0x20", ""),
            ("%30x10", ""),
            ("99+16", "0x10 _R16\n"),
            ("debug=1", ""),
            ("+16+", "0x10 _R16\n"),
        ] {
            assert_eq!(answer(words), format!("num_symbols: 1\n{lines}"), "{words}");
        }
    }

    #[test]
    fn a_word_too_long_ends_the_reading() {
        let long = "1".repeat(4096);
        assert_eq!(
            answer(&format!("0x10+{long}+0x20")),
            "num_symbols: 1\n0x10 _R16\nreading request: bufio: buffer full\n"
        );
        let fits = format!("{}1", "0".repeat(4094));
        assert_eq!(answer(&fits), "num_symbols: 1\n0x1 _R1\n");
    }

    #[test]
    fn an_address_that_comes_again_is_answered_once() {
        let most = "16+".repeat(MAX_BODY_BYTES / 3);
        assert_eq!(answer(&most), "num_symbols: 1\n0x10 _R16\n");
        assert_eq!(answer("3+16+3+0x10+020"), "num_symbols: 1\n0x3 _R3\n0x10 _R16\n");
    }

    #[test]
    fn an_answer_is_bounded_and_says_so() {
        // As long as a name may be; one without brackets would be shorter.
        let name = format!("<{}", "n".repeat(1023));
        let addresses: Vec<u64> = (1..=20_000).collect();
        let named: Vec<_> = addresses.iter().map(|&address| (address, &*name)).collect();
        let names = LinkageNames::fixed(&named);
        let words: Vec<_> = addresses.iter().map(u64::to_string).collect();
        let answer = Question::read(words.join("+").as_bytes()).unwrap().answer(&names);
        assert!(answer.len() <= MAX_ANSWER_BYTES + CUT.len() && answer.len() > MAX_ANSWER_BYTES / 2);
        let lines: Vec<&str> = answer.lines().collect();
        assert_eq!(format!("{}\n", lines[lines.len() - 1]), CUT);
        assert!(lines[1..lines.len() - 1].iter().all(|line| line.ends_with(&name)), "a name was cut");
    }

    #[test]
    fn a_symbol_body_is_bounded_in_size() {
        let post = |body| Request::post("/debug/pprof/symbol").body(body).unwrap();
        let workers = Workers::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let long = Full::new(Bytes::from(vec![b'1'; MAX_BODY_BYTES + 1]));
            assert_eq!(words(post(long), &workers).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
            let whole = Full::new(Bytes::from_static(b"0x1+0x2"));
            assert_eq!(words(post(whole), &workers).await.unwrap(), "0x1+0x2");
        });
    }
}
