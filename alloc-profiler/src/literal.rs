//! A macro writes struct literals of types that may grow.

/// Writes a struct literal of a type that is `#[non_exhaustive]`, as `literal!(Totals { inuse_bytes, ..Totals::default() })`.
///
/// The crates of this workspace change together with the types, so a field that is added does not break them. To them such a
/// literal says in one expression what is otherwise an assignment for each field. The base is evaluated first.
#[doc(hidden)]
#[macro_export]
macro_rules! __literal {
    ($of:ident { $($field:ident $(: $value:expr)?,)+ ..$base:expr }) => {{
        let mut made: $of = $base;
        $(made.$field = $crate::__literal!(@value $field $($value)?);)+
        made
    }};
    (@value $field:ident) => { $field };
    (@value $field:ident $value:expr) => { $value };
}
