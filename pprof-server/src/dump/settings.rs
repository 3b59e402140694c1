//! These settings say where profiles are written to files, and when beside memory.
//!
//! Path: *read path*; read once for each server and handler.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::environment::variable;
use crate::standard_error::warn_once;

/// The variable that names the folder.
const FOLDER_VARIABLE: &str = "PPROF_DUMP";
/// The variable that names a signal.
const SIGNAL_VARIABLE: &str = "PPROF_DUMP_SIGNAL";
/// `1`: a profile is written at exit.
const EXIT_VARIABLE: &str = "PPROF_DUMP_AT_EXIT";
/// The variable that sets a limit of resident memory, beside those of control groups.
const LIMIT_VARIABLE: &str = "PPROF_DUMP_LIMIT";

/// What the environment says, and the owner in code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `None`: no files are written.
    pub(crate) folder: Option<PathBuf>,
    /// The name of the signal on which a profile is written.
    pub(crate) signal: Option<String>,
    pub(crate) at_exit: bool,
    /// Resident memory that counts as full.
    pub(crate) limit_bytes: Option<u64>,
}

impl Settings {
    pub(crate) fn from_env() -> Settings {
        let limit_bytes = variable(LIMIT_VARIABLE).and_then(|text| {
            let bytes = bytes_of(&text);
            if bytes.is_none() {
                static IS_TOLD: AtomicBool = AtomicBool::new(false);
                warn_once(
                    &IS_TOLD,
                    &format!(
                        "{LIMIT_VARIABLE}={text:?} is no amount of memory such as 512MiB; it is ignored"
                    ),
                );
            }
            bytes
        });
        Settings {
            folder: variable(FOLDER_VARIABLE).map(PathBuf::from),
            signal: variable(SIGNAL_VARIABLE),
            at_exit: variable(EXIT_VARIABLE).is_some_and(|value| value == "1"),
            limit_bytes,
        }
    }
}

/// A whole number of bytes, KiB, MiB or GiB, of which there is at least one.
fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_binary_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("7B", Some(7)),
            ("3KiB", Some(3072)),
            ("512MiB", Some(512 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("0", None),
            ("", None),
            ("MiB", None),
            ("1MB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(bytes_of(text), expected, "{text}");
        }
    }
}
