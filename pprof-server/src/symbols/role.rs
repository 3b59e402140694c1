//! This decides which functions are plumbing: what stands between the user's line and the allocator.
//!
//! `Vec::push` allocates, but nobody wants to read that; the line that pushed is the news. As Go hides its runtime at
//! the leaf of a heap stack, we hide the leaf-side run of allocator and standard-library functions, and of tokio's
//! spawning, which to a service is what `go` is to Go. The same functions further out stay.
//!
//! Path: *read path*. These are pure functions of names.

use super::brackets::{split_as, within_brackets};
use super::plumbing_names::{
    ALLOCATOR_TRAITS, C_FUNCTIONS, C_PREFIXES, CRATES, ENTRY_FILES, ENTRY_NAMES, MODULES, SOURCES,
};

/// What a function is to somebody who reads a heap profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Code that somebody wrote to do just this: the user's, or a library's.
    #[default]
    User,
    /// It belongs to the allocator, the standard library, or the spawning of a task.
    Plumbing,
    /// A function where threads begin. It is not plumbing, but a stack with nothing else in it has no user function
    /// either.
    Entry,
}

/// Returns the role of `function`, named by `symbols::function_name` and defined in `file` (empty if unknown).
pub(crate) fn role(function: &str, file: &str) -> Role {
    if is_entry(function) {
        Role::Entry
    } else if is_standard_file(file)
        || is_plumbing_source(file)
        || is_plumbing_function(function, !file.is_empty())
    {
        Role::Plumbing
    } else {
        Role::User
    }
}

/// Whether `function`, which is plumbing, is on the way by which the standard library waits and wakes: its call of the system, the
/// definition of `syscall` that measures that, and what this calls.
pub(crate) fn is_system_call(function: &str, file: &str) -> bool {
    let is_measuring = || function.starts_with("capture::locks::") || file.contains("/capture/src/locks/");
    let is_futex = || function.starts_with("std::sys::") && function.contains("futex_wa");
    function == "syscall" || is_futex() || is_measuring()
}

/// Whether a thread begins in `function`.
fn is_entry(function: &str) -> bool {
    ENTRY_NAMES.contains(&function)
        || ENTRY_FILES.iter().any(|file| function.starts_with(file)) && function.contains("+0x")
}

/// Whether `file` is a source of the standard library, as a released toolchain or a local one spells its path. Its
/// generic functions are compiled into the user's crate; their file gives them away.
pub(super) fn is_standard_file(file: &str) -> bool {
    if let Some(rest) = file.strip_prefix("/rustc/") {
        return rest.split_once('/').is_some_and(|(_hash, path)| path.starts_with("library/"));
    }
    // Debian's toolchain has its sources here.
    if let Some(rest) = file.strip_prefix("/usr/src/rustc-") {
        return rest.split_once('/').is_some_and(|(_version, path)| path.starts_with("library/"));
    }
    file.starts_with("/rust/deps/") || file.contains("/lib/rustlib/src/rust/library/")
}

/// Whether `file` is a source of this profiler, of the labels that it polls the program's futures under, or in [`SOURCES`].
fn is_plumbing_source(file: &str) -> bool {
    let own = ["/alloc-profiler/src/", "/pprof-server/src/labels/", "/capture/src/locks/"];
    if own.iter().any(|folder| file.contains(folder)) {
        return true;
    }
    let Some((_, in_registry)) = file.split_once("/registry/src/") else { return false };
    let mut parts = in_registry.splitn(4, '/');
    let (_index, package, src, path) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(package), Some("src"), Some(path)) = (package, src, path) else { return false };
    SOURCES.iter().any(|(name, folder)| {
        // A version follows: `tokio-util-0.7` is another crate.
        let version = package.strip_prefix(name);
        version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
            && path.starts_with(folder)
    })
}

/// Whether a function's name is that of plumbing. `has_file` says that a file is known which is not of the standard
/// library.
fn is_plumbing_function(function: &str, has_file: bool) -> bool {
    let last_segment = function.rsplit("::").next().unwrap_or(function);
    if C_PREFIXES.iter().any(|prefix| last_segment.starts_with(prefix)) {
        return true;
    }
    if !function.contains("::") {
        return C_FUNCTIONS.contains(&function);
    }
    is_plumbing_path(function, has_file)
}

/// Applies the rule for `a::b::c`, `<X>::c` and `<X as Y>::c`: the last is plumbing only if both X and Y are. A user's
/// trait on a standard type is the user's code, and so is a standard trait on a user's type.
fn is_plumbing_path(path: &str, has_file: bool) -> bool {
    let Some(inner) = path.strip_prefix('<').and_then(within_brackets) else {
        return is_plumbing_plain(path);
    };
    match split_as(inner) {
        Some((_, of_trait)) if ALLOCATOR_TRAITS.contains(&of_trait) => true,
        Some((implementor, of_trait)) => {
            // Where standard traits are implemented for a reference, its target tells whose code it is; but
            // most such implementations are blanket ones of the standard library, without a file of the user's.
            let implementor = if has_file { implementor.trim_start_matches(['&', ' ']) } else { implementor };
            is_plumbing_type(implementor, has_file) && is_plumbing_plain(of_trait)
        }
        None => is_plumbing_type(inner, has_file),
    }
}

/// Applies the rule for a type. Primitives, references, slices, tuples, function pointers and generic parameters belong
/// to nobody, that is, to the standard library.
fn is_plumbing_type(ty: &str, has_file: bool) -> bool {
    let mut ty = ty.trim_start();
    while let Some(rest) = ["dyn ", "mut ", "impl "].iter().find_map(|word| ty.strip_prefix(word)) {
        ty = rest.trim_start();
    }
    if let Some(bound) = ty.strip_prefix("for<") {
        return within_brackets(bound).is_none_or(|lifetimes| {
            let rest = bound.get(lifetimes.len() + 1..).unwrap_or("");
            is_plumbing_type(rest, has_file)
        });
    }
    if ty.starts_with('<') {
        return is_plumbing_path(ty, has_file);
    }
    let name_bytes =
        ty.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii());
    match name_bytes.count() {
        // The type is one of `&T`, `[T]`, `(A, B)`, `*const T` and `!`.
        0 => true,
        // The type is like `u8`, `T` or `fn(A) -> B`; a path would go on with `::`.
        name_len => !ty[name_len..].starts_with("::") || is_plumbing_plain(ty),
    }
}

/// Applies the rule for a path that begins with its crate.
fn is_plumbing_plain(path: &str) -> bool {
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(path.len());
    CRATES.contains(&&path[..end]) || MODULES.iter().any(|module| path.starts_with(module))
}

#[cfg(test)]
pub(super) mod tests {
    use super::Role::{Entry, Plumbing, User};
    use super::*;
    use crate::symbols::legacy::simplified;

    const STD: &str = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/vec/mod.rs";
    const LOCAL_STD: &str =
        "/home/me/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/ptr/mod.rs";

    /// Names as both manglings spell them, without a file.
    pub(in crate::symbols) const NAMES: &[(Role, &str)] = &[
        // These are the allocation itself.
        (Plumbing, "__rustc::__rust_alloc"),
        (Plumbing, "__rustc::__rdl_alloc"),
        (Plumbing, "__rust_alloc"),
        (Plumbing, "__rust_try"),
        (Plumbing, "__rg_realloc"),
        (Plumbing, "demo_leak::_::__rust_alloc_zeroed"),
        (Plumbing, "malloc"),
        (Plumbing, "_rjem_malloc"),
        (Plumbing, "operator new"),
        (Plumbing, "operator new[]"),
        (Plumbing, "std::vector<int, std::allocator<int> >::push_back"),
        (Plumbing, "__gnu_cxx::new_allocator<char>::allocate"),
        (User, "leveldb::Arena::Allocate"),
        (
            Plumbing,
            "<alloc_profiler::allocator::SamplingAllocator as core::alloc::global::GlobalAlloc>::alloc",
        ),
        (Plumbing, "<alloc_profiler::SamplingAllocator<A> as core::alloc::global::GlobalAlloc>::realloc"),
        (Plumbing, "<my::CountingAllocator as core::alloc::global::GlobalAlloc>::alloc"),
        (Plumbing, "<mimalloc::MiMalloc as core::alloc::global::GlobalAlloc>::alloc"),
        // These are of the standard library.
        (Plumbing, "alloc::alloc::exchange_malloc"),
        (Plumbing, "alloc::raw_vec::RawVec<T,A>::grow_one"),
        (Plumbing, "alloc::raw_vec::RawVecInner<A>::finish_grow"),
        (Plumbing, "<alloc::raw_vec::RawVec<u8>>::grow_one"),
        (Plumbing, "<alloc::vec::Vec<demo::Thing>>::push"),
        (Plumbing, "<alloc::vec::Vec<T,A> as core::clone::Clone>::clone"),
        (Plumbing, "alloc::vec::Vec<T,A>::push"),
        (Plumbing, "alloc::slice::<impl [T]>::to_vec"),
        (Plumbing, "alloc::str::<impl alloc::borrow::ToOwned for str>::to_owned"),
        (Plumbing, "<[u8]>::to_vec"),
        (Plumbing, "<[demo::T] as alloc::borrow::ToOwned>::to_owned"),
        (Plumbing, "<str as alloc::string::ToString>::to_string"),
        (Plumbing, "<T as alloc::string::SpecToString>::spec_to_string"),
        (Plumbing, "<T as core::convert::Into<U>>::into"),
        (Plumbing, "<&demo::Name as core::fmt::Debug>::fmt"),
        (Plumbing, "<(A,B) as core::fmt::Debug>::fmt"),
        (Plumbing, "<fn(usize) -> demo::T as core::ops::function::FnOnce<(usize,)>>::call_once"),
        (
            Plumbing,
            "<alloc::boxed::Box<dyn core::ops::function::FnOnce() -> i32 + core::marker::Send> as core::ops::function::FnOnce<()>>::call_once",
        ),
        (Plumbing, "<core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold"),
        (Plumbing, "<<T as core::convert::Into<U>>::Alias as core::clone::Clone>::clone"),
        (Plumbing, "core::ptr::drop_in_place<demo::Reader>"),
        (Plumbing, "core::ops::function::FnOnce::call_once{{vtable.shim}}"),
        (Plumbing, "std::collections::hash::map::HashMap<K,V,S>::insert"),
        (Plumbing, "std::thread::Builder::spawn_unchecked_::{{closure}}"),
        (Plumbing, "<std::sync::mpsc::Sender<T>>::send"),
        (Plumbing, "<dyn core::any::Any>::downcast_ref"),
        (Plumbing, "<dyn for<'a> core::ops::function::Fn(&'a u8) as core::ops::function::Fn<(&u8,)>>::call"),
        (Plumbing, "hashbrown::raw::RawTable<T,A>::reserve_rehash"),
        (Plumbing, "<hashbrown::map::HashMap<demo::K, demo::V>>::insert"),
        // These are of tokio, whose tasks are plumbing.
        (Plumbing, "tokio::task::spawn::spawn"),
        (Plumbing, "tokio::runtime::task::core::Cell<T,S>::new"),
        (Plumbing, "<tokio::runtime::task::core::Cell<demo::serve::{closure#0}, S>>::new"),
        (Plumbing, "<tokio::runtime::handle::Handle>::spawn::<demo::serve::{closure#0}>"),
        (Plumbing, "<tokio::util::linked_list::List<L> as core::default::Default>::default"),
        (User, "tokio::sync::mpsc::block::Block<T>::new"),
        (User, "<tokio::sync::oneshot::Sender<T>>::send"),
        (User, "<tokio::net::tcp::stream::TcpStream as tokio::io::async_write::AsyncWrite>::poll_write"),
        (User, "tokio::time::sleep::sleep"),
        // These are the user's.
        (User, "demo_leak::reader::Reader::new"),
        (User, "<demo_leak::reader::Reader>::new"),
        (User, "demo_leak::proxy::serve::{{closure}}"),
        (User, "demo_leak::proxy::serve::{closure#0}::{closure#1}"),
        (User, "<my::Foo as core::clone::Clone>::clone"),
        (User, "<my::Foo<T> as core::iter::traits::collect::FromIterator<T>>::from_iter"),
        (User, "<alloc::vec::Vec<T> as my::Encode>::encode"),
        (User, "<[u8] as my::Encode>::encode"),
        (User, "<T as my::Encode>::encode"),
        (User, "my::imp::<impl core::clone::Clone for my::Foo>::clone"),
        (User, "my_crate::_::<impl serde::de::Deserialize for my_crate::Foo>::deserialize"),
        (User, "<my::f::{closure#0} as core::ops::function::FnOnce<()>>::call_once::{shim:vtable#0}"),
        (User, "<dyn my::Trait>::method"),
        (User, "<<my::Foo as my::Tr>::Assoc as core::clone::Clone>::clone"),
        (User, "bytes::bytes_mut::BytesMut::with_capacity"),
        (User, "<bytes::bytes::Bytes as core::convert::From<alloc::vec::Vec<u8>>>::from"),
        (User, "serde_json::de::from_str"),
        (User, "alloc_stats::main"),
        (User, "corelib::core::new"),
        (User, "stdx::std::new"),
        (User, "curl_easy_init"),
        (User, "libssl.so.3+0x2724a"),
        (User, ""),
        (User, "<"),
        (User, "::"),
        (User, "<broken as"),
        (User, "<alloc::vec::Vec<alloc::vec::Vec<u8>> as my::Encode<core::option::Option<u8>>>::encode"),
        (User, "my_std::f"),
        (User, "<my::Type as core::fmt::Display>::fmt"),
        (User, "tokio::io::util::copy::CopyBuffer::new"),
        (User, "libc_wrapper::f"),
        (User, "demo_leak+0x891f4"),
        // A thread begins in these.
        (Entry, "__libc_start_main_impl"),
        (Entry, "clone3"),
        (Entry, "main"),
        (Entry, "_start"),
        (Entry, "start_thread"),
        (Entry, "libc.so.6+0x2724a"),
    ];

    #[test]
    fn names_alone() {
        for &(expected, demangled) in NAMES {
            let name = simplified(demangled);
            assert_eq!(role(&name, ""), expected, "{demangled} as {name}");
        }
    }

    /// Names with the file that defines them.
    pub(in crate::symbols) const FILES: &[(Role, &str, &str)] = &[
        // Names of inlined functions are bare where there are line tables only.
        (Plumbing, "to_vec<u8>", STD),
        (Plumbing, "{closure#0}", LOCAL_STD),
        (
            Plumbing,
            "<my::T as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
            "/usr/src/rustc-1.97.1/library/alloc/src/vec/spec_from_elem.rs",
        ),
        (User, "my::f", "/usr/src/rustc-1.97.1/src/lib.rs"),
        (Plumbing, "insert<K, V>", "/rust/deps/hashbrown-0.15.2/src/map.rs"),
        (Plumbing, "alloc", "/src/alloc-profiler/src/allocator.rs"),
        (Plumbing, "poll", "/src/pprof-server/src/labels/future.rs"),
        (User, "to_vec<u8>", "src/main.rs"),
        // The user's crate instantiates generic code of the standard library.
        (Plumbing, "<my::Foo as core::convert::Into<my::Bar>>::into", STD),
        // Derived code has the user's file.
        (User, "<my::Foo as core::clone::Clone>::clone", "src/foo.rs"),
        (User, "<&my::Coll as core::iter::traits::collect::IntoIterator>::into_iter", "src/coll.rs"),
        // A dependency that is plumbing keeps its role with its own file.
        (Plumbing, "hashbrown::raw::RawTable<T,A>::reserve", "/r/hashbrown-0.17/src/raw.rs"),
        (Plumbing, "tokio::task::spawn::spawn", "/r/tokio-1.54.0/src/task/spawn.rs"),
        (
            Plumbing,
            "{closure#0}",
            "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/runtime/blocking/pool.rs",
        ),
        (
            User,
            "channel<u8>",
            "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/sync/oneshot.rs",
        ),
        (User, "new", "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-util-1.54.1/src/"),
        // A crate with tokio's name in its own is not tokio.
        (
            User,
            "spawn",
            "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-util-0.7.1/src/task/spawn.rs",
        ),
        // Only the toolchain's own paths count.
        (User, "my::f", "/rustc/library.rs"),
        (User, "my::f", "/home/me/library/core/src/lib.rs"),
    ];

    #[test]
    fn a_file_settles_what_the_name_leaves_open() {
        for &(expected, function, file) in FILES {
            assert_eq!(role(function, file), expected, "{function} in {file}");
        }
    }
}
