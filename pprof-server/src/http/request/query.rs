//! This reads query parameters the way Go reads them: it takes the first value of a name, and has Go's two integer
//! rules.
//!
//! `profile_request`, `parameters` and `unknown` call this. Decoding is `form_urlencoded`'s; the rules around it are
//! Go's, where they differ from those of browsers.
//!
//! Path: *read path*.

use std::borrow::Cow;
use std::num::IntErrorKind;

/// Returns the first value of `name`, decoded. Like Go, we drop a pair that contains `;` or a broken percent escape
/// and keep the others.
pub(crate) fn first_value<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query
        .split('&')
        .filter(|pair| !pair.contains(';') && escapes_are_whole(pair))
        .flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// The first value of `name`, decoded, unless it is empty: `name=` is as if it were left out.
pub(crate) fn given<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    first_value(query, name).filter(|value| !value.is_empty())
}

/// True if each `%` is followed by two hexadecimal digits.
pub(crate) fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

/// Go's `Atoi` with its error ignored: a number out of range is the last one in it, and what is not a decimal number
/// is 0.
pub(crate) fn atoi(value: &str) -> i64 {
    match value.parse::<i64>() {
        Ok(number) => number,
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => i64::MAX,
            IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        },
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
    fn numbers_are_go_s_atoi_with_its_error_ignored() {
        assert_eq!((atoi("99999999999999999999"), atoi("-99999999999999999999")), (i64::MAX, i64::MIN));
        for text in ["1", "01", "2", "-1", "+1", "99999999999999999999", "-99999999999999999999"] {
            assert_ne!(atoi(text), 0, "{text}");
        }
        for text in ["", "0", "00", "-0", "x", "true", "1.0", "0x1", " 1", "1_0", "+", "-"] {
            assert_eq!(atoi(text), 0, "{text}");
        }
    }
}
