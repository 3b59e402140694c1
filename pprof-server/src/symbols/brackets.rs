//! This finds in a text what stands within a pair of brackets, and what stands outside of all of them.
//!
//! The modules that take demangled names apart use it.
//!
//! Path: *read path*. These are pure functions of names.

/// What `text`, which comes after an opening `<`, holds up to the matching `>`.
pub(crate) fn within_brackets(text: &str) -> Option<&str> {
    let mut depth = 1;
    let mut previous = b' ';
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            // The arrow of `fn() -> T` closes nothing.
            b'>' if previous != b'-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[..index]);
        }
        previous = byte;
    }
    None
}

/// Splits `X as Y` at the ` as ` that stands outside of all brackets.
pub(crate) fn split_as(text: &str) -> Option<(&str, &str)> {
    split_once(text, " as ")
}

/// Returns the parts of `text` before and after the first `separator` that stands outside of all brackets.
pub(crate) fn split_once<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let index = outside(text).find(|&index| text[index..].starts_with(separator))?;
    Some((&text[..index], &text[index + separator.len()..]))
}

/// Splits `text` at every `separator` that stands outside of all brackets.
pub(crate) fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for index in outside(text) {
        if index >= start && text[index..].starts_with(separator) {
            parts.push(&text[start..index]);
            start = index + separator.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Yields the index of each ASCII character of `text` that stands outside of all brackets.
fn outside(text: &str) -> impl Iterator<Item = usize> {
    let mut depth = 0_i64;
    let mut previous = b' ';
    text.bytes().enumerate().filter_map(move |(index, byte)| {
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'>' if previous != b'-' => depth -= 1,
            _ => {}
        }
        previous = byte;
        (depth == 0 && byte.is_ascii()).then_some(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_brackets_does_not_separate() {
        assert_eq!(split("a::<b::c as d>::{{e::f}}::g", "::"), ["a", "<b::c as d>", "{{e::f}}", "g"]);
        assert_eq!(split("fn(u8, u8) -> T, (A, B), [é; 2]", ", "), ["fn(u8, u8) -> T", "(A, B)", "[é; 2]"]);
        assert_eq!(split("", ","), [""]);
        assert_eq!(split_as("<A as B>::C as D"), Some(("<A as B>::C", "D")));
        assert_eq!(split_as("<A as B>"), None);
        assert_eq!(within_brackets("fn() -> A<B>>::c"), Some("fn() -> A<B>"));
        assert_eq!(within_brackets("A<B>"), None);
    }
}
