//! All tables on the allocation path use this hash. It is multiplicative ("Fibonacci") hashing, with one multiplication for
//! each word.
//!
//! It is not safe against chosen keys. Nobody outside the process chooses any: keys are addresses and words of loaded images.

/// This is 2^64 divided by the golden ratio, as Fibonacci hashing multiplies. It is odd, so no two numbers have the
/// same product modulo 2^64.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Returns the hash of one number. Its upper bits are mixed best, so tables are indexed by those.
#[inline(always)]
#[must_use]
pub const fn multiply(number: u64) -> u64 {
    number.wrapping_mul(FACTOR)
}

/// Returns the hash of some words and one more, from the hash of the words before. The rotation makes the order of words
/// matter.
#[inline(always)]
#[must_use]
pub const fn add(hash: u64, word: u64) -> u64 {
    multiply(hash.rotate_left(5) ^ word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_far_apart_and_order_matters() {
        // A random hash would leave about 64 (1 - 1/e) = 40 of 64 values.
        let upper_bits: std::collections::HashSet<u64> = (0..64).map(|n| multiply(n) >> 58).collect();
        assert_eq!(upper_bits.len(), 55);
        assert_ne!(add(add(0, 1), 2), add(add(0, 2), 1));
    }
}
