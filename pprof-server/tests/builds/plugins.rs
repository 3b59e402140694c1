//! Each file is judged for itself: the program, the libraries that it loads, and a plugin that brings the profiler to a program
//! of others.

use std::env;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use workspace_tests::call_back::{IN_C, IN_RUST, cc, compile, leak_through, rustc};
use workspace_tests::client::get;
use workspace_tests::scraper_rules;

use super::default_release::all_of;
use super::{Program, build, source};

/// What is said of a file in every place: notes, the history and the metrics.
struct Said {
    notes: Vec<String>,
    symbols: String,
    metrics: String,
}

impl Said {
    fn by(address: std::net::SocketAddr) -> Said {
        // The metrics and the history come first: they do not wait for a profile to find it out.
        let metrics = get(address, "/metrics").text().to_owned();
        let history: Value = serde_json::from_str(get(address, "/debug/pprof/history").text()).unwrap();
        let heap: Value = serde_json::from_str(get(address, "/debug/pprof/heap?format=json").text()).unwrap();
        let notes = heap["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned());
        Said { notes: notes.collect(), symbols: history["symbols"].as_str().unwrap().to_owned(), metrics }
    }

    /// `text` is said of `file`, which `lacks` this.
    fn assert_told(&self, text: &str, file: &str, lacks: &str) {
        assert!(self.notes.iter().any(|note| note.contains(text)), "{text}: {:?}", self.notes);
        assert!(self.symbols.contains(text) && !self.symbols.starts_with("full"), "{text}: {}", self.symbols);
        let series = format!("\npprof_file_loss_ratio{{file=\"{file}\",lacks=\"{lacks}\"}} ");
        assert!(self.metrics.contains(&series), "{series}: {}", self.metrics);
    }
}

/// The program is this test, which is whole. What its libraries lack is told of each, although it is between the program's own
/// functions that they stand.
#[test]
fn libraries_that_lack_something_are_told_one_by_one() {
    const TEST: &str = "plugins::libraries_that_lack_something_are_told_one_by_one";
    if env::var_os("LIBRARIES_CHILD").is_none() {
        // Other tests of this program leak too.
        let mut child = workspace_tests::this_program();
        child.args(["--exact", TEST, "--nocapture"]).env("LIBRARIES_CHILD", "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("all were told"), "{output:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = |name, source, compiler: &mut Command| compile(folder.path(), name, source, compiler);
    let in_rust = ("library.rs", IN_RUST);
    let server = pprof_server::serve("127.0.0.1:0").unwrap();
    pprof_server::alloc_profiler::set_sampling_interval(0);

    leak_through(&library("whole", in_rust, &mut rustc(&["-Cdebuginfo=limited"])));
    leak_through(&library("whole_c", ("whole.c", IN_C), &mut cc(&["-g"])));
    let said = Said::by(server.local_addr());
    assert_eq!(said.symbols, "full");
    assert!(!said.metrics.contains("library_") && !said.metrics.contains("pprof_file_loss_ratio"));
    assert!(said.notes.iter().all(|note| !note.contains("lib")), "{:?}", said.notes);

    leak_through(&library("bare", in_rust, &mut rustc(&["-Cdebuginfo=0", "-Cstrip=none"])));
    let said = Said::by(server.local_addr());
    said.assert_told(
        "libbare.so, functions only: it was built without debug information",
        "libbare.so",
        "lines",
    );
    assert!(said.notes.iter().any(|note| note.contains(". This concerns 33.")), "{:?}", said.notes);

    leak_through(&library("lines", in_rust, &mut rustc(&["-Cdebuginfo=line-tables-only"])));
    let said = Said::by(server.local_addr());
    said.assert_told("liblines.so", "liblines.so", "paths");

    for name in ["stripped_c0", "stripped_c1", "stripped_c2"] {
        leak_through(&library(name, ("stripped.c", IN_C), &mut cc(&["-s"])));
    }
    let said = Said::by(server.local_addr());
    said.assert_told("libbare.so, functions only", "libbare.so", "lines");
    said.assert_told(
        ". Others lack something too: liblines.so, libstripped_c0.so, ",
        "libstripped_c2.so",
        "names",
    );
    said.assert_told(", and 1 more", "libstripped_c0.so", "names");
    assert!(said.metrics.contains("\npprof_loss_ratio{reason=\"library_symbols\"} 0.71"), "{}", said.metrics);
    println!("all were told");
}

/// A program of others that loads the plugin which brings the profiler.
fn start(host: &Path, plugin: &Path) -> (Program, BufReader<std::process::ChildStderr>) {
    let mut command = Command::new(host);
    command.arg(plugin).env_remove("PPROF_QUIET").env("ALLOC_PROFILER_INTERVAL", "1").stderr(Stdio::piped());
    let mut program = Program::start_by(&mut command);
    let errors = BufReader::new(program.child.stderr.take().unwrap());
    (program, errors)
}

fn host(folder: &Path, flags: &[&str]) -> PathBuf {
    let host = folder.join("host");
    let source = source("host").with_extension("c");
    let output = Command::new("cc").args(flags).arg("-o").args([&host, &source]).arg("-ldl").output();
    assert!(output.expect("there is a C compiler").status.success());
    host
}

#[test]
fn a_plugin_is_not_judged_by_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let of_release = ["--crate-type=cdylib", "-Copt-level=3"];
    let whole = build("libwhole_plugin.so", "plugin", &of_release);
    let (program, errors) = start(&host(folder.path(), &["-O1"]), &whole);
    let said = Said::by(program.address);
    said.assert_told("host, functions only: it was built without debug information", "host", "lines");
    assert!(said.notes.iter().all(|note| !note.contains("whole_plugin")), "{:?}", said.notes);
    let profile = scraper_rules(&get(program.address, "/debug/pprof/heap").body);
    assert!(
        profile.string_table.iter().any(|name| name == "plugin::leak"),
        "the plugin's functions are named"
    );
    // Whoever wrote the plugin cannot build its host.
    assert_eq!(all_of(program, errors).lines().count(), 1, "where the page is");
}

#[test]
fn a_host_says_nothing_of_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let bare = build(
        "libbare_plugin.so",
        "plugin",
        &["--crate-type=cdylib", "-Copt-level=3", "-Cdebuginfo=0", "-Cstrip=none"],
    );
    let (program, errors) = start(&host(folder.path(), &["-O1", "-g"]), &bare);
    let text = "libbare_plugin.so, not everywhere: parts of it were built without debug information";
    let said = Said::by(program.address);
    said.assert_told(text, "libbare_plugin.so", "lines");
    assert!(!said.symbols.contains("host"), "{}", said.symbols);
    let errors = all_of(program, errors);
    assert!(errors.lines().count() == 2 && errors.contains(text), "{errors}");
}
