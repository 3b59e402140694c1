//! How much debug information says of tasks, and what to do for it to say more.

use crate::scan::Found;

/// How much debug information says of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// It does not have the functions that poll tasks.
    None,
    /// It has these functions, and so the name of each task's future.
    Limited,
    /// It has the types of tasks as well, and so the lines at which they wait.
    Full,
}

impl Grade {
    pub(super) fn of<'a>(found: impl Iterator<Item = &'a Found>) -> Grade {
        let grade_of = |found: &Found| match (found.polls.is_empty(), found.cells.is_empty()) {
            (true, _) => Grade::None,
            (false, true) => Grade::Limited,
            (false, false) => Grade::Full,
        };
        found.map(grade_of).max().unwrap_or(Grade::None)
    }

    /// Says what to write into `Cargo.toml` to have more. `package` is the program's own. It is `None` if there is no more.
    pub fn remedy(self, package: &str) -> Option<String> {
        let line = format!("[profile.release.package.{package}]\ndebug = \"full\"");
        match self {
            Grade::Full => None,
            Grade::Limited => Some(line),
            Grade::None => Some(format!("[profile.release]\ndebug = \"limited\"\nstrip = false\n{line}")),
        }
    }
}
