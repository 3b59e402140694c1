//! Query parameters read the way Go reads them: first value of a name, and Go's two integer rules.
//!
//! Called by `routes`. Decoding is `form_urlencoded`'s; the rules around it are Go's, where they differ from
//! those of browsers.
//!
//! Path: *read path*.

use std::borrow::Cow;
use std::num::IntErrorKind;

/// The first value of `name`, decoded. Like Go, we drop a pair that contains `;` or a broken percent escape
/// and keep the others.
pub(super) fn first_value<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query
        .split('&')
        .filter(|pair| !pair.contains(';') && escapes_are_whole(pair))
        .flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// True if each `%` is followed by two hexadecimal digits.
pub(super) fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

/// True if Go's `Atoi`, with its error ignored, gives something else than 0: a number out of range counts,
/// anything that is not a decimal number does not.
pub(super) fn is_nonzero(value: &str) -> bool {
    match value.parse::<i64>() {
        Ok(number) => number != 0,
        Err(error) => matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_bad_pairs_are_dropped() {
        for (query, expected) in [
            ("", None),
            ("debug", Some("")),
            ("debug=", Some("")),
            ("debug=1", Some("1")),
            ("debug=1&debug=0", Some("1")),
            ("a=b&debug=2", Some("2")),
            ("&&debug=1&", Some("1")),
            ("debug=a=b", Some("a=b")),
            ("Debug=1", None),
            ("%64ebug=%31", Some("1")),
            ("debug=+1", Some(" 1")),
            ("debug=%2B1", Some("+1")),
            ("seconds=1;debug=1", None),
            ("debug=1;x&debug=2", Some("2")),
            ("debug=%zz&debug=3", Some("3")),
            ("debug=%1&debug=4", Some("4")),
            ("debug=%", None),
        ] {
            assert_eq!(first_value(query, "debug").as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn debug_is_go_atoi_with_its_error_ignored() {
        for text in ["1", "01", "2", "-1", "+1", "99999999999999999999", "-99999999999999999999"] {
            assert!(is_nonzero(text), "{text}");
        }
        for text in ["", "0", "00", "-0", "x", "true", "1.0", "0x1", " 1", "1_0", "+", "-"] {
            assert!(!is_nonzero(text), "{text}");
        }
    }
}
