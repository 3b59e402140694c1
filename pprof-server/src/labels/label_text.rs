//! The text of a value, which is cut where it is long. It is written without allocating.

use std::fmt::{self, Write};

/// The bytes of a value that are kept.
const LONGEST: usize = 128;

/// Holds the first bytes of what was displayed.
pub(super) struct LabelText {
    bytes: [u8; LONGEST],
    length: usize,
}

impl LabelText {
    pub(super) fn of(value: &(impl fmt::Display + ?Sized)) -> LabelText {
        let mut text = LabelText { bytes: [0; LONGEST], length: 0 };
        // It fails where the rest does not fit.
        let _ = write!(text, "{value}");
        text
    }

    pub(super) fn as_str(&self) -> &str {
        // Only whole characters were written.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for LabelText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = LONGEST - self.length;
        let fits = (0..=room.min(part.len())).rev().find(|&at| part.is_char_boundary(at)).unwrap_or(0);
        self.bytes[self.length..self.length + fits].copy_from_slice(&part.as_bytes()[..fits]);
        self.length += fits;
        if fits < part.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(LabelText::of(&7).as_str(), "7");
        assert_eq!(LabelText::of("").as_str(), "");
        assert_eq!(LabelText::of(&"a".repeat(128)).as_str(), "a".repeat(128));
        let long = format!("a{}", "ü".repeat(100));
        assert_eq!(LabelText::of(&long).as_str(), format!("a{}", "ü".repeat(63)));
    }
}
