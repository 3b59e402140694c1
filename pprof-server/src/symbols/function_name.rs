//! This is the one place that decides what a function is called, for every output.
//!
//! A name is what its author would call the function, whichever way the compiler mangled it:
//!
//! | mangled as | shown |
//! |---|---|
//! | `<demo::Reader>::start`, `demo::Reader::start` | `demo::Reader::start` |
//! | `demo::generic::<u16>`, `demo::generic::<u32>` | `demo::generic`, twice: one function, compiled for two types |
//! | `<demo::Pool<T>>::fill`, `demo::Pool<T>::fill` | `demo::Pool::fill` |
//! | `<demo::Error as From<std::io::Error>>::from` | the same: its arguments are the source's own |
//! | `<demo::Reader as Iterator>::map`, which the trait provides | `Iterator::map`, with its path |
//! | `demo::f::{closure#0}`, by the old mangling `demo::f::{{closure}}` | the same |
//! | `_ZN4demo4PoolIiE4fillEi`, as C++ mangles | `demo::Pool<int>::fill` |
//!
//! No name is longer than [`MAX_NAME_CHARS`] characters. A longer one loses its middle, and a hash of the whole stands
//! there, so that names that differ still differ.
//!
//! `found` calls this on the thread that reads debug information, so that no other part of the profiler holds a name of
//! megabytes.
//!
//! Path: *read path*. Time and memory are in proportion to the length of the mangled name.

use super::{cpp, legacy, v0};
use std::borrow::Cow;

/// So many characters fit into a row of a table.
const MAX_NAME_CHARS: usize = 120;
/// A mangled name has at most this many bytes. It is in every profile, beside each name, and nobody reads it.
const MAX_LINKAGE_BYTES: usize = 1024;

/// What one function is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FunctionName<'a> {
    /// The name that people read.
    pub(super) name: Cow<'a, str>,
    /// The mangled name. It is empty if `raw` was a C function or the bare name of a Rust one.
    pub(super) linkage_name: Cow<'a, str>,
}

impl<'a> FunctionName<'a> {
    /// Names the function that a symbol table or debug information calls `raw`. `file` is its source, as far as it is
    /// known.
    pub(super) fn of(raw: &'a str, file: &str) -> FunctionName<'a> {
        // mutant: D1 names are spelled out, whatever their length
        let (name, is_mangled) = if let Some(demangled) = v0::demangle(raw) {
            let hashed = if demangled.is_whole { None } else { Some(raw) };
            (Cow::Owned(shortened_name(&demangled.text, hashed).into_owned()), true)
        } else if let Some(name) = legacy::demangle(raw) {
            (Cow::Owned(shortened_name(&name, None).into_owned()), true)
        } else if file.ends_with(".rs") && raw.contains('<') {
            (Cow::Owned(shortened_name(&legacy::simplified(raw), None).into_owned()), false)
        } else if let Some(demangled) = cpp::demangle(raw) {
            let hashed = if demangled.is_whole { None } else { Some(raw) };
            (Cow::Owned(shortened_name(&demangled.text, hashed).into_owned()), true)
        } else {
            // What C++ would not mangle so stays as it is.
            (shortened_name(raw, None), raw.starts_with("_Z"))
        };
        let linkage_name = if is_mangled { shortened_linkage(raw) } else { Cow::Borrowed("") };
        FunctionName { name, linkage_name }
    }
}

/// Returns what `go tool pprof` is told when it asks for the name of the function that a linker calls `linkage_name`.
/// It demangles by itself, with all generic arguments. From a name that is not mangled it cuts what stands in brackets.
#[cfg(any(feature = "http", test))]
pub(super) fn for_pprof(linkage_name: &str) -> Cow<'_, str> {
    let FunctionName { name, .. } = FunctionName::of(linkage_name, "");
    if name.contains(['<', '[', '(']) { shortened_linkage(linkage_name) } else { name }
}

/// Returns `name` in at most [`MAX_NAME_CHARS`] characters. `hashed` tells it from other names, if `name` itself does
/// not.
pub(super) fn shortened_name<'a>(name: &'a str, hashed: Option<&str>) -> Cow<'a, str> {
    let is_short = name.len() <= MAX_NAME_CHARS || name.chars().nth(MAX_NAME_CHARS).is_none();
    if is_short && hashed.is_none() {
        return Cow::Borrowed(name);
    }
    // mutant: D1 what differs in the middle is one
    let middle = format!("…{:08x}…", hash(hashed.unwrap_or(name)) as u32);
    let kept = MAX_NAME_CHARS - middle.chars().count();
    // The end is kept because the method's name stands there.
    let (start, end) = (kept / 2, kept - kept / 2);
    let nth = |count| name.char_indices().nth(count).map_or(name.len(), |(index, _)| index);
    let last = |count: usize| name.char_indices().rev().nth(count - 1).map_or(0, |(index, _)| index);
    let (head, tail) = (nth(start), last(end));
    Cow::Owned(format!("{}{middle}{}", &name[..head], &name[tail.max(head)..]))
}

/// Returns `linkage_name` in at most [`MAX_LINKAGE_BYTES`].
pub(super) fn shortened_linkage(linkage_name: &str) -> Cow<'_, str> {
    if linkage_name.len() <= MAX_LINKAGE_BYTES {
        return Cow::Borrowed(linkage_name);
    }
    let middle = format!("...{:016x}...", hash(linkage_name));
    let kept = MAX_LINKAGE_BYTES - middle.len();
    let mut head = kept / 2;
    while !linkage_name.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = linkage_name.len() - (kept - kept / 2);
    while !linkage_name.is_char_boundary(tail) {
        tail += 1;
    }
    Cow::Owned(format!("{}{middle}{}", &linkage_name[..head], &linkage_name[tail..]))
}

/// Hashes `text` by FNV-1a, which is the same in every process, so that profiles of two processes can be compared.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(raw: &str) -> String {
        let name = FunctionName::of(raw, "");
        assert!(raw.len() > MAX_LINKAGE_BYTES || name.linkage_name == raw, "not mangled: {raw}");
        name.name.into_owned()
    }

    /// Each row is one function by both manglings, as rustc 1.95 writes them, and its name.
    const BOTH: [(&str, &str, &str); 11] = [
        ("_RNvMNtCs6xxl1lAjzDf_1a1mNtB2_1R5start", "_ZN1a1m1R5start17hf9fa71f7fad467e4E", "a::m::R::start"),
        (
            "_RNvMNtCs6xxl1lAjzDf_1a5otherNtNtB4_1m1R4away",
            "_ZN1a5other25_$LT$impl$u20$a..m..R$GT$4away17ha5c408c4eb606882E",
            "a::m::R::away",
        ),
        ("_RINvCs6xxl1lAjzDf_1a7generictEB2_", "_ZN1a7generic17hbc58c3c300194e02E", "a::generic"),
        (
            "_RNvMs6_Cs6xxl1lAjzDf_1aINtB5_3FooINtB5_1PhtEE4genrB5_",
            "_ZN1a12Foo$LT$T$GT$4genr17h360570ffe2d0b9bdE",
            "a::Foo::genr",
        ),
        (
            "_RNvMs4_Cs6xxl1lAjzDf_1aINtB5_3FoohE3new",
            "_ZN1a13Foo$LT$u8$GT$3new17h0aa866ae6a3653b3E",
            "a::Foo<u8>::new",
        ),
        (
            "_RNvXCs6xxl1lAjzDf_1aINtNtCslNYArtu3iFV_5alloc3vec3VechENtNtB2_1m3Enc3enc",
            "_ZN1a65_$LT$impl$u20$a..m..Enc$u20$for$u20$alloc..vec..Vec$LT$u8$GT$$GT$3enc17hb9143e643983c1d1E",
            "<alloc::vec::Vec<u8> as a::m::Enc>::enc",
        ),
        (
            "_RNvXs1_Cs6xxl1lAjzDf_1aRShNtNtB5_1m3Enc3encB5_",
            "_ZN1a55_$LT$impl$u20$a..m..Enc$u20$for$u20$$RF$$u5b$T$u5d$$GT$3enc17h52c2d0be64f8c95cE",
            "<&[_] as a::m::Enc>::enc",
        ),
        (
            "_RNvYINtCs6xxl1lAjzDf_1a3FoohENtNtB5_1m3Enc4dfltB5_",
            "_ZN1a1m3Enc4dflt17h58a14f0a1ba5a61bE",
            "a::m::Enc::dflt",
        ),
        (
            "_RNvMNtCslNYArtu3iFV_5alloc5sliceSh6to_vecCs6xxl1lAjzDf_1a",
            "_ZN5alloc5slice29_$LT$impl$u20$$u5b$T$u5d$$GT$6to_vec17h0123456789abcdefE",
            "<[_]>::to_vec",
        ),
        (
            "_RNvXs2_Cs6xxl1lAjzDf_1aNtB5_1EINtNtCsgEmfK2I1SDS_4core7convert4FromNtNtBx_3fmt5ErrorE4from",
            "_ZN68_$LT$a..E$u20$as$u20$core..convert..From$LT$core..fmt..Error$GT$$GT$4from17hcdaaebc3c65a6b12E",
            "<a::E as core::convert::From<core::fmt::Error>>::from",
        ),
        (
            "_RNvXs3_Cs6_1aINtB5_3FoohEINtNtCs2_4core7convert4FromINtNtCs3_5alloc3vec3VechEE4fromB5_",
            "_ZN87_$LT$a..Foo$LT$T$GT$$u20$as$u20$core..convert..From$LT$alloc..vec..Vec$LT$T$GT$$GT$$GT$4from17h0123456789abcdefE",
            "<a::Foo as core::convert::From<alloc::vec::Vec>>::from",
        ),
    ];

    #[test]
    fn both_manglings_have_one_name() {
        for (v0, legacy, expected) in BOTH {
            assert_eq!(name(v0), expected, "{v0}");
            assert_eq!(name(legacy), expected, "{legacy}");
        }
    }

    #[test]
    fn what_only_one_mangling_says() {
        // These names tell which closure it is, and which of two functions of one name in two blocks; one is not ASCII.
        assert_eq!(name("_RNCNCNvMNtC1a1mNtB6_1R5start0s_0B8_"), "a::m::R::start::{closure#0}::{closure#1}");
        assert_eq!(name("_ZN1a1f28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE"), "a::f::{{closure}}");
        assert_eq!(name("_RNvNvC1a4mains_1h"), "a::main::h#1");
        assert_eq!(name("_RNvC1au8nave_6pa"), "a::naïve");
        // The compiler has this name of its own for what calls a closure through a table of methods.
        let shim = "core::ops::function::FnOnce::call_once::{shim:vtable#0}";
        assert_eq!(name("_RNSNvYNCNvC1a4main0INtNtNtC4core3ops8function6FnOnceuE9call_once6vtableB4_"), shim);
        let legacy =
            "_ZN4core3ops8function6FnOnce40call_once$u7b$$u7b$vtable.shim$u7d$$u7d$17hde8d596247a201acE";
        assert_eq!(name(legacy), shim);
        // These suffixes are what the compiler adds for itself.
        assert_eq!(name("_RNvC1a1f.llvm.14592193259397329397"), "a::f");
    }

    #[test]
    fn pprof_is_told_names_that_it_leaves_alone() {
        assert_eq!(for_pprof("_RINvMC1aNtB3_1R5startmEB3_"), "a::R::start");
        assert_eq!(for_pprof("_RNCNvC1a1f0B3_"), "a::f::{closure#0}");
        assert_eq!(for_pprof("_RNvXC1aNtB3_1RNtC1b1T1f"), "_RNvXC1aNtB3_1RNtC1b1T1f");
        assert_eq!(for_pprof("malloc"), "malloc");
    }

    #[test]
    fn what_is_not_rust_stays() {
        for (raw, file, expected) in [
            ("qsort", "a.c", "qsort"),
            ("operator<", "a.cc", "operator<"),
            ("_Reset", "", "_Reset"),
            ("_R", "", "_R"),
            ("push<u8, alloc::alloc::Global>", "/src/vec.rs", "push"),
            ("{closure#0}<u8>", "/src/vec.rs", "{closure#0}"),
            ("", "", ""),
        ] {
            let name = FunctionName::of(raw, file);
            assert_eq!((&*name.name, &*name.linkage_name), (expected, ""), "{raw}");
        }
        let cpp = FunctionName::of("_ZNSt6vectorIiE9push_backEi", "");
        assert_eq!(
            (&*cpp.name, &*cpp.linkage_name),
            ("std::vector<int>::push_back", "_ZNSt6vectorIiE9push_backEi")
        );
        let none = FunctionName::of("_ZNSt6vec", "");
        assert_eq!((&*none.name, &*none.linkage_name), ("_ZNSt6vec", "_ZNSt6vec"));
    }

    /// Returns the mangled type `P<P<…>, P<…>>`, nested `depth` deep, which stands at `at` behind the prefix. Each
    /// level repeats the one within by reference.
    fn nested(depth: u32, at: usize) -> String {
        if depth == 0 {
            return "h".to_owned();
        }
        let inner = nested(depth - 1, at + "INtC1a1P".len());
        let again = if depth == 1 { "h".to_owned() } else { format!("B{}", base_62(at + "INtC1a1P".len())) };
        format!("INtC1a1P{inner}{again}E")
    }

    fn base_62(value: usize) -> String {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut digits = vec![b'_'];
        let mut rest = value.checked_sub(1);
        while let Some(value) = rest {
            digits.push(DIGITS[value % 62]);
            rest = Some(value / 62).filter(|&rest| rest > 0);
        }
        digits.reverse();
        String::from_utf8(digits).unwrap()
    }

    #[test]
    fn a_name_that_doubles_at_every_level_takes_no_time() {
        for depth in [1, 2, 11, 16, 60] {
            let generic = format!("_RINvC1a4leak{}Kj{depth:x}_EB2_", nested(depth, "INvC1a4leak".len()));
            assert_eq!(name(&generic), "a::leak", "{generic}");
        }
        // The arguments are the source's own, so they are shown as far as there is room.
        let of_depth = |depth| name(&format!("_RNvXC1a{}NtC1a2Tr4leak", nested(depth, "NvXC1a".len())));
        assert_eq!(of_depth(2), "<a::P<a::P<u8, u8>, a::P<u8, u8>> as a::Tr>::leak");
        let (deep, deeper) = (of_depth(59), of_depth(60));
        for name in [&deep, &deeper] {
            assert_eq!(name.chars().count(), MAX_NAME_CHARS, "{name}");
            assert!(name.starts_with("<a::P<a::P<") && name.ends_with(" as a::Tr>::leak"), "{name}");
        }
        assert_ne!(deep, deeper);
    }

    #[test]
    fn megabytes_lose_their_middle_and_stay_apart() {
        // The type is named by the present mangling, by none, and by the old one.
        for wrap in [
            |name: &str| format!("_RNvC1a{}_{name}", name.len()),
            |name: &str| name.to_owned(),
            |name: &str| format!("_ZN1a{}{name}17h0123456789abcdefE", name.len()),
        ] {
            let of = |middle: &str| wrap(&format!("{}{middle}{}", "x".repeat(1 << 20), "y".repeat(1 << 20)));
            let (a, b) = (of("a"), of("b"));
            let (a, b) = (FunctionName::of(&a, ""), FunctionName::of(&b, ""));
            assert_eq!(a.name.chars().count(), MAX_NAME_CHARS, "{}", a.name);
            assert!(a.name.contains("xxx…") && a.name.contains("…yyy"), "{}", a.name);
            assert!(a.linkage_name.len() <= MAX_LINKAGE_BYTES);
            assert_ne!(a.name, b.name);
            assert!(a.linkage_name.is_empty() || a.linkage_name != b.linkage_name);
        }
        let accents = shortened_linkage(&"é".repeat(1000)).into_owned();
        assert!(accents.len() <= MAX_LINKAGE_BYTES && accents.starts_with('é') && accents.ends_with('é'));
        assert_eq!(shortened_name(&"é".repeat(120), None), "é".repeat(120));
        assert_eq!(shortened_name(&"é".repeat(121), None).chars().count(), 120);
    }

    #[test]
    fn nonsense_is_no_name_and_does_no_harm() {
        for nested in ["R", "S", "INvC1a1f", "NvM", "F", "T", "Kh", "KV"] {
            let deep = format!("_RINvC1a1f{}hEC1a", nested.repeat(100_000));
            assert_eq!(v0::demangle(&deep), None, "{nested}");
        }
        let mut random = 7_u64;
        for (v0, legacy, _) in BOTH {
            for symbol in [v0, legacy] {
                for _ in 0..2_000 {
                    let mut bytes = symbol.as_bytes().to_vec();
                    for _ in 0..=random % 3 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let at = (random >> 33) as usize % bytes.len();
                        bytes[at] = b"_09azAZNBIEXMYCs$.u"[(random >> 20) as usize % 19];
                    }
                    bytes.truncate(bytes.len() - (random >> 50) as usize % 8);
                    let symbol = String::from_utf8(bytes).unwrap();
                    let name = FunctionName::of(&symbol, "a.rs").name.into_owned();
                    assert!(name.chars().count() <= MAX_NAME_CHARS, "{symbol}");
                }
            }
        }
    }
}
