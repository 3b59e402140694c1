//! This breaks text into lines that a terminal of 80 columns shows whole.
//!
//! Path: *read path*.

use std::fmt;

/// So many columns has a line at most. Nobody tells a server how wide the terminal is, and 80 columns fit everywhere.
pub(crate) const LINE_WIDTH: usize = 80;

/// Text, and where its lines begin and may end.
#[derive(Clone, Copy)]
pub(crate) struct Wrapped<'a> {
    pub(crate) text: &'a str,
    /// How many columns stand before the first line.
    pub(crate) margin: usize,
    /// How many columns stand before each line that follows.
    pub(crate) hanging: usize,
    /// Whether a line may end before the character at this index.
    pub(crate) may_end: fn(&str, usize) -> bool,
}

/// Sentences end a line between words.
pub(crate) fn between_words(text: &str, index: usize) -> bool {
    text[..index].ends_with(' ')
}

/// Names of functions and files end a line at the borders of their parts too.
pub(crate) fn between_parts(text: &str, index: usize) -> bool {
    let (before, after) = text.split_at(index);
    before.ends_with([' ', '/']) || after.starts_with("::") && !before.is_empty()
}

impl fmt::Display for Wrapped<'_> {
    /// Writes whole lines. A part that is wider than a line stays in one piece.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rest, mut margin) = (self.text, self.margin);
        loop {
            let end = self.line_end(rest, LINE_WIDTH.saturating_sub(margin));
            writeln!(f, "{:margin$}{}", "", rest[..end].trim_end())?;
            rest = &rest[end..];
            if rest.is_empty() {
                return Ok(());
            }
            margin = self.hanging;
        }
    }
}

impl Wrapped<'_> {
    /// Returns where the first line of `text` ends, which has `width` columns at most if its parts allow it.
    fn line_end(&self, text: &str, width: usize) -> usize {
        let may_end = |&index: &usize| text.is_char_boundary(index) && (self.may_end)(text, index);
        // The space between two words is not seen at the end of a line.
        let fits = |end: usize| text[..end].trim_end().chars().count() <= width;
        let mut last = None;
        for end in (1..text.len()).filter(may_end).chain([text.len()]) {
            if !fits(end) {
                return last.unwrap_or(end);
            }
            last = Some(end);
        }
        text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, may_end: fn(&str, usize) -> bool) -> String {
        Wrapped { text, margin: 40, hanging: 42, may_end }.to_string()
    }

    #[test]
    fn sentences_are_wrapped_between_words() {
        let text = "no line is wider than eighty columns, as far as its words allow";
        let margins = [" ".repeat(40), " ".repeat(42)];
        let [first, next] = &margins;
        let expected =
            format!("{first}no line is wider than eighty columns, as\n{next}far as its words allow\n");
        assert_eq!(wrapped(text, between_words), expected);
        assert_eq!(wrapped("", between_words), format!("{first}\n"));
        let exact = "x".repeat(40);
        assert_eq!(wrapped(&exact, between_words), format!("{first}{exact}\n"));
        assert_eq!(wrapped(&format!("{exact} y"), between_words), format!("{first}{exact}\n{next}y\n"));
        let long = "y".repeat(60);
        assert_eq!(
            wrapped(&format!("a {long} b"), between_words),
            format!("{first}a\n{next}{long}\n{next}b\n")
        );
    }

    #[test]
    fn names_are_wrapped_between_their_parts_and_lose_none() {
        for text in [
            "<very::long::path::Type as a::trait_of::ours::With<Arguments>>::and_a_method::{closure#0}",
            "/home/somebody/code/a-folder/with-a-long-name/ünïcödé/src/somewhere/else.rs:12345",
        ] {
            let shown = wrapped(text, between_parts);
            assert!(shown.lines().count() > 1, "{shown}");
            assert!(shown.lines().all(|line| line.chars().count() <= LINE_WIDTH), "{shown}");
            let whole: String = shown.split_whitespace().collect();
            assert_eq!(whole, text.replace(' ', ""));
        }
    }
}
