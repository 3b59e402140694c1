//! Libraries in C and C++ that are compiled here, and loaded.

use std::ffi::{CString, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

use workspace_tests::call_back::compile;

/// Is a library that was loaded.
pub(crate) struct Library {
    handle: *mut c_void,
    /// Holds the file, which names are read from.
    _folder: Option<tempfile::TempDir>,
}

// SAFETY: it is a number of the loader's, which any thread may use.
unsafe impl Sync for Library {}

impl Library {
    /// Compiles a library and loads it.
    pub(crate) fn of(name: &str, source: &str) -> Library {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::load(&build(folder.path(), name, source, &[]));
        Library { _folder: Some(folder), ..library }
    }

    pub(crate) fn load(path: &Path) -> Library {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the library is the test's own.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{path:?} does not load");
        Library { handle, _folder: None }
    }

    /// Returns the address of a function, which must be of the type `F`.
    pub(crate) fn function<F: Copy>(&self, name: &str) -> F {
        let terminated = CString::new(name).unwrap();
        // SAFETY: the handle is the loader's, and the name is terminated.
        let address = unsafe { libc::dlsym(self.handle, terminated.as_ptr()) };
        assert!(!address.is_null(), "{name} is not there");
        // SAFETY: the test knows the type of its own function; both are one word.
        unsafe { std::mem::transmute_copy(&address) }
    }

    /// Unloads the library, whose functions nobody may use any more.
    pub(crate) fn close(self) {
        // SAFETY: the handle is the loader's, and this was its last use.
        unsafe { libc::dlclose(self.handle) };
    }
}

/// Compiles a library in C, or in C++ if its name begins with `cpp`, with more flags for the compiler.
pub(crate) fn build(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (compiler, file) =
        if name.starts_with("cpp") { ("c++", format!("{name}.cc")) } else { ("cc", format!("{name}.c")) };
    let mut command = Command::new(compiler);
    // A compiler may leave an allocation out that it sees the end of.
    command.args([
        "-shared",
        "-fPIC",
        "-g",
        "-O1",
        "-fno-builtin",
        "-fno-optimize-sibling-calls",
        "-pthread",
    ]);
    compile(folder, name, (&file, source), command.args(flags))
}
