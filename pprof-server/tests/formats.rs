//! The table, JSON and folded stacks: what each says of a leak of known size, over a socket.

use pprof_server::alloc_profiler::SamplingAllocator;
use pprof_server::serve;
use serde_json::Value;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use workspace_tests::client::{Reply, get};
use workspace_tests::{check_schema, check_valid, go_tool_pprof, scraper_rules};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

mod leak {
    /// 100 blocks of 10 000 bytes, with a trait, a generic and an inlined function on the way.
    #[inline(never)]
    pub(crate) fn keep<T: Clone + Default>(kept: &mut Vec<Vec<T>>) {
        for _ in 0..100 {
            kept.push(inlined());
        }
    }

    #[inline(always)]
    fn inlined<T: Clone + Default>() -> Vec<T> {
        vec![T::default(); 10_000 / size_of::<T>()]
    }
}

/// One leak at a time: what another test leaks meanwhile would be in the profile.
static LEAKING: Mutex<()> = Mutex::new(());

/// Two leaks, one half as large as the other, and a server that tells of nothing smaller first.
fn with_leaks(ask: impl Fn(&dyn Fn(&str) -> Reply)) {
    let _alone = LEAKING.lock().unwrap_or_else(PoisonError::into_inner);
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let (mut words, mut bytes) = (Vec::with_capacity(1000), Vec::with_capacity(1000));
    for _ in 0..2 {
        leak::keep::<u32>(&mut words);
    }
    leak::keep::<u8>(&mut bytes);
    let server = serve("127.0.0.1:0").expect("a free port");
    ask(&|query| {
        let reply = get(server.local_addr(), &format!("/debug/pprof/{query}"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{query}");
        assert_eq!(reply.header("content-length"), Some(&*reply.body.len().to_string()), "{query}");
        reply
    });
    black_box((words, bytes));
}

/// Returns the rows of a table: each row's line of figures, and its function.
fn rows(table: &str) -> Vec<(&str, &str)> {
    let lines: Vec<&str> = table.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0].starts_with(' ') && pair[0].contains(" % "));
    pairs.map(|pair| (pair[0], pair[1].trim_start())).collect()
}

#[test]
fn the_table_shows_the_leaks_first() {
    with_leaks(|ask| {
        let reply = ask("heap?format=text&top=2");
        let text = reply.text();
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain; charset=utf-8")));
        assert_eq!(reply.header("content-disposition"), None);
        assert!(text.starts_with("In use: "), "{text}");
        let rows = rows(text);
        assert_eq!(rows.len(), 2, "{text}");
        assert!(rows[0].0.contains("1.91 MiB") && rows[0].0.contains(" 200 "), "{text}");
        assert!(rows.iter().all(|(_, function)| function.starts_with("formats::leak::")), "{text}");
        assert!(
            text.contains("tests/formats.rs:") && text.contains("more stacks not shown, with "),
            "{text}"
        );
        // A terminal of 80 columns shows it as it is, notes and all.
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        // Before the interval was 1, one of the few allocations of the time before may have been sampled.
        let totals = pprof_server::alloc_profiler::snapshot().totals();
        let confidence =
            if totals.alloc_bytes_variance == 0.0 { "every allocation recorded" } else { " ± " };
        assert!(text.contains(confidence) && text.contains("profiler memory: "), "{text}");

        assert!(ask("allocs?format=text").text().starts_with("Allocated since the start: "));
        assert!(ask("heap?format=text&sample_index=inuse_objects").text().contains(" objects on "));
        let names = ask("heap?format=text&top=2&symbolize=names");
        assert!(
            names.text().contains("formats::leak::") && !names.text().contains(".rs:"),
            "{}",
            names.text()
        );
        let bare = ask("heap?format=text&top=2&symbolize=none");
        assert!(bare.text().contains("  0x") && !bare.text().contains("leak"), "{}", bare.text());
    });
}

/// What a format tells of two seconds in which a million bytes were leaked and five millions freed.
fn told_of_growth(format: &str) -> Reply {
    let _alone = LEAKING.lock().unwrap_or_else(PoisonError::into_inner);
    pprof_server::alloc_profiler::set_sampling_interval(1);
    let before = vec![1_u8; 5_000_000];
    let server = serve("127.0.0.1:0").unwrap();
    let (address, target) = (server.local_addr(), format!("/debug/pprof/heap?seconds=2&format={format}"));
    let reply = std::thread::spawn(move || get(address, &target));
    std::thread::sleep(Duration::from_secs(1));
    let mut kept = Vec::with_capacity(1000);
    leak::keep::<u16>(&mut kept);
    drop(before);
    let reply = reply.join().unwrap();
    black_box(kept);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

#[test]
fn with_seconds_the_table_shows_what_grew() {
    let reply = told_of_growth("text");
    let (figures, function) = rows(reply.text())[0];
    assert!(reply.text().starts_with("Growth in 2."), "{}", reply.text());
    assert!(figures.contains("977 KiB") && function.starts_with("formats::leak::"), "{}", reply.text());
}

#[test]
fn with_seconds_json_shows_what_shrank_too() {
    let json: Value = serde_json::from_str(told_of_growth("json").text()).unwrap();
    assert_eq!(json["rows"][0]["values"]["inuse_space"], 1_000_000);
    assert!(json["duration_nanos"].as_u64().unwrap() >= 2_000_000_000, "{json}");
    let last = json["rows"].as_array().unwrap().last().unwrap();
    assert_eq!(last["values"]["inuse_space"], -5_000_000, "{json}");
}

#[test]
fn with_seconds_folded_stacks_show_growth_alone() {
    let folded = told_of_growth("folded");
    let first = folded.text().lines().next().unwrap();
    assert!(first.contains("formats::leak::keep") && first.ends_with(" 1000000"), "{first}");
    let is_growth = |line: &str| line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<u64>().is_ok());
    assert!(folded.text().lines().all(is_growth), "{}", folded.text());
}

#[test]
fn json_has_stacks_and_adds_up() {
    with_leaks(|ask| {
        let reply = ask("heap?format=json&top=3");
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        let json: Value = serde_json::from_str(reply.text()).unwrap();
        check_schema("Heap", &json);
        assert_eq!((&json["profile"], &json["ordered_by"]), (&"heap".into(), &"inuse_space".into()));
        assert_eq!((&json["sampling_interval_bytes"], &json["duration_nanos"]), (&1.into(), &Value::Null));
        let rows = json["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 3);
        assert!(json["stacks"].as_u64().unwrap() > 3);
        let expected = serde_json::json!({"alloc_objects": 200, "alloc_space": 2_000_000, "inuse_objects": 200,
            "inuse_space": 2_000_000, "alloc_samples": 200, "inuse_samples": 200});
        assert_eq!(rows[0]["values"], expected);
        for key in
            ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space", "alloc_samples", "inuse_samples"]
        {
            let of = |values: &Value| values[key].as_i64().unwrap();
            let sum: i64 = rows.iter().map(|row| of(&row["values"])).sum();
            assert_eq!(sum + of(&json["other"]), of(&json["total"]), "{key}");
        }
        let stack = rows[0]["stack"].as_array().unwrap();
        let leaf = &stack[0];
        assert!(leaf["function"].as_str().unwrap().starts_with("formats::leak::"), "{leaf}");
        assert!(leaf["file"].as_str().unwrap().ends_with("tests/formats.rs"), "{leaf}");
        assert!(leaf["line"].as_u64().unwrap() > 0 && leaf["is_inlined"].is_boolean(), "{leaf}");
        let allocs: Value = serde_json::from_str(ask("allocs?format=json").text()).unwrap();
        assert_eq!((&allocs["profile"], &allocs["ordered_by"]), (&"allocs".into(), &"alloc_space".into()));
    });
}

#[test]
fn folded_stacks_run_from_root_to_leaf() {
    with_leaks(|ask| {
        let reply = ask("heap?format=folded");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        let values = |text: &str| -> Vec<i64> {
            // As flame graph tools read it: all before the last space is the stack.
            text.lines()
                .map(|line| line.rsplit_once(' ').expect(line))
                .inspect(|(stack, _)| assert!(stack.split(';').all(|frame| !frame.is_empty()), "{stack}"))
                .map(|(_, value)| value.parse().expect(value))
                .collect()
        };
        let first = reply.text().lines().next().unwrap();
        // Names are all that it has: the two differ in their type parameters only.
        assert!(first.ends_with(" 3000000"), "{first}");
        let leaf = first.rsplit_once(' ').unwrap().0.rsplit(';').next().unwrap();
        assert!(leaf.starts_with("formats::leak::"), "{first}");
        assert!(first.contains(";formats::leak::keep"), "{first}");
        assert!(values(reply.text()).is_sorted_by(|a, b| a >= b));

        for (query, least) in [
            ("heap?format=folded&sample=inuse_objects", 300),
            ("heap?format=folded&sample_index=alloc_space", 3_000_000),
            ("allocs?format=folded", 3_000_000),
            ("allocs?format=folded&sample_index=0", 300),
        ] {
            let sum: i64 = values(ask(query).text()).iter().sum();
            assert!(sum >= least, "{query}: {sum}");
        }
        let all = values(reply.text());
        let limited = ask("heap?format=folded&limit=2");
        let lines: Vec<&str> = limited.text().lines().collect();
        assert!(lines.len() == 2 && lines[1].starts_with("[other] "), "{lines:?}");
        assert!(all.len() > 2 && values(limited.text())[0] == all[0], "{lines:?}");
    });
}

#[test]
fn go_reads_every_variant_of_the_profile() {
    with_leaks(|ask| {
        for query in
            ["symbolize=names", "labels=none", "limit=3", "limit=1", "limit=none", "symbolize=none&limit=2"]
        {
            for name in ["heap", "allocs"] {
                let reply = ask(&format!("{name}?{query}"));
                assert_eq!(reply.status, 200, "{query}");
                scraper_rules(&reply.body);
                check_valid(&reply.body);
            }
        }
        let names = ask("heap?symbolize=names").body;
        let top = go_tool_pprof(&["-top"], &names);
        let row = top.lines().skip_while(|line| !line.contains("flat%")).nth(1).unwrap();
        assert!(row.contains("formats::leak::"), "{top}");
        // Names, inlined ones too, and neither files nor lines.
        let raw = go_tool_pprof(&["-raw"], &names);
        assert!(raw.contains("[FN][IN]") && !raw.contains("[FL]"), "{raw}");
        assert!(!raw.contains(".rs:"), "{raw}");
        let limited = go_tool_pprof(&["-top", "-nodefraction=0"], &ask("heap?limit=3").body);
        assert!(limited.contains("[other]") && limited.contains("samples merged under [other]"), "{limited}");
        let first = go_tool_pprof(&["-top"], &ask("heap?sample_index=alloc_objects").body);
        assert!(first.contains("Type: alloc_objects"), "{first}");
    });
}

#[test]
fn what_go_ignores_in_a_query_is_ignored_and_said_and_beside_our_own_an_error() {
    with_leaks(|ask| {
        let said = "request: ignored, as Go does: the parameter \"second\", which is unknown - there are \"seconds\", ";
        let profile = ask("heap?second=30&debug=yes");
        assert_eq!(profile.status, 200);
        let top = go_tool_pprof(&["-top"], &profile.body);
        assert!(top.contains(said) && top.contains("the value of \"debug\", which is no number"), "{top}");
        let text = ask("allocs?second=30&debug=1");
        assert!(text.text().contains(&format!("\n# {said}")), "{}", text.text());
        assert!(!go_tool_pprof(&["-top"], text.text().as_bytes()).is_empty());
        for (query, name) in
            [("heap?ago=1m&mim_age=1h", "mim_age"), ("leaks?tpo=3", "tpo"), ("history?x", "x")]
        {
            let refused = ask(query);
            assert_eq!(refused.status, 400, "{query}");
            let start = format!("the parameter \"{name}\" is unknown - there are ");
            assert!(refused.text().starts_with(&start), "{}", refused.text());
        }
    });
}

#[test]
fn what_is_freed_does_not_fill_the_table_of_what_is_in_use() {
    with_leaks(|ask| {
        let text = ask("heap?format=text&top=1000");
        let rows = rows(text.text());
        let bytes = |row: &str| row.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ");
        assert!(rows.len() > 1 && rows.iter().all(|(row, _)| bytes(row) != "0 B"), "{}", text.text());
        let json: Value = serde_json::from_str(ask("heap?format=json&top=1000").text()).unwrap();
        assert!(
            json["rows"].as_array().unwrap().iter().all(|row| row["values"]["inuse_space"] != 0),
            "{json}"
        );
        let idle = json["idle_stacks"].as_u64().unwrap();
        assert!(idle > 0 && text.text().contains(" with nothing in use.\n"), "{}", text.text());
        // They are there for who asks what was allocated.
        let allocs: Value = serde_json::from_str(ask("allocs?format=json&top=1000").text()).unwrap();
        assert!(allocs["rows"].as_array().unwrap().iter().any(|row| row["values"]["inuse_space"] == 0));
    });
}
