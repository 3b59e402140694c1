//! What a developer does with `go tool pprof`: every report, of every kind of profile, by address and from a file.
//!
//! Four functions hold memory, each the way Rust has its own names for: a trait's method, a generic function, a closure,
//! an async block. Each must be found under its name, with its file and line, and with what was inlined into it.

use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::{Server, serve};
use workspace_tests::client::get;
use workspace_tests::{go_tool_pprof, go_tool_pprof_at};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

mod shapes {
    use std::hint::black_box;

    pub(crate) trait Store {
        fn put(&mut self);
    }

    pub(crate) struct Shelf(pub(crate) Vec<Vec<u8>>);

    impl Store for Shelf {
        #[inline(never)]
        fn put(&mut self) {
            self.0.push(block(1 << 20));
        }
    }

    /// Inlined wherever it is called.
    #[inline(always)]
    fn block(bytes: usize) -> Vec<u8> {
        let block = vec![1; bytes];
        black_box(block)
    }

    #[inline(never)]
    pub(crate) fn generic<T: Clone + Default>(count: usize) -> Vec<T> {
        black_box(vec![T::default(); count])
    }

    pub(crate) struct Tray<T>(pub(crate) Vec<T>);

    impl<T: Clone + Default> Tray<T> {
        #[inline(never)]
        pub(crate) fn lay(&mut self, count: usize) {
            self.0 = black_box(vec![T::default(); count]);
        }
    }

    #[inline(never)]
    pub(crate) fn closure() -> impl FnMut() -> Vec<u8> {
        || block(4 << 20)
    }

    #[allow(clippy::manual_async_fn, reason = "the block is what is tried")]
    #[inline(never)]
    pub(crate) fn future() -> impl Future<Output = Vec<u8>> {
        async { block(8 << 20) }
    }
}

/// Names as our profiles have them, whichever way the compiler mangled them, and what each holds in MiB. The generic ones
/// were compiled for two types, and are one function still.
const NAMES: [(&str, u32); 5] = [
    ("<go_tool::shapes::Shelf as go_tool::shapes::Store>::put", 1),
    ("go_tool::shapes::generic", 2),
    ("go_tool::shapes::Tray::lay", 16),
    ("go_tool::shapes::closure::{{closure}}", 4),
    ("go_tool::shapes::future::{{closure}}", 8),
];

/// Served for as long as the process lives.
struct Service {
    server: Server,
    files: Vec<(&'static str, Vec<u8>)>,
}

fn hold() {
    use shapes::Store;
    let mut shelf = shapes::Shelf(Vec::with_capacity(10));
    shelf.put();
    let generic = (shapes::generic::<u16>(1 << 19), shapes::generic::<u32>(1 << 18));
    let mut trays = (shapes::Tray::<u8>(Vec::new()), shapes::Tray::<u64>(Vec::new()));
    trays.0.lay(8 << 20);
    trays.1.lay(1 << 20);
    // Behind a pointer, so that they stay functions of their own.
    let mut closure: Box<dyn FnMut() -> Vec<u8>> = black_box(Box::new(shapes::closure()));
    let closure = closure();
    let mut future: Pin<Box<dyn Future<Output = Vec<u8>>>> = black_box(Box::pin(shapes::future()));
    let Poll::Ready(future) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
    // For as long as the process lives.
    std::mem::forget(black_box((shelf, generic, trays, closure, future)));
}

fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        pprof_server::alloc_profiler::set_sampling_interval(1);
        let server = serve("127.0.0.1:0").unwrap();
        let address = server.local_addr();
        let delta = std::thread::spawn(move || get(address, "/debug/pprof/heap?seconds=2").body);
        std::thread::sleep(std::time::Duration::from_secs(1));
        hold();
        let fetch = |target: &str| get(address, &format!("/debug/pprof/{target}")).body;
        let files = vec![
            ("heap", fetch("heap")),
            ("allocs", fetch("allocs")),
            ("delta_heap", fetch("delta_heap?client=files")),
            ("heap?symbolize=names", fetch("heap?symbolize=names")),
            ("heap?seconds=2", delta.join().unwrap()),
        ];
        Service { server, files }
    })
}

fn url(target: &str) -> String {
    format!("http://{}/debug/pprof/{target}", service().server.local_addr())
}

/// Runs one report on every profile in a file and, by address, on those that can be had at any time.
fn report(arguments: &[&str], check: impl Fn(&str, &str)) {
    for (name, profile) in &service().files {
        check(name, &go_tool_pprof(arguments, profile));
    }
    for target in ["heap", "allocs", "delta_heap?client=URL"] {
        // Each call of `delta_heap` is a client's first.
        let client = arguments.join("").replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        check(target, &go_tool_pprof_at(arguments, &url(&target.replace("URL", &client))));
    }
}

/// `said`, with closures as the old mangling has them, which gives them no numbers.
fn without_numbers(said: &str) -> String {
    said.replace("{closure#0}", "{{closure}}")
}

fn has_all_names(what: &str, said: &str) {
    let said = without_numbers(said);
    for (name, _) in NAMES {
        assert!(said.contains(name), "{what}: no {name} in {said}");
    }
}

#[test]
fn top_names_all_four_and_what_they_hold() {
    report(&["-top", "-unit=mb", "-nodefraction=0"], |what, said| {
        has_all_names(what, said);
        let said = without_numbers(said);
        for (name, mib) in NAMES {
            // The columns are flat, flat %, sum % and cumulative.
            let row =
                said.lines().find(|row| row.ends_with(name)).unwrap_or_else(|| panic!("{what}: {said}"));
            let cumulative = row.split_whitespace().nth(3).unwrap();
            assert_eq!(cumulative, format!("{mib}MB"), "{what}: {row}");
        }
        assert!(said.contains("go_tool::shapes::block (inline)"), "{what}: {said}");
    });
}

/// What one writes behind `-focus`, `-list` and their like is compared with the name that is shown, and with nothing of the
/// mangled one. An expression can have both spellings.
#[test]
fn functions_are_found_by_the_names_that_are_shown() {
    for spelling in ["go_tool::shapes::Tray::lay", "<?go_tool::shapes::Tray>?::lay"] {
        report(&["-top", &format!("-focus={spelling}")], |what, said| {
            assert!(said.contains("go_tool::shapes::Tray::lay"), "{what}: {said}");
            assert!(!said.contains("go_tool::shapes::generic"), "{what}: {said}");
        });
        report(&[&format!("-list={spelling}")], |what, said| {
            let has_files = !what.contains("symbolize=names");
            let line = "self.0 = black_box(vec![T::default(); count]);";
            assert_eq!(said.contains(line), has_files, "{what}: {said}");
            // The row has what both types allocated together.
            assert!(said.contains("16MB") || !has_files, "{what}: {said}");
        });
    }
    let (_, heap) = &service().files[0];
    let said = go_tool_pprof(&["-top", "-focus=<go_tool::shapes::Tray>::lay"], heap);
    assert!(said.contains("Focus expression matched no samples"), "{said}");
}

#[test]
fn list_shows_the_source() {
    report(&["-list=go_tool::shapes::"], |what, said| {
        let has_files = !what.contains("symbolize=names");
        for line in ["self.0.push(block(1 << 20));", "|| block(4 << 20)", "async { block(8 << 20) }"] {
            assert_eq!(said.contains(line), has_files, "{what}: {line} in {said}");
        }
    });
}

#[test]
fn peek_shows_callers_and_callees() {
    report(&["-peek=go_tool::shapes::"], |what, said| {
        has_all_names(what, said);
        assert!(said.contains("go_tool::hold"), "{what}: {said}");
    });
}

#[test]
fn traces_are_whole() {
    report(&["-traces"], |what, said| {
        has_all_names(what, said);
        // The size class, which stands above each trace.
        assert!(said.contains("bytes:  8MB"), "{what}: {said}");
    });
}

#[test]
fn tags_are_sizes() {
    report(&["-tags"], |what, said| {
        assert!(said.contains("bytes: Total ") && said.contains("8MB"), "{what}: {said}");
    });
    report(&["-top", "-nodefraction=0", "-tagfocus=bytes=7mb:9mb"], |what, said| {
        assert!(said.contains("shapes::future") && !said.contains("shapes::closure"), "{what}: {said}");
    });
    report(&["-top", "-cum", "-nodefraction=0", "-tagroot=bytes"], |what, said| {
        let row = said.lines().find(|row| row.ends_with(" 8MB"));
        assert!(row.is_some(), "{what}: {said}");
    });
}

#[test]
fn every_sample_index_opens() {
    for sample_type in ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"] {
        report(&["-top", "-nodefraction=0", &format!("-sample_index={sample_type}")], |what, said| {
            assert!(said.contains(&format!("Type: {sample_type}")), "{what}: {said}");
            has_all_names(what, said);
        });
    }
}

#[test]
fn a_base_is_subtracted() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("base-{}", std::process::id()));
    for (name, profile) in &service().files {
        std::fs::write(&base, profile).unwrap();
        let base = base.to_str().unwrap();
        let nothing = go_tool_pprof(&["-top", &format!("-base={base}")], profile);
        assert!(nothing.contains("for 0, 0% of 0 total"), "{name}: {nothing}");
        for arguments in [
            &["-top", &format!("-diff_base={base}")][..],
            &["-top", "-normalize", &format!("-base={base}")],
            &["-top", "-normalize", &format!("-diff_base={base}")],
        ] {
            let said = go_tool_pprof(arguments, profile);
            let is_nothing = said.contains("Showing nodes accounting for 0, 0% of ");
            assert!(is_nothing && !said.contains("shapes::"), "{name} {arguments:?}: {said}");
        }
    }
    std::fs::remove_file(&base).unwrap();
    // One that lacks them shows them all.
    let base = format!("-diff_base={}", url("heap?limit=1"));
    let all = go_tool_pprof_at(&["-top", "-nodefraction=0", &base], &url("heap"));
    has_all_names("diff_base by address", &all);
    assert!(all.contains("[other]"), "{all}");
}

/// What has no names gets them by POST to `symbol`: those of functions, without what was inlined, since the protocol
/// has one name for each address.
#[test]
fn bare_addresses_are_named_by_post() {
    for target in
        ["heap?symbolize=none", "allocs?symbolize=none", "heap?debug=1&symbolize=none", "heap?debug=1"]
    {
        let said = go_tool_pprof_at(&["-top", "-cum", "-nodefraction=0", "-symbolize=remote"], &url(target));
        has_all_names(target, &said);
        assert!(said.contains("go_tool::hold"), "{target}: {said}");
    }
    let by_seconds =
        go_tool_pprof_at(&["-raw", "-symbolize=remote", "-seconds=1"], &url("heap?symbolize=none"));
    assert!(by_seconds.contains("PeriodType: space bytes"), "{by_seconds}");
}

/// The text has a memory map at its end, by which Go can name it from the program's debug information, as the demo's test
/// of `go tool pprof` has it. Here it may not.
#[test]
fn the_text_is_read_without_names() {
    let text = get(service().server.local_addr(), "/debug/pprof/heap?debug=1").body;
    for arguments in [&["-top"][..], &["-traces"], &["-tags"], &["-raw"]] {
        let said = go_tool_pprof(&[arguments, &["-symbolize=none"]].concat(), &text);
        assert!(said.contains("go_tool-") || said.contains("MB"), "{arguments:?}: {said}");
        assert!(!said.contains("malformed"), "{said}");
    }
}
