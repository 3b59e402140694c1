//! A fresh crate with the one line in `main`, over three allocators, runs and serves right profiles.
//!
//! The crate is a package of its own, as a user's is: it knows us by a path, and cargo fetches and builds for it
//! what a bare machine lacks. It is kept in the target directory, and built there beside the workspace, whose dependencies need not be
//! built again where they have the same features.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use pprof_server::internal::proto::{Profile, Sample};
use workspace_tests::{check_valid, client, scraper_rules};

const BLOCK_BYTES: i64 = 1 << 20;
const LEAKED_BLOCKS: i64 = 200;
const CHURNED_BLOCKS: i64 = 300;
const C_BLOCKS: i64 = 50;

const MANIFEST: &str = r#"[package]
name = "fresh"
version = "0.0.0"
edition = "2024"

# Not a member of the workspace that the target directory lies in.
[workspace]

[dependencies]
pprof-server = { path = "PPROF_SERVER" }
libc = "0.2"
mimalloc = "=0.1.52"
tikv-jemallocator = "=0.7.0"
# Not used: `check-first-five-minutes.sh` builds a crate that does, in the same folder, and what has been built for one need
# not be built for the other.
axum = { version = "0.8", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

# As in the workspace, so that these are shared too.
[profile.dev]
debug = "limited"
[profile.dev.package]
addr2line = { opt-level = 2 }
gimli = { opt-level = 2 }
object = { opt-level = 2 }
zlib-rs = { opt-level = 2 }
"#;

const LIBRARY: &str = r#"
use std::hint::black_box;

pub fn run() {
    leak();
    leak_as_c();
    churn();
    println!("ready");
    std::io::read_to_string(std::io::stdin()).unwrap();
}

#[inline(never)]
fn leak() {
    for _ in 0..LEAKED_BLOCKS {
        std::mem::forget(black_box(vec![0_u8; BLOCK_BYTES]));
    }
}

#[inline(never)]
fn leak_as_c() {
    for _ in 0..C_BLOCKS {
        // SAFETY: any size may be asked for.
        assert!(!black_box(unsafe { libc::malloc(BLOCK_BYTES) }).is_null());
    }
}

#[inline(never)]
fn churn() {
    for _ in 0..CHURNED_BLOCKS {
        drop(black_box(vec![0_u8; BLOCK_BYTES]));
    }
}
"#;

/// Lists the programs, each with its one line.
const PROGRAMS: [(&str, &str); 6] = [
    ("over_system", "pprof_server::install!();"),
    ("over_mimalloc", "pprof_server::install!(allocator = mimalloc::MiMalloc);"),
    ("over_jemalloc", "pprof_server::install!(allocator = tikv_jemallocator::Jemalloc);"),
    ("over_system_with_c", "pprof_server::install!(c_allocations = true);"),
    (
        "over_mimalloc_with_c",
        "pprof_server::install!(c_allocations = mimalloc, allocator = mimalloc::MiMalloc);",
    ),
    (
        "over_jemalloc_with_c",
        "pprof_server::install!(c_allocations = jemalloc, allocator = tikv_jemallocator::Jemalloc);",
    ),
];

/// Builds the crate, once; where its programs are.
fn programs() -> &'static Path {
    static PROGRAMS_FOLDER: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS_FOLDER.get_or_init(build)
}

fn build() -> PathBuf {
    // The test binary stands in `<target>/<profile>/deps`; debug and release share the crate.
    let this = env::current_exe().unwrap();
    let target = this.ancestors().nth(3).expect("a target directory");
    let package = target.join("fresh-crate");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();

    let pprof_server = workspace.join("pprof-server");
    write(&package.join("Cargo.toml"), &MANIFEST.replace("PPROF_SERVER", pprof_server.to_str().unwrap()));
    let mut library = LIBRARY.to_owned();
    for (name, value) in [
        ("LEAKED_BLOCKS", LEAKED_BLOCKS),
        ("CHURNED_BLOCKS", CHURNED_BLOCKS),
        ("C_BLOCKS", C_BLOCKS),
        ("BLOCK_BYTES", BLOCK_BYTES),
    ] {
        library = library.replace(name, &value.to_string());
    }
    write(&package.join("src/lib.rs"), &library);
    for (name, line) in PROGRAMS {
        let program = format!("fn main() {{\n    {line}\n    fresh::run();\n}}\n");
        write(&package.join(format!("src/bin/{name}.rs")), &program);
    }
    write(&package.join("src/bin/closes.rs"), include_str!("fresh/closes.rs"));
    // The versions that everything else is tested with; cargo adds the allocators to it.
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).unwrap();
    if write(&package.join("Cargo.lock.workspace"), &lock) {
        fs::write(package.join("Cargo.lock"), &lock).unwrap();
    }

    let output = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--bins"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        // As a user has it; and built once, with whatever flags the test is.
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo is there");
    assert!(
        output.status.success(),
        "the fresh crate does not build (it needs a C compiler, make, and what cargo fetches): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("debug")
}

/// Writes a file, if it is not so already: cargo would build anew what is new. Says whether it was news.
fn write(path: &Path, contents: &str) -> bool {
    let is_news = fs::read_to_string(path).is_ok_and(|old| old == contents);
    if !is_news {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    !is_news
}

/// A running program, which has leaked; killed when dropped.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(name: &str, interval: Option<&str>) -> Program {
        let mut command = Command::new(programs().join(name));
        command.env("PPROF_ADDR", "127.0.0.1:0").env_remove("ALLOC_PROFILER_INTERVAL");
        command.envs(interval.map(|bytes| ("ALLOC_PROFILER_INTERVAL", bytes)));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program has been built");
        let mut told = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
        let address = told.split('/').nth(2).unwrap_or_else(|| panic!("no address in {told:?}"));
        let address = address.parse().unwrap_or_else(|error| panic!("{error}: {told:?}"));
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Program { child, address }
    }

    fn profile(&self) -> Profile {
        let reply = client::get(self.address, "/debug/pprof/heap");
        assert_eq!(reply.status, 200, "{}", reply.text_lossy());
        check_valid(&reply.body);
        scraper_rules(&reply.body)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the name of the innermost function of `sample`.
fn leaf<'a>(profile: &'a Profile, sample: &Sample) -> &'a str {
    let location = &profile.location[sample.location_id[0] as usize - 1];
    let function = &profile.function[location.line[0].function_id as usize - 1];
    &profile.string_table[function.name_index as usize]
}

/// What was allocated and is in use in `function` itself: `alloc_objects`, `alloc_space`, `inuse_objects`,
/// `inuse_space`.
fn values(profile: &Profile, function: &str) -> [i64; 4] {
    let samples = profile.sample.iter().filter(|sample| leaf(profile, sample) == function);
    samples.fold([0; 4], |sum, sample| std::array::from_fn(|index| sum[index] + sample.value[index]))
}

fn assert_leak_is_first(profile: &Profile, program: &str) {
    let first = profile.sample.iter().max_by_key(|sample| sample.value[3]).expect("samples");
    assert_eq!(leaf(profile, first), "fresh::leak", "{program}");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the debug tests run the same programs")]
fn with_every_allocation_recorded_the_numbers_are_exact() {
    for (program, _) in PROGRAMS {
        let profile = Program::start(program, Some("1")).profile();
        assert_eq!(profile.period, 1, "{program}");
        assert_leak_is_first(&profile, program);
        let leaked = [LEAKED_BLOCKS, LEAKED_BLOCKS * BLOCK_BYTES];
        assert_eq!(values(&profile, "fresh::leak"), [leaked, leaked].concat()[..], "{program}");
        let churned = [CHURNED_BLOCKS, CHURNED_BLOCKS * BLOCK_BYTES, 0, 0];
        assert_eq!(values(&profile, "fresh::churn"), churned, "{program}");
        // Without the option, what C code allocates is not seen.
        let by_c = if program.ends_with("_with_c") { C_BLOCKS } else { 0 };
        let by_c = [by_c, by_c * BLOCK_BYTES];
        assert_eq!(values(&profile, "fresh::leak_as_c"), [by_c, by_c].concat()[..], "{program}");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the debug tests run the same programs")]
fn at_the_default_interval_the_estimate_is_within_six_standard_errors() {
    for (program, _) in PROGRAMS {
        let profile = Program::start(program, None).profile();
        assert_eq!(profile.period, 524288, "{program}");
        assert_leak_is_first(&profile, program);

        // A block is sampled with this probability, and then stands for one over it.
        let probability = 1.0 - (-(BLOCK_BYTES as f64) / 524288.0).exp();
        let within_six_errors = |estimate: i64, truth: i64| {
            let standard_error = (truth as f64 * (1.0 - probability) / probability).sqrt();
            ((estimate - truth) as f64).abs() <= 6.0 * standard_error
        };
        let [_, _, objects, bytes] = values(&profile, "fresh::leak");
        assert!(within_six_errors(objects, LEAKED_BLOCKS), "{program}: {objects} objects");
        assert!(within_six_errors(bytes / BLOCK_BYTES, LEAKED_BLOCKS), "{program}: {bytes} bytes");
        let [allocated, _, in_use, _] = values(&profile, "fresh::churn");
        assert!(within_six_errors(allocated, CHURNED_BLOCKS), "{program}: {allocated} allocated");
        assert_eq!(in_use, 0, "{program}");
    }
}

/// A daemon closes all descriptors; what it opens then gets the server's numbers, and is left alone.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "the debug tests run the same programs")]
fn what_takes_the_place_of_a_closed_descriptor_is_left_alone() {
    let programs = ["idle", "at-once", "delta", "stop"].map(|how| {
        let mut command = Command::new(programs().join("closes"));
        command.arg(how).env("PPROF_QUIET", "1").env_remove("PPROF_ADDR");
        (how, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    });
    for (how, program) in programs {
        let output = program.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && output.stdout == b"went on\n",
            "{how}: {}\n{errors}",
            output.status
        );
        // One line, which names where it served.
        let line = "no more heap profiles are served on 127.0.0.1:";
        let told: Vec<&str> = errors.lines().collect();
        assert!(told.len() == 1 && told[0].contains(line), "{how}: {errors}");
    }
}
