//! The configurations in `docs/continuous-profiling.md`: they parse, what they ask for is served, and what is not
//! served is switched off.

use pprof_server::serve;
use saphyr::{LoadableYamlNode, Yaml};
use workspace_tests::client::get;
use workspace_tests::scraper_rules;

const PAGE: &str = include_str!("../../docs/continuous-profiling.md");
/// Profiles that are empty unless the program measures waits for locks.
const OF_LOCKS: [&str; 2] = ["block", "mutex"];

/// Returns the blocks of the page in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = PAGE.split(fence.as_str()).skip(1);
    blocks.map(|rest| rest.split_once("```").expect("the block ends").0).collect()
}

/// Returns all documents in YAML, each with its text.
fn documents() -> Vec<(&'static str, Yaml<'static>)> {
    let documents: Vec<_> = blocks("yaml")
        .into_iter()
        .map(|block| {
            let mut documents = Yaml::load_from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
            assert_eq!(documents.len(), 1, "{block}");
            (block, documents.remove(0))
        })
        .collect();
    assert_eq!(
        documents.len(),
        5,
        "Parca, Pyroscope, the Collector that takes profiles and that which asks for them, Kubernetes"
    );
    documents
}

/// Follows these keys, and returns the value at their end.
fn at<'y>(document: &'y Yaml<'static>, keys: &[&str]) -> Option<&'y Yaml<'static>> {
    keys.iter().try_fold(document, |value, key| match key.parse::<usize>() {
        Ok(index) => value.as_sequence_get(index),
        Err(_) => value.as_mapping_get(key),
    })
}

#[test]
fn every_path_is_served() {
    let server = serve("127.0.0.1:0").unwrap();
    let texts = blocks("yaml").into_iter().chain(blocks("alloy")).chain(blocks("sh"));
    let paths: Vec<&str> = texts
        .flat_map(|text| text.match_indices("/debug/pprof/").map(move |(place, _)| &text[place..]))
        .map(|rest| rest.split(['"', '\n', '\'', ' ']).next().unwrap())
        .collect();
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        let reply = get(server.local_addr(), path);
        assert_eq!(reply.status, 200, "{path}");
        scraper_rules(&reply.body);
    }
}

#[test]
fn parca_scrapes_memory_and_cpu_time() {
    let documents = documents();
    let parca = documents.iter().find(|(_, document)| at(document, &["scrape_configs"]).is_some());
    let jobs = at(&parca.unwrap().1, &["scrape_configs", "0", "profiling_config", "pprof_config"]).unwrap();
    assert_eq!(at(jobs, &["memory", "enabled"]).and_then(Yaml::as_bool), Some(true));
    assert_eq!(at(jobs, &["memory", "path"]).and_then(Yaml::as_str), Some("/debug/pprof/allocs"));
    assert_eq!(at(jobs, &["process_cpu", "enabled"]).and_then(Yaml::as_bool), Some(true));
    // Where this is left out, Parca asks for no time, and gives up before the 30 s are over that it then gets.
    assert_eq!(at(jobs, &["process_cpu", "delta"]).and_then(Yaml::as_bool), Some(true));
    assert_eq!(at(jobs, &["goroutine", "enabled"]).and_then(Yaml::as_bool), Some(true));
    for job in OF_LOCKS {
        assert_eq!(at(jobs, &[job, "enabled"]).and_then(Yaml::as_bool), Some(true), "{job}");
    }
}

#[test]
fn alloy_scrapes_memory_and_cpu_time() {
    let alloy = blocks("alloy");
    let [block] = alloy[..] else { panic!("there is one") };
    assert_eq!(block.matches('{').count(), block.matches('}').count());
    let body = |profile: &str| {
        let (_, rest) =
            block.split_once(&format!("profile.{profile} {{")).unwrap_or_else(|| panic!("{profile}"));
        rest.split_once('}').unwrap().0
    };
    assert!(body("memory").contains("enabled = true") && body("process_cpu").contains("enabled = true"));
    assert!(body("goroutine").contains("enabled = true"));
    for profile in OF_LOCKS {
        assert!(body(profile).contains("enabled = true"), "{profile}");
    }
}

#[test]
fn the_collector_and_kubernetes_ask_for_what_they_can_have() {
    let documents = documents();
    let find =
        |keys: &[&str]| documents.iter().find_map(|(_, document)| at(document, keys)).and_then(Yaml::as_str);
    let endpoint = find(&["receivers", "pprof", "remote", "endpoint"]).expect("the collector's");
    assert!(endpoint.ends_with("/debug/pprof/allocs"), "{endpoint}");
    // To what is pushed by OTLP.
    let endpoint = find(&["receivers", "otlp", "protocols", "http", "endpoint"]).expect("the Collector's");
    assert!(PAGE.contains(&format!("Push::builder(\"http://{endpoint}\").otlp()")), "{endpoint}");
    let annotation = |name: &str| find(&["spec", "template", "metadata", "annotations", name]);
    assert_eq!(annotation("profiles.grafana.com/memory.path"), Some("/debug/pprof/allocs"));
    // Text, as Kubernetes demands of annotations.
    assert_eq!(annotation("profiles.grafana.com/memory.port"), Some("6060"));
    assert_eq!(annotation("profiles.grafana.com/memory.scrape"), Some("true"));
    let environment =
        |index: &str, key| find(&["spec", "template", "spec", "containers", "0", "env", index, key]);
    assert_eq!(environment("0", "name"), Some("PPROF_ADDR"));
    assert_eq!(environment("1", "name"), Some("PPROF_ALLOW_REMOTE"));
    assert_eq!(environment("2", "name"), Some("PPROF_TOKEN"));
}
