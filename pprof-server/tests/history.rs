//! The past over a socket, with real time that passes: differences from moments that nobody had asked about in time,
//! marks, ages, and a leak that is called one.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use pprof_server::Server;
use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::alloc_profiler::{set_sampling_interval, unsampled};
use serde_json::Value;
use workspace_tests::client::{Reply, get, request};
use workspace_tests::{check_schema, check_valid, decode, go_tool_pprof, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

/// Samples that may be missing from what is in use, of a thousand: each lock is waited for one millisecond, and this
/// machine may be busy.
const LOST: i64 = 10;

/// Ages are counted in sixteenths of a second, by a clock that may be 10 ms late.
const TICK: Duration = Duration::from_millis(63 + 11);

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

mod program {
    use super::{KEPT, black_box};

    /// What is there before anything is asked.
    #[inline(never)]
    pub(crate) fn set_up() {
        KEPT.lock().unwrap().push(black_box(vec![1; 3_000_000]));
    }

    /// 100 blocks of 1000 bytes.
    #[inline(never)]
    pub(crate) fn leak() {
        let mut kept = KEPT.lock().unwrap();
        for _ in 0..100 {
            kept.push(black_box(vec![1; 1000]));
        }
    }
}

fn seconds_since_1970() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// A program that has leaked 100 blocks in each of ten seconds while it was recorded, and its server.
struct Past {
    address: SocketAddr,
    /// When the leak began, in seconds since 1970.
    started_seconds: f64,
    /// The times before and after each hundred blocks.
    born: Vec<[Instant; 2]>,
    /// The standard error of what was in use before each allocation was sampled.
    error_of_before: f64,
}

/// This is the only test of the process: all of it needs the same passage of time, and a thread of another test would go on
/// to its next sample by the interval that it started with, whose error is no error of this test's allocations.
#[test]
fn the_past_is_there_without_having_been_asked_for() {
    set_sampling_interval(1);
    // One of the few allocations of the time before may have been sampled.
    let error_of_before = pprof_server::alloc_profiler::snapshot().inuse_standard_error().unwrap_or(0.0);
    // So that it does not grow meanwhile, and is no suspect.
    KEPT.lock().unwrap().reserve(10_000);
    program::set_up();
    let server = Server::builder().record_every(Duration::from_secs(1)).serve("127.0.0.1:0").unwrap();
    let born = Vec::with_capacity(10);
    let mut past = Past { address: server.local_addr(), started_seconds: 0.0, born, error_of_before };
    let mark_reply = past.leak();
    past.is_told_before_there_is_a_verdict();
    past.has_records();
    past.makes_differences();
    past.has_marks(&mark_reply);
    past.makes_profiles();
    past.has_ages();
    past.has_labels_of_ages();

    let top = go_tool_pprof(&["-top"], &past.ask("leaks?format=pprof").body);
    assert!(top.contains("program::leak") && !top.contains("program::set_up"), "{top}");
    without_a_recorder_the_past_says_so();
}

impl Past {
    // What this test allocates to read answers is not the program's.
    fn ask(&self, query: &str) -> Reply {
        unsampled(|| get(self.address, &format!("/debug/pprof/{query}")))
    }

    fn json(&self, query: &str) -> Value {
        let reply = self.ask(query);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{query}");
        unsampled(|| {
            let answer = serde_json::from_str(reply.text()).unwrap();
            let shape = match query.split('?').next() {
                Some("history") => "History",
                Some("leaks") => "Leaks",
                _ => "Heap",
            };
            check_schema(shape, &answer);
            answer
        })
    }

    fn records(&self) -> usize {
        self.json("history")["records"].as_array().unwrap().len()
    }

    /// Leaks for ten seconds, and returns the answer to a mark that is set half-way.
    fn leak(&mut self) -> Reply {
        // A second's worth of leak for each of ten records, half-way between two of them: at the same moment, a record would have
        // this second's leak or not as chance has it, and the leak would look like one that slows down.
        while self.records() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        self.started_seconds = seconds_since_1970();
        let mut mark_reply = None;
        for step in 1..=10_u32 {
            let before = Instant::now();
            program::leak();
            self.born.push([before, Instant::now()]);
            if step == 5 {
                mark_reply = Some(request(self.address, "POST", "/debug/pprof/mark?name=halfway", ""));
            }
            std::thread::sleep((Duration::from_secs(1) * step).saturating_sub(started.elapsed()));
        }
        mark_reply.unwrap()
    }

    fn is_told_before_there_is_a_verdict(&self) {
        // Asked at once, before it looks as if it had stopped, and before there is a verdict.
        let (text, window) = (self.ask("leaks"), self.ask("leaks?window=10m"));
        assert!(text.text().starts_with("Too early: first verdict in "), "{}", text.text());
        assert!(text.text().contains("tests/history.rs:"), "{}", text.text());
        let only = "a window of 10 min was asked for, but only the last ";
        assert!(window.text().contains(only), "{}", window.text());
        let refused = self.ask("leaks?window=yesterday");
        assert_eq!((refused.status, refused.text().contains("from 30s to 24h, such as 10m")), (400, true));
        self.is_first_suspect();
    }

    fn is_first_suspect(&self) {
        // After ten seconds nobody can tell what it is; but it is told first, by how much it grew and since when.
        let leaks = self.json("leaks?format=json");
        let first_verdict = leaks["first_verdict_in_seconds"].as_f64().unwrap();
        assert!((1.0..=19.0).contains(&first_verdict), "{leaks}");
        let suspects = leaks["suspects"].as_array().unwrap();
        let first = &suspects[0];
        assert_eq!((&first["kind"], &first["is_older"]), (&"growing".into(), &false.into()), "{leaks}");
        assert!(first["stack"][0]["function"].as_str().unwrap().ends_with("program::leak"), "{leaks}");
        let an_hour = first["growth_bytes_per_hour"].as_f64().unwrap();
        assert!((an_hour / 360e6 - 1.0).abs() < 0.5, "{an_hour}");
        let since = first["since_nanos"].as_f64().unwrap() / 1e9;
        assert!((since - self.started_seconds).abs() < 2.0, "{since}");
        let is_set_up = |suspect: &&Value| suspect["stack"].to_string().contains("program::set_up");
        assert_eq!(suspects.iter().find(is_set_up), None, "{leaks}");
        // The documents have the words that the server sends.
        let documents = include_str!("../../docs/leaks.md");
        for kind in leaks["kinds"].as_array().unwrap() {
            let [title, meaning, next_step] =
                ["title", "meaning", "next_step"].map(|key| kind[key].as_str().unwrap());
            let row = format!("| {title} | {meaning} | {next_step} |");
            assert!(documents.contains(&row), "docs/leaks.md lacks {row}");
        }
        let ages = leaks["history_ages_seconds"].as_array().unwrap();
        assert_eq!(ages.len(), first["history_inuse_space"].as_array().unwrap().len());
    }

    fn has_records(&self) {
        let history = self.json("history");
        assert_eq!(history["period_seconds"], 1);
        assert!((9..=13).contains(&self.records()), "{history}");
        let in_use: Vec<i64> = history["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["inuse_space"].as_i64().unwrap())
            .collect();
        assert!(in_use.is_sorted() && in_use[0] >= 3_000_000, "{in_use:?}");
        assert!(history["now"]["rss_bytes"].as_u64().unwrap() > 3_000_000, "{history}");
        let error = history["now"]["inuse_space_error_bytes"].as_f64().unwrap();
        assert!(error <= self.error_of_before.round(), "{error}: every allocation is recorded");
        assert_eq!(history["symbols"], "full");
        points_are_moments(&history);
    }

    fn makes_differences(&self) {
        // From the first record to now, all that leaked but the first second's; what was set up is no growth.
        let grown = self.json("heap?ago=10s&format=json");
        let leaked = row(&grown, "program::leak")["values"].clone();
        let objects = leaked["inuse_objects"].as_i64().unwrap();
        assert!((800 - LOST..=1000).contains(&objects), "{leaked}");
        assert_eq!(leaked["inuse_space"].as_i64().unwrap(), objects * 1000);
        assert_eq!(row(&grown, "program::set_up"), Value::Null);
        let span = grown["duration_nanos"].as_u64().unwrap();
        assert!((8_000_000_000..=12_000_000_000).contains(&span), "{span}");

        // A past moment is asked for, and the difference between two of them.
        let then = self.json(&format!("heap?at={:.3}&format=json", self.started_seconds + 4.0));
        let objects_then = row(&then, "program::leak")["values"]["inuse_objects"].as_i64().unwrap();
        assert!((300..=600).contains(&objects_then), "{then}");
        assert_eq!(row(&then, "program::set_up")["values"]["inuse_space"], 3_000_000);
        assert_eq!(then["duration_nanos"], Value::Null);
        let between = format!("since={:.3}&at={:.3}", self.started_seconds + 2.0, self.started_seconds + 4.0);
        let between = self.json(&format!("heap?{between}&format=json"));
        let objects_between = row(&between, "program::leak")["values"]["inuse_objects"].as_i64().unwrap();
        assert!((100..=300).contains(&objects_between), "{between}");
    }

    fn has_marks(&self, reply: &Reply) {
        // A mark is a moment with a name, set once.
        assert_eq!((reply.status, reply.text()), (201, "mark set\n"));
        let again = request(self.address, "POST", "/debug/pprof/mark?name=halfway", "");
        assert_eq!(again.status, 409);
        assert!(again.text().contains("replace=1"), "{}", again.text());
        assert!(self.ask("mark").text().starts_with("halfway  20"), "{}", self.ask("mark").text());
        let since = self.json("heap?since=halfway&format=json");
        let objects_since = row(&since, "program::leak")["values"]["inuse_objects"].as_i64().unwrap();
        assert!((500 - LOST..=500).contains(&objects_since), "{since}");
        let replaced = request(self.address, "POST", "/debug/pprof/mark?name=halfway&replace=1", "");
        assert_eq!(replaced.status, 201);
        let since = self.json("heap?since=halfway&format=json");
        assert_eq!(row(&since, "program::leak"), Value::Null);
    }

    fn makes_profiles(&self) {
        // Profiles of the past are profiles.
        for query in ["heap?ago=5s", "allocs?since=halfway", "heap?ago=8s&at=2999999999"] {
            let reply = self.ask(query);
            if query.contains("2999999999") {
                assert_eq!(reply.status, 404, "the year 2065 is not recorded");
                assert!(
                    reply
                        .text()
                        .contains("nothing is kept of that time. The nearest moment that is kept is 20"),
                    "{}",
                    reply.text()
                );
                assert_eq!(reply.header("x-go-pprof"), Some("1"));
                continue;
            }
            let profile = scraper_rules(&reply.body);
            check_valid(&reply.body);
            assert!(profile.duration_nanos > 0 && profile.time_nanos > 0, "{query}");
        }
        let top = go_tool_pprof(
            &["-top", "-nodefraction=0", "-sample_index=inuse_objects"],
            &self.ask("heap?ago=10s").body,
        );
        assert!(top.contains("history::program::leak"), "{top}");
        assert_eq!(self.ask("heap?since=nobody").status, 404);
        assert_eq!(self.ask("heap?ago=2h").status, 404);
        for query in [
            "heap?ago=5s&seconds=1",
            "heap?at=5&debug=1",
            "heap?min_age=1s&ago=5s",
            "heap?labels=age&seconds=1",
            "heap?ago=5s&since=5",
        ] {
            assert_eq!(self.ask(query).status, 400, "{query}");
        }
    }

    fn has_ages(&self) {
        // What is old, and how old everything is.
        let older_than = |age: Duration, at: Instant, which: usize| -> i64 {
            let is_older = |moments: &&[Instant; 2]| at.saturating_duration_since(moments[which]) >= age;
            100 * self.born.iter().filter(is_older).count() as i64
        };
        let (limit, asked) = (Duration::from_secs(6), Instant::now());
        let old = self.json("heap?min_age=6s&format=json");
        let objects_old = row(&old, "program::leak")["values"]["inuse_objects"].as_i64().unwrap();
        let surely_old = older_than(limit + TICK, asked, 1);
        let perhaps_old = older_than(limit - TICK, Instant::now(), 0);
        assert!(
            (surely_old - LOST..=perhaps_old).contains(&objects_old),
            "{objects_old}: {surely_old} to {perhaps_old}"
        );
        assert_eq!(row(&old, "program::leak")["values"]["alloc_objects"], 1000);
        let asked = Instant::now();
        let now = self.json("heap?format=json");
        let answered = Instant::now();
        let age = &row(&now, "program::leak")["age"];
        let (median, max) = (age["median_seconds"].as_f64().unwrap(), age["max_seconds"].as_f64().unwrap());
        let is_of = |age: f64, group: usize| {
            let youngest = (asked - self.born[group][1]).saturating_sub(TICK).as_secs_f64();
            (youngest..=(answered - self.born[group][0] + TICK).as_secs_f64()).contains(&age)
        };
        assert!(is_of(max, 0) && (is_of(median, 4) || is_of(median, 5)), "{age}");
    }

    fn has_labels_of_ages(&self) {
        let labelled = self.ask("heap?labels=age").body;
        let profile = check_valid_ages(&labelled);
        assert!(
            profile[0] == 3_000_000 && (1_000_000 - 1000 * LOST..=1_000_000).contains(&profile[1]),
            "{profile:?}"
        );
        let focused = go_tool_pprof(
            &["-top", "-nodefraction=0", "-sample_index=inuse_objects", "-tagfocus=age=10s:"],
            &labelled,
        );
        assert!(focused.contains("program::set_up"), "{focused}");
        // pprof puts a frame for each group of ages at the root: 10 s and 1 s.
        let rooted = go_tool_pprof(&["-top", "-cum", "-nodefraction=0", "-tagroot=age"], &labelled);
        assert!(rooted.lines().any(|line| line.trim_end().ends_with(" 10s")), "{rooted}");
        assert!(self.ask("heap?format=text").text().contains("median age    oldest"));
    }
}

/// Returns the row of a profile whose innermost function ends with this name.
fn row(document: &Value, function: &str) -> Value {
    let is_it = |row: &&Value| row["stack"][0]["function"].as_str().unwrap().ends_with(function);
    document["rows"].as_array().unwrap().iter().find(is_it).cloned().unwrap_or_default()
}

/// Points come every second, or less often where one costs more than its share of a core, as on a busy machine. Each has the figures of
/// its moment: what is in use has grown by 100 kB in each second since the point before, give or take the leak of one second.
fn points_are_moments(history: &Value) {
    let column = |name: &str| -> Vec<f64> {
        let figures = history["points"][name].as_array().unwrap();
        figures.iter().map(|figure| figure.as_f64().unwrap_or_else(|| panic!("{name}: {history}"))).collect()
    };
    let times = column("time_seconds");
    assert!((4..=13).contains(&times.len()), "{times:?}");
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // No point had a cost yet by which the second one would have been put off.
    assert!(gaps[0] < 2.0 && gaps.iter().all(|gap| (0.5..5.0).contains(gap)), "{times:?}");
    for name in ["inuse_space", "alloc_space"] {
        let figures = column(name);
        let is_near = |grown: f64, seconds: f64| (grown / 100_000.0 - seconds).abs() <= 1.2;
        let steps = figures.windows(2).zip(&gaps);
        assert!(
            steps.clone().all(|(pair, &gap)| is_near(pair[1] - pair[0], gap)),
            "{name}: {figures:?}, {times:?}"
        );
        let (last, span) = (figures.len() - 1, gaps.iter().sum());
        assert!(is_near(figures[last] - figures[0], span), "{name}: {figures:?}, {times:?}");
    }
    assert!(column("inuse_space_error_bytes").iter().all(|&error| error < 524_288.0 * 2.0));
    assert!(column("rss_bytes").iter().all(|&bytes| bytes > 3e6));
}

/// Bytes in use of `set_up` and of `leak`, over all ages, which the label tells in seconds.
fn check_valid_ages(profile: &[u8]) -> [i64; 2] {
    check_valid(profile);
    let profile = decode(profile);
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let mut sums = [0; 2];
    for sample in &profile.sample {
        let age = sample.label.iter().find(|label| text(label.key_index) == "age");
        if let Some(age) = age {
            assert_eq!(text(age.num_unit_index), "seconds");
            assert!([0, 1, 10, 60, 600].contains(&age.num), "{age:?}");
        }
        // What has no age is not in use.
        assert!(age.is_some() || sample.value[3] == 0, "{sample:?}");
        let location = &profile.location[sample.location_id[0] as usize - 1];
        let function = &profile.function[location.line[0].function_id as usize - 1];
        let name = text(function.name_index);
        let index = ["program::set_up", "program::leak"].iter().position(|wanted| name.ends_with(wanted));
        if let Some(index) = index {
            sums[index] += sample.value[3];
        }
    }
    sums
}

fn without_a_recorder_the_past_says_so() {
    let server = Server::builder().record_every(None).serve("127.0.0.1:0").unwrap();
    let reply = get(server.local_addr(), "/debug/pprof/heap?ago=1m");
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("the recorder is off"), "{}", reply.text());
    assert!(get(server.local_addr(), "/debug/pprof/leaks").text().contains("the recorder is off"));
    let error = Server::builder().record_every(Duration::from_millis(10)).serve("127.0.0.1:0").unwrap_err();
    assert!(error.to_string().contains("a record every 10ms will not do"), "{error}");
}
