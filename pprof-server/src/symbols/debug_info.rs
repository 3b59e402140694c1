//! Looks virtual addresses of one file up in its debug information and symbol table.
//!
//! Called by `symbols` with all unknown addresses of a file at once, ascending. The reader is the `addr2line`
//! crate; it holds on to every compilation unit it has touched, so we open it anew after some addresses. The file
//! must be the one that is mapped, or its names would be those of another build.
//!
//! Path: *read path*.

use crate::encode::mappings::Mapping;
use crate::symbols::image::Image;
use addr2line::Loader;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Addresses looked up before the reader is opened anew: what it keeps of each unit bounds our peak memory.
const ADDRESSES_PER_READER: usize = 512;

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Inlined functions first, innermost first; names as the compiler mangled them. Empty without debug
    /// information.
    pub(super) functions: Vec<FoundFunction>,
    /// The symbol-table entry that contains the address: mangled name and first address.
    pub(super) symbol: Option<(String, u64)>,
}

/// One function, as debug information tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundFunction {
    /// The linkage name, or the bare one if debug information has only that, or empty.
    pub(super) name: String,
    pub(super) file: String,
    pub(super) line: u32,
}

/// Looks up `elf_addresses` (ascending) of the file behind `mapping`, and calls `found` for each one on which
/// there is anything to tell.
///
/// Cost: opening a reader takes time in proportion to the file's compilation units and symbols, tens of
/// milliseconds for 100 MB of debug information; then some 0.1 ms for each unit touched.
pub(super) fn look_up(mapping: &Mapping, elf_addresses: &[u64], mut found: impl FnMut(u64, Found)) {
    let Some(path) = file_behind(mapping) else { return };
    for chunk in elf_addresses.chunks(ADDRESSES_PER_READER) {
        // A file that is not what it claims to be must not take the host program down with it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let Ok(reader) = Loader::new(&path) else { return };
            for &address in chunk {
                found(address, look_up_one(&reader, address));
            }
        }));
        if result.is_err() {
            return;
        }
    }
}

fn look_up_one(reader: &Loader, elf_address: u64) -> Found {
    let symbol = reader.find_symbol_info(elf_address);
    let symbol = symbol.map(|symbol| (symbol.name().to_owned(), symbol.address()));
    let mut functions = Vec::new();
    if let Ok(mut frames) = reader.find_frames(elf_address) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.as_ref();
            functions.push(FoundFunction {
                name: name.map(Cow::into_owned).unwrap_or_default(),
                file: location.and_then(|location| location.file).unwrap_or_default().to_owned(),
                line: location.and_then(|location| location.line).unwrap_or_default(),
            });
        }
    }
    Found { functions, symbol }
}

/// The path under which to open the very file that is mapped.
fn file_behind(mapping: &Mapping) -> Option<PathBuf> {
    let path = Path::new(&mapping.path);
    if mapping.is_main {
        // The link leads to the running file even if its name is gone or another file's. The name is better
        // while it is right: split debug information (`.dwp`) is looked for beside it.
        let running = Path::new("/proc/self/exe");
        return Some(if is_same_file(path, running) { path } else { running }.to_owned());
    }
    if mapping.path.starts_with('[') {
        return None;
    }
    let inode = mapping.build_id.is_empty().then_some(mapping.inode);
    let on_disk = Image::in_file(path, inode)?;
    (on_disk.build_id == mapping.build_id).then(|| path.to_owned())
}

#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_a: &Path, _b: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(path: &Path, build_id: &str) -> Mapping {
        Mapping { path: path.to_str().unwrap().into(), build_id: build_id.into(), ..Mapping::default() }
    }

    #[test]
    fn a_file_of_another_build_is_not_asked() {
        let this = std::env::current_exe().unwrap();
        let id = Image::in_file(&this, None).unwrap().build_id;
        assert_eq!(file_behind(&mapping(&this, &id)), Some(this.clone()));
        assert_eq!(file_behind(&mapping(&this, "0123")), None);
        // Without a build id, the inode must be right.
        assert_eq!(file_behind(&mapping(&this, "")), None);
        assert_eq!(file_behind(&mapping(Path::new("/nonexistent"), "0123")), None);
        assert_eq!(file_behind(&mapping(Path::new("[vdso]"), "0123")), None);
    }

    #[test]
    fn a_malformed_file_has_no_names() {
        let path = std::env::temp_dir().join(format!("malformed-{}.so", std::process::id()));
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        // The program headers are right, and nothing of what they promise is there.
        std::fs::write(&path, &whole[..8192]).unwrap();
        let id = Image::in_file(&path, None).unwrap().build_id;
        look_up(&mapping(&path, &id), &[0, 0x1000, u64::MAX], |address, found| {
            assert_eq!(found, Found::default(), "{address:#x}");
        });
        std::fs::remove_file(&path).unwrap();
    }
}
