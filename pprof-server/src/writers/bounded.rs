//! The length of such text is bounded while it is made, rather than measured when it is there.
//!
//! What a request asks for decides how long an answer becomes. Rust ends the program where memory is asked for and
//! cannot be had, so such text asks for memory in a way that may be refused.
//!
//! Path: *read path*.

use std::fmt::{self, Write};

/// Collects lines of text, as many as fit into a number of bytes.
#[derive(Debug)]
pub(crate) struct BoundedText {
    text: String,
    max_bytes: usize,
}

impl BoundedText {
    /// Begins an empty text, which will have `max_bytes` at most.
    pub(crate) fn new(max_bytes: usize) -> BoundedText {
        BoundedText { text: String::new(), max_bytes }
    }

    /// Makes room for `more_bytes` at once, as far as they fit. Text that grows by itself is copied over and over, and
    /// leaves holes in the memory of the program's allocator. Where there is no memory, the line that needs it will be
    /// missing.
    #[cfg(feature = "http")]
    pub(crate) fn reserve(&mut self, more_bytes: usize) {
        let _ = self.text.try_reserve_exact(more_bytes.min(self.max_bytes - self.text.len()));
    }

    /// Adds what is written, and the end of the line. If the text would become too long, or if there is no memory, it
    /// adds nothing and returns false.
    #[cfg(feature = "http")]
    #[must_use]
    pub(crate) fn push_line(&mut self, line: fmt::Arguments<'_>) -> bool {
        let before = self.text.len();
        let is_whole = self.write_fmt(line).and_then(|()| self.write_char('\n')).is_ok();
        if !is_whole {
            self.text.truncate(before);
        }
        is_whole
    }

    /// Returns the lines.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl Write for BoundedText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // mutant: D13 a text is measured when it is there
        if part.len() > self.max_bytes - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.try_reserve(part.len()).map_err(|_| fmt::Error)?;
        self.text.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_there_or_not() {
        let mut text = BoundedText::new(6);
        assert!(text.push_line(format_args!("{}-{}", 1, 2)));
        assert!(!text.push_line(format_args!("{}-{}", 1, 2)));
        assert!(text.push_line(format_args!("x")));
        assert!(!text.push_line(format_args!("")));
        assert_eq!(text.into_text(), "1-2\nx\n");
    }
}
