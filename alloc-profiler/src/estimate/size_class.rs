//! Blocks of about one size are gathered under a size class.
//!
//! They are the multiples of 16 up to 64, and then four to a doubling, as allocators space them: a block is at most a
//! quarter larger than the next lower class. A class is named by its largest size in bytes.
//!
//! Path: *allocation path*, sampled allocations only.

/// Counts the classes for blocks of up to `isize::MAX` bytes.
pub(crate) const COUNT: usize = 234;

/// Returns the largest size in bytes that shares a class with blocks of `size` bytes.
///
/// It is 8 for blocks of up to 8 bytes, the next multiple of 16 for those of up to 64, and above that the next of 1.25, 1.5,
/// 1.75 or 2 times a power of two: 65 → 80, 100 → 112, 4097 → 5120.
#[must_use]
pub const fn size_class(size: usize) -> u64 {
    let size = size as u64;
    if size <= 8 {
        8
    } else if size <= 64 {
        size.div_ceil(16).wrapping_mul(16)
    } else {
        // This is the power of two below `size`, such as 64 for 65..=128.
        let power_log2 = (size.wrapping_sub(1)).ilog2();
        let step = 1u64 << power_log2.saturating_sub(2);
        match size.checked_next_multiple_of(step) {
            Some(class) => class,
            None => u64::MAX,
        }
    }
}

/// Returns the index of a class (as [`size_class`] returns it) in the ascending order of all classes. It is less than
/// [`COUNT`] for blocks of up to `isize::MAX` bytes.
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

/// Returns the class that has an index: the inverse of [`index`]. It is meant for constants and tests.
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
