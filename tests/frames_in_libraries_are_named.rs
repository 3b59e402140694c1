//! A library that calls back into the program stands on the stack between: its functions, inlined ones too, are named
//! with file and line, in the library's own mapping.
//!
//! The library is in C, and in Rust with a C interface, each built here as a user would, and loaded while we run; and in C
//! once more, with its headers and its build id where tools put them that change finished files.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::fs;
use std::process::Command;

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use workspace_tests::call_back::{IN_C, IN_RUST, cc, compile, leak_through, rustc};
use workspace_tests::client::get;
use workspace_tests::{check_valid, go_tool_pprof, scraper_rules, with_headers_at_the_end};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

#[test]
fn frames_in_libraries_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let build = |name: &str, file, text, compiler: &mut Command| {
        (folder.path().join(file), compile(folder.path(), name, (file, text), compiler))
    };
    let in_c = || cc(&["-g", "-Wl,--build-id"]);
    let libraries = [
        ("caller.c", IN_C, build("caller_c", "caller.c", IN_C, &mut in_c()), "inlined"),
        (
            "caller.rs",
            IN_RUST,
            build("caller_rs", "caller.rs", IN_RUST, &mut rustc(&["-g"])),
            "caller::inlined",
        ),
        ("changed.c", IN_C, build("changed_c", "changed.c", IN_C, &mut in_c()), "inlined"),
    ];
    let changed = &libraries[2].2.1;
    fs::write(changed, with_headers_at_the_end(&fs::read(changed).unwrap())).unwrap();
    let server = serve("127.0.0.1:0").unwrap();
    for (name, source, (source_file, library), inlined) in &libraries {
        leak_through(library);
        let profile = get(server.local_addr(), "/debug/pprof/heap").body;
        check_valid(&profile);
        let line_of = |part: &str| {
            let (index, line) = source.lines().enumerate().find(|(_, line)| line.contains(part)).unwrap();
            (line.trim(), index as i64 + 1)
        };
        let library = Library {
            name,
            path: library.to_str().unwrap(),
            source: source_file.to_str().unwrap(),
            inlined,
            inner: line_of("function()"),
            outer: line_of("inlined(function);"),
        };
        library.is_named(&profile);
        library.is_shown_by_go(&profile);
    }
}

/// A library, and the two lines of its source that are on the stack.
struct Library<'a> {
    name: &'a str,
    path: &'a str,
    source: &'a str,
    /// The function that is inlined in `call_back`.
    inlined: &'a str,
    /// The line in the function that is inlined, and the one that calls that: the code and its number.
    inner: (&'a str, i64),
    outer: (&'a str, i64),
}

impl Library<'_> {
    fn is_named(&self, profile: &[u8]) {
        let Self { name, source, .. } = self;
        let decoded = scraper_rules(profile);
        let text = |index: i64| &*decoded.string_table[index as usize];
        let mapping = decoded.mapping.iter().find(|mapping| text(mapping.filename_index) == self.path);
        let mapping = mapping.unwrap_or_else(|| panic!("{name}: {} is not in the profile", self.path));
        // There is one address in it, and there are two functions at that.
        let mut locations = decoded.location.iter().filter(|location| location.mapping_id == mapping.id);
        let location = locations.next().expect("its frame");
        assert_eq!(locations.next(), None, "{name}");
        let frames: Vec<_> = location
            .line
            .iter()
            .map(|line| {
                let function = &decoded.function[line.function_id as usize - 1];
                (text(function.name_index), text(function.filename_index), line.line)
            })
            .collect();
        let expected = [(self.inlined, *source, self.inner.1), ("call_back", *source, self.outer.1)];
        assert_eq!(frames, expected, "{name}");
        // The stack goes on to who called the library.
        let sample = decoded.sample.iter().find(|sample| sample.location_id.contains(&location.id)).unwrap();
        let functions = sample.location_id.iter().flat_map(|&id| &decoded.location[id as usize - 1].line);
        let mut names =
            functions.map(|line| text(decoded.function[line.function_id as usize - 1].name_index));
        // `#[test]` makes a constant of the function's name too, so `v0` tells the function from it by a number.
        let own = "frames_in_libraries_are_named::frames_in_libraries_are_named";
        assert!(
            names.any(|name| name.split('#').next() == Some(own)),
            "{name}: the stack ends in the library"
        );
    }

    fn is_shown_by_go(&self, profile: &[u8]) {
        let Self { name, source, .. } = self;
        let focused = format!("-focus={}", self.path.rsplit('/').next().unwrap());
        let top =
            go_tool_pprof(&["-top", "-cum", "-lines", "-unit=mb", "-nodefraction=0", &focused], profile);
        for row in [
            format!(" {} {source}:{} (inline)", self.inlined, self.inner.1),
            format!(" call_back {source}:{}", self.outer.1),
        ] {
            assert!(
                top.lines().any(|line| line.ends_with(&row) && line.contains("5MB")),
                "{name} {row}: {top}"
            );
        }
        let list = go_tool_pprof(&["-list=^call_back$", "-unit=mb", &focused], profile);
        let listed =
            list.lines().find(|line| line.contains(self.outer.0)).unwrap_or_else(|| panic!("{list}"));
        assert!(listed.contains(" 5MB "), "{name}: {list}");
    }
}
