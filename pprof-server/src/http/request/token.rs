//! A server may ask for this bearer token.
//!
//! `builder` makes one, and `guard` asks for it. `go tool pprof` and browsers cannot
//! set a header, but send the password of `http://user:password@host/` by HTTP Basic, so the token is taken
//! from there too; the user's name does not matter.
//!
//! Path: *read path*. Pure.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq;

use crate::Error;

/// 16 characters of hexadecimal are 64 bits: no one guesses those over a network.
const MIN_CHARACTERS: usize = 16;

/// A secret that requests must carry.
pub(crate) struct Token(String);

impl Token {
    /// Checks that `text` can be sent in a header and not be guessed.
    pub(crate) fn new(text: String) -> Result<Token, Error> {
        if text.len() < MIN_CHARACTERS || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Token { length: text.chars().count() });
        }
        Ok(Token(text))
    }

    /// True if a request with these headers carries the token: `Bearer TOKEN`, or `Basic` with the token as
    /// the password. Two headers could be read differently by a proxy, so they count as none.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, credentials)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return false;
        };
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(credentials.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let decoded = BASE64_STANDARD.decode(credentials).unwrap_or_default();
        let password = decoded.iter().position(|byte| *byte == b':').map(|colon| &decoded[colon + 1..]);
        password.is_some_and(|password| self.is(password))
    }

    /// Compares in a time that depends on the lengths only.
    fn is(&self, sent: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(sent).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef";

    fn is_admitted(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Token::new(TEXT.to_owned()).unwrap().is_in(&headers)
    }

    #[test]
    fn only_the_token_is_admitted() {
        let basic = |credentials: &str| format!("Basic {}", BASE64_STANDARD.encode(credentials));
        for good in [
            format!("Bearer {TEXT}"),
            format!("bearer  {TEXT} "),
            basic(&format!("pprof:{TEXT}")),
            basic(&format!(":{TEXT}")),
        ] {
            assert!(is_admitted(&[&good]), "{good}");
        }
        for bad in [
            TEXT.to_owned(),
            format!("Bearer{TEXT}"),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer {}", &TEXT[1..]),
            format!("Bearer {TEXT}0"),
            format!("Bearer {}", TEXT.to_uppercase()),
            format!("Digest {TEXT}"),
            format!("Basic {TEXT}"),
            basic(TEXT),
            basic(&format!("{TEXT}:")),
            basic(&format!("pprof:{TEXT}:")),
            "Basic !".to_owned(),
        ] {
            assert!(!is_admitted(&[&bad]), "{bad}");
        }
        assert!(!is_admitted(&[]));
        assert!(!is_admitted(&[&format!("Bearer {TEXT}"), &format!("Bearer {TEXT}")]));
    }

    #[test]
    fn a_token_is_long_and_can_be_sent() {
        for bad in
            ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdef\n", "ééééééééééééééééé"]
        {
            assert!(matches!(Token::new(bad.to_owned()), Err(Error::Token { .. })), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Token::new(TEXT.to_owned()).unwrap()), "Token(…)");
    }
}
