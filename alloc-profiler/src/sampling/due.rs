//! Why an allocation is recorded.

/// Why an allocation is recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Due {
    /// It was sampled, and stands for so many objects.
    Sampled(f64),
    /// Measurements count it.
    Measured,
}
