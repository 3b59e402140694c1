//! Why a search has no result.

use std::fmt;

/// Why a search has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The time was over before all memory had been looked at.
    Time,
    /// The system does not tell which pages are in memory, for this reason.
    Pages(String),
    /// There was no memory for the tables.
    NoMemory,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Time => f.write_str(
                "there was no time to look at all memory; ask again when the machine has less to do",
            ),
            Failure::Pages(error) => {
                write!(
                    f,
                    "the system does not tell which pages are in memory ({error}); allow reading /proc/self/pagemap"
                )
            }
            Failure::NoMemory => {
                f.write_str("there is no memory for the search; ask again when some is free")
            }
        }
    }
}

impl std::error::Error for Failure {}
