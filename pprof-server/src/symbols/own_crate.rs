//! Which crate is the program's own, as `install!` says it.
//!
//! A program may have debug information of its dependencies and none of its own crate, which is the one that matters.
//!
//! Path: *read path*.

use crate::mappings::Mapping;
use std::sync::OnceLock;

/// The crate that `install!` stands in.
static OWN_CRATE: OnceLock<&'static str> = OnceLock::new();

/// Notes that the code at `module_path` (`demo::server`) is the program's own. Only the first call counts.
#[cfg(feature = "http")]
pub(crate) fn note_own_crate(module_path: &'static str) {
    let _ = OWN_CRATE.set(module_path.split("::").next().unwrap_or(module_path));
}

/// The crate that `install!` stands in, if `mapping` is the program's and has its code.
pub(super) fn own_crate_in(mapping: &Mapping) -> Option<&'static str> {
    // Where a plugin calls `install!`, both our code and the plugin's crate are in the plugin's file.
    let our_code = own_crate_in as fn(&Mapping) -> Option<&'static str> as usize as u64;
    let has_our_code = mapping.is_main && (mapping.start..mapping.limit).contains(&our_code);
    OWN_CRATE.get().copied().filter(|_| has_our_code)
}
