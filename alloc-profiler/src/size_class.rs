//! Size classes: what blocks of about one size are gathered under.
//!
//! Multiples of 16 up to 64, then four to a doubling, as allocators space them: a block is at most a quarter
//! larger than its class's lower neighbour. A class is named by its largest size.
//!
//! Path: *allocation path*, sampled allocations only.

/// Number of classes for blocks of up to `isize::MAX` bytes.
pub(crate) const COUNT: usize = 234;

/// The largest size in bytes that shares a class with blocks of `size` bytes.
///
/// 1 to 8 → 8; up to 64 the next multiple of 16; above, the next of 1.25, 1.5, 1.75 or 2 times a power of two:
/// 65 → 80, 100 → 112, 4097 → 5120.
#[must_use]
pub const fn size_class(size: usize) -> u64 {
    let size = size as u64;
    if size <= 8 {
        8
    } else if size <= 64 {
        size.div_ceil(16).wrapping_mul(16)
    } else {
        // The power of two below `size`: 64 for 65..=128.
        let power_log2 = (size.wrapping_sub(1)).ilog2();
        let step = 1u64 << power_log2.saturating_sub(2);
        match size.checked_next_multiple_of(step) {
            Some(class) => class,
            None => u64::MAX,
        }
    }
}

/// The place of a class (as [`size_class`] returns it) in the order of all: less than [`COUNT`] for blocks of up to
/// `isize::MAX` bytes.
pub(crate) const fn index(class: u64) -> usize {
    if class <= 8 {
        0
    } else if class <= 64 {
        (class / 16) as usize
    } else {
        let power_log2 = class.wrapping_sub(1).ilog2();
        let quarter = (class.wrapping_sub(1) >> power_log2.saturating_sub(2)) & 3;
        let doublings = (power_log2 as usize).saturating_sub(6);
        doublings.saturating_mul(4).saturating_add(quarter as usize).saturating_add(5)
    }
}

/// The class at a place: the inverse of [`index`]. For constants and tests.
#[allow(clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
pub(crate) const fn at(index: usize) -> u64 {
    match index {
        0 => 8,
        1..=4 => 16 * index as u64,
        _ => {
            let above = index.saturating_sub(5);
            let step_log2 = (above / 4 + 4) as u32;
            ((above % 4) as u64 + 5) << step_log2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_ascend_and_each_index_has_one() {
        for i in 0..COUNT {
            let class = at(i);
            assert_eq!(index(class), i, "class {class}");
            assert_eq!(size_class(class as usize), class);
            if i > 0 {
                assert!(class > at(i - 1));
                assert_eq!(size_class(at(i - 1) as usize + 1), class);
            }
        }
        assert!(at(COUNT - 1) >= isize::MAX as u64, "{} is not the last", at(COUNT - 1));
    }

    #[test]
    fn examples_of_the_documentation() {
        for (size, class) in [(0, 8), (1, 8), (9, 16), (65, 80), (100, 112), (4096, 4096), (4097, 5120)] {
            assert_eq!(size_class(size), class);
        }
    }
}
