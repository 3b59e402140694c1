//! A stripped program is profiled too: the profile names addresses, and the unstripped file names them later.
#![cfg(target_os = "linux")]

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use pprof_server::{SamplingAllocator, serve};
use workspace_tests::client::get;
use workspace_tests::{check_valid, go_tool_pprof, go_tool_pprof_at, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Set in the child, which is a stripped copy of this test binary.
const IS_CHILD: &str = "STRIPPED_BINARY_CHILD";

#[inline(never)]
fn leak_in_stripped_code() -> Vec<u8> {
    black_box(vec![1; 5_000_000])
}

/// The child: leaks, serves, tells where, and waits for the end of its standard input.
fn serve_a_leak() {
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let leaked = leak_in_stripped_code();
    let server = serve("127.0.0.1:0").unwrap();
    println!("\nserved at {}", server.local_addr());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(leaked);
}

/// A running copy of this binary, of which `strip` with `arguments` has taken something away.
struct Stripped {
    file: PathBuf,
    child: Child,
    address: SocketAddr,
}

impl Stripped {
    fn start(name: &str, arguments: &[&str]) -> Stripped {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let stripped = Command::new("strip")
            .args(arguments)
            .arg("-o")
            .arg(&file)
            .arg(env::current_exe().unwrap())
            .status()
            .expect("`strip` comes with the linker: install binutils");
        assert!(stripped.success());
        let mut child = Command::new(&file)
            .args(["--exact", name, "--nocapture"])
            .env(IS_CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.strip_prefix("served at ")?.parse().ok()).expect("an address");
        // What the child's harness says at the end must not meet a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Stripped { file, child, address }
    }
}

impl Drop for Stripped {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
    }
}

fn first_row(top: &str) -> &str {
    top.lines().skip_while(|line| !line.contains("flat%")).nth(1).unwrap_or_default()
}

#[test]
fn addresses_are_named_later_by_the_whole_file() {
    if env::var_os(IS_CHILD).is_some() {
        return serve_a_leak();
    }
    let stripped = Stripped::start("addresses_are_named_later_by_the_whole_file", &[]);
    let name = stripped.file.file_name().unwrap().to_str().unwrap();
    let profile = get(stripped.address, "/debug/pprof/heap").body;
    check_valid(&profile);
    let decoded = scraper_rules(&profile);
    assert_ne!(decoded.mapping[0].build_id_index, 0, "what tells the whole file");
    // Each address is a row of its own, by the file and the file's own address.
    let top = go_tool_pprof(&["-top"], &profile);
    assert!(first_row(&top).contains(&format!(" {name}+0x")), "{top}");
    let table = get(stripped.address, "/debug/pprof/heap?format=text&top=1");
    assert!(table.text().contains(&format!("  {name}+0x")), "{}", table.text());

    // Without names, the profile is named by whoever has the whole file.
    let whole = env::current_exe().unwrap();
    let bare = format!("http://{}/debug/pprof/heap?symbolize=none", stripped.address);
    let top = go_tool_pprof_at(&["-top", "-cum", "-nodefraction=0", whole.to_str().unwrap()], &bare);
    assert!(top.contains("leak_in_stripped_code"), "{top}");
    // With nothing but the stripped one, POST finds no names, and that is no error.
    let top = go_tool_pprof_at(&["-top", "-symbolize=remote"], &bare);
    assert!(first_row(&top).contains(&format!("[{name}]")), "{top}");
}

#[test]
fn the_symbol_table_is_enough_for_functions() {
    if env::var_os(IS_CHILD).is_some() {
        return serve_a_leak();
    }
    let stripped = Stripped::start("the_symbol_table_is_enough_for_functions", &["--strip-debug"]);
    let profile = get(stripped.address, "/debug/pprof/heap").body;
    scraper_rules(&profile);
    let top = go_tool_pprof(&["-top"], &profile);
    assert!(first_row(&top).ends_with("stripped_binary::leak_in_stripped_code"), "{top}");
    let bare = format!("http://{}/debug/pprof/heap?symbolize=none", stripped.address);
    let top = go_tool_pprof_at(&["-top", "-cum", "-nodefraction=0", "-symbolize=remote"], &bare);
    assert!(top.contains("stripped_binary::leak_in_stripped_code"), "{top}");
}
