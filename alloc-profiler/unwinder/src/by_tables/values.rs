//! Expressions in unwind tables are evaluated with a stack of values, which is small and in place.
//!
//! Path: *allocation path* and *signal handlers*, and of these only frames with expressions.

/// The stack that an expression is evaluated with.
pub(super) struct Values {
    values: [usize; 4],
    depth: usize,
}

impl Values {
    pub(super) const NONE: Values = Values { values: [0; 4], depth: 0 };

    pub(super) fn push(&mut self, value: usize) -> Option<()> {
        *self.values.get_mut(self.depth)? = value;
        self.depth = self.depth.wrapping_add(1);
        Some(())
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        self.depth = self.depth.checked_sub(1)?;
        self.values.get(self.depth).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_s_stack_is_bounded() {
        let mut values = Values::NONE;
        assert!(values.pop().is_none());
        assert!((1..=4).all(|value| values.push(value).is_some()));
        assert!(values.push(5).is_none());
        assert_eq!((values.pop(), values.pop()), (Some(4), Some(3)));
    }
}
