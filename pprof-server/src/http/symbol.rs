//! Names for addresses: `/debug/pprof/symbol`, where `go tool pprof` sends what a profile left unnamed.
//!
//! Called by `handler`. The protocol is older than Go: addresses joined by `+` in the raw query or in the body of
//! a POST, a line for each that has a name. Addresses arrive as they stand in the profile, already one below
//! the return address. Names are mangled: pprof demangles these itself, and would damage demangled ones.
//!
//! Path: *read path*.

use std::fmt::Write;

/// Longest word Go reads; a longer one ends its reading.
const MAX_WORD_BYTES: usize = 4096;

/// The answer to `words`. `names_of` is asked once, for all addresses together: finding names costs most where
/// files are opened.
pub(super) fn names(words: &[u8], names_of: impl Fn(&[u64]) -> Vec<Option<String>>) -> String {
    let mut addresses = Vec::new();
    let mut is_cut = false;
    for word in words.split(|byte| *byte == b'+') {
        addresses.extend(address(word));
        is_cut = word.len() >= MAX_WORD_BYTES;
        if is_cut {
            break;
        }
    }
    // The number is a constant: all that pprof asks is whether it is zero.
    let mut answer = String::from("num_symbols: 1\n");
    for (address, name) in addresses.iter().zip(names_of(&addresses)) {
        if let Some(name) = name {
            let _ = writeln!(answer, "{address:#x} {name}");
        }
    }
    if is_cut {
        answer.push_str("reading request: bufio: buffer full\n");
    }
    answer
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

    fn answer(words: &str) -> String {
        let name = |address: &u64| (*address != 99).then(|| format!("_R{address}"));
        names(words.as_bytes(), |addresses| addresses.iter().map(name).collect())
    }

    #[test]
    fn words_are_integers_in_any_base_of_go() {
        for (words, lines) in [
            ("", ""),
            ("0x10", "0x10 _R16\n"),
            ("0X10+0b11+0o17+017+12", "0x10 _R16\n0x3 _R3\n0xf _R15\n0xf _R15\n0xc _R12\n"),
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
}
