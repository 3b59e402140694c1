//! The files in `docs/fleet`: what they name is served, and the alert rules say what they should.

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use saphyr::{LoadableYamlNode, Yaml};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use workspace_tests::client::get;

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

const ENDPOINTS: &str = include_str!("../../docs/endpoints.md");
/// The names of all metrics begin so.
const KINDS: [&str; 4] = ["alloc_profiler_", "process_", "cgroup_", "pprof_"];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "docs", "fleet"].iter().collect()
}

fn text(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns the names of metrics in this text.
fn metrics(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| KINDS.iter().any(|kind| word.starts_with(kind))).collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_served() {
    let server = serve("127.0.0.1:0").unwrap();
    let reply = get(server.local_addr(), "/metrics");
    let served = metrics(reply.text());
    for file in ["alerts.yaml", "grafana-dashboard.json"] {
        let text = text(file);
        let named = metrics(&text);
        assert!(named.len() >= 10, "{file}: {named:?}");
        for name in named {
            // A limit, and a loss, are served only where there is one.
            let may_be_absent =
                ["cgroup_memory_limit_bytes", "cgroup_memory_usage_bytes", "pprof_loss_ratio"];
            let documented = ENDPOINTS.contains(&format!("`{name}")) && may_be_absent.contains(&name);
            assert!(served.contains(&name) || documented, "{file} names {name}, which is not served");
        }
    }
}

#[test]
fn alert_rules_tell_a_leak_from_what_is_none() {
    let Ok(output) =
        Command::new("promtool").args(["test", "rules", "alerts-test.yaml"]).current_dir(folder()).output()
    else {
        println!("no promtool: the alert rules stay untested (Debian's package prometheus has it)");
        return;
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
    // What the tests expect depends on each part of the rule for leaks.
    let rules = text("alerts.yaml");
    for part in ["> 4 * sqrt(", "> 0.01 * ", "> 0.8 * ("] {
        assert_eq!(rules.matches(part).count(), 1, "{part}");
        let broken = tempfile::tempdir().unwrap();
        let always = part.replace("> ", "> -1e18 + 0 * ");
        fs::write(broken.path().join("alerts.yaml"), rules.replace(part, &always)).unwrap();
        fs::write(broken.path().join("alerts-test.yaml"), text("alerts-test.yaml")).unwrap();
        let mut command = Command::new("promtool");
        command.args(["test", "rules", "alerts-test.yaml"]).current_dir(broken.path());
        let output = command.output().unwrap();
        assert!(!output.status.success(), "no test of the alert rules depends on {part:?}");
    }
}

#[test]
fn manifests_ask_for_paths_that_are_served() {
    let server = serve("127.0.0.1:0").unwrap();
    let mut paths = 0;
    for (file, count) in [
        ("kubernetes-token.yaml", 2),
        ("kubernetes-socket.yaml", 2),
        ("kubernetes-parca.yaml", 5),
        ("kubernetes-collector.yaml", 2),
        ("values-parca.yaml", 1),
        ("values-alloy.yaml", 1),
    ] {
        let text = text(file);
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(documents.len(), count, "{file}");
        for line in text.lines() {
            let Some((key, path)) = line.split_once("path: ").or(line.split_once("path    = ")) else {
                continue;
            };
            let path = path.trim_matches('"');
            // The CPU profile would take its 30 s.
            if path.starts_with('/') && !path.ends_with("/profile") {
                assert_eq!(get(server.local_addr(), path).status, 200, "{file}: {key}: {path}");
                paths += 1;
            }
        }
    }
    assert!(paths >= 10, "{paths}");
}
