//! stub
/// The mangled name of the function at `address`, for /debug/pprof/symbol (addresses come already minus one).
#[allow(dead_code)]
pub(crate) fn mangled_name(_address: u64) -> Option<String> {
    None
}
