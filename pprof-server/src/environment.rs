//! This reads variables of the environment.
//!
//! Path: *read path*.

/// The value of an environment variable without the space around it, or `None` if it is unset or empty. Secrets that
/// are kept in files end in a line break more often than not.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().trim().to_owned();
    (!value.is_empty()).then_some(value)
}
