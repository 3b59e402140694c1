//! What a server may be told beside its address.
//!
//! Path: *read path*; read once for each server.

/// Settings of a server. The default is the careful choice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Whether `/debug/pprof/cmdline` tells the program's arguments, as Go does. They may hold secrets.
    pub(crate) cmdline: bool,
}

/// The variable that turns `cmdline` on.
const CMDLINE_VARIABLE: &str = "PPROF_CMDLINE";

impl Options {
    /// As the environment says: `PPROF_CMDLINE=1` turns `cmdline` on, everything else leaves it off.
    pub(crate) fn from_env() -> Options {
        Options { cmdline: std::env::var_os(CMDLINE_VARIABLE).is_some_and(|value| value == "1") }
    }
}
