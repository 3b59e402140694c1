//! stub
use alloc_profiler::Snapshot;
use std::path::Path;

/// Which endpoint the profile is for: the viewer's default sample type follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfileKind {
    /// No default sample type, like Go: viewers take the last one, `inuse_space`.
    #[default]
    Heap,
    /// Default sample type `alloc_space`.
    Allocs,
}
/// Where names come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symbolize {
    /// Addresses, exact mappings and build ids only.
    None,
    /// Function, file, line and inlined frames.
    #[default]
    Full,
}
/// Which frames of a stack are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// The leaf-side run of allocator and standard-library plumbing is left out.
    #[default]
    UserFirst,
    /// Everything.
    All,
}
/// How a snapshot is encoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProfileOptions {
    /// The endpoint.
    pub kind: ProfileKind,
    /// Names.
    pub symbolize: Symbolize,
    /// Frames.
    pub frames: Frames,
}
/// The gzipped pprof profile of `snapshot`.
pub fn heap_profile(_snapshot: &Snapshot, _options: &ProfileOptions) -> Vec<u8> {
    Vec::new()
}
/// Go's legacy text (`debug=1`).
pub fn heap_text(_snapshot: &Snapshot, _options: &ProfileOptions) -> String {
    String::new()
}
/// Takes a snapshot and writes its profile to `path`.
pub fn write_heap_profile(path: impl AsRef<Path>) -> std::io::Result<()> {
    std::fs::write(path, heap_profile(&alloc_profiler::snapshot(), &ProfileOptions::default()))
}
/// The rows of `snapshot` (usually a difference), by in-use bytes, largest first.
pub fn top_table(_snapshot: &Snapshot, _options: &ProfileOptions) -> TopTable {
    TopTable { rows: Vec::new(), inuse_bytes: 0.0 }
}
/// What grew, or is held, by stack.
#[derive(Clone, Debug)]
pub struct TopTable {
    /// Largest first.
    pub rows: Vec<TopRow>,
    /// Sum over all rows.
    pub inuse_bytes: f64,
}
/// One stack.
#[derive(Clone, Debug)]
pub struct TopRow {
    /// Estimates.
    pub totals: alloc_profiler::Totals,
    /// Leaf first, user code first, inlined frames as frames of their own.
    pub frames: Vec<Frame>,
}
/// One function on the stack.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Demangled.
    pub function: String,
    /// Empty if unknown.
    pub file: String,
    /// 0 if unknown.
    pub line: u32,
    /// True if inlined into the next frame.
    pub is_inlined: bool,
}
