//! The page at `/debug/pprof/`: which profiles there are, and how the profiler is doing.
//!
//! Called by `handler`. Structure and wording follow Go's page, so that tools and eyes used to it find their
//! way; what Go has no equal for stands in one paragraph below. Above it `ui.js` puts the time line, the table and
//! the flame graph, where a browser runs scripts. Links are relative: the page works behind any prefix.
//!
//! Path: *read path*.

use std::fmt::Write;

use alloc_profiler::{Dropped, Snapshot};

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>/debug/pprof/</title>
<link rel=\"icon\" href=\"data:,\">
<link rel=\"stylesheet\" href=\"ui.css\">
<style>
.profile-name{
	display:inline-block;
	width:6rem;
}
</style>
<script src=\"ui.js\" defer></script>
</head>
<body>
<div id=\"app\"></div>
<footer>
<details id=\"profiles\" open>
<summary>All profiles</summary>
/debug/pprof/
<br>
<p>Set debug=1 as a query parameter to export in legacy text format</p>
<br>
Types of profiles available:
<table>
<thead><td>Count</td><td>Profile</td></thead>
";

/// Stands in a page whose place is unknown and may lack its slash, on which its relative links depend. Only browsers
/// follow those.
const ADD_SLASH: &str = "<script>
if (!location.pathname.endsWith('/')) location.replace(location.pathname + '/' + location.search + location.hash);
</script>
";

/// The page's `Content-Security-Policy`: it may load our own files and ask this server, and nothing else. The digest is
/// that of the style in `HEAD`, as a test makes sure.
const POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-4u6BBeXxRCRArzqSeV5R272AFCwrrcJBI17QR6C2p10='; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same with [`ADD_SLASH`].
const POLICY_WITH_ADD_SLASH: &str = "default-src 'none'; \
    script-src 'self' 'sha256-+qbTM+WKsvcr2qDgYdbAUjKM7ue345JztRoQUqICoxE='; \
    style-src 'self' 'sha256-4u6BBeXxRCRArzqSeV5R272AFCwrrcJBI17QR6C2p10='; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const TAIL: &str = "<br>
<p>
Profile Descriptions:
<ul>
<li><div class=profile-name>allocs: </div> A sampling of all past memory allocations</li>
<li><div class=profile-name>heap: </div> A sampling of memory allocations of live objects. \
Set seconds=N to see what changes in the next N seconds instead, gc=1 to give free pages back to the system first, \
min_age=10m to see what is older and still there, format=text, folded or json for a table, a flame graph or a program.</li>
<li><div class=profile-name>leaks: </div> Which stacks leak, the surest first, told from caches, bursts and queues. \
Set format=json, or format=pprof for a profile of these stacks.</li>
<li><div class=profile-name>history: </div> What was recorded once in a while, as JSON: heap?ago=10m, heap?since=TIME and \
heap?at=TIME look back at it.</li>
<li><div class=profile-name>mark: </div> Marks set; POST mark?name=NAME sets one, and heap?since=NAME looks back at it.</li>
<li><div class=profile-name>delta_heap: </div> What was allocated since this client's last call, and what is in use. \
Set client=NAME to keep several readers apart.</li>
<li><div class=profile-name>metrics: </div> The profiler's figures and the process's, for Prometheus; also at /metrics. \
Set malloc=1 to tell a leak from what the allocator keeps.</li>
<li><div class=profile-name>symbol: </div> Maps given program counters to function names. Counters can be \
specified in a GET raw query or POST body, multiple counters are separated by '+'.</li>
</ul>
</p>
</details>
</footer>
</body>
</html>";

/// What the browser is told that the page may do.
pub(crate) fn policy(is_place_unknown: bool) -> &'static str {
    if is_place_unknown { POLICY_WITH_ADD_SLASH } else { POLICY }
}

/// The page. Nothing in it comes from a request.
pub(crate) fn page(snapshot: &Snapshot, is_installed: bool, is_place_unknown: bool) -> String {
    // Before the page asks for its files at the wrong place.
    let mut page = if is_place_unknown {
        HEAD.replacen("<link", &format!("{ADD_SLASH}<link"), 1)
    } else {
        HEAD.to_owned()
    };
    let buckets =
        snapshot.stacks.iter().map(|stack| stack.by_size.len()).sum::<usize>() + snapshot.overflow.len();
    for (name, count) in [("allocs", buckets), ("heap", buckets), ("symbol", 0)] {
        let _ = writeln!(page, "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>");
    }
    // Where Go links to the full goroutine stack dump.
    page.push_str(
        "</table>\n<a href=\"heap?format=text&amp;top=50\">what is in use, as a table</a>\n<br>\n<p>\n",
    );
    if !is_installed {
        page.push_str(
            "<b>No SamplingAllocator is the global allocator of this program, so its profiles are empty.</b> \
             Write pprof_server::install!() in main.\n<br>\n",
        );
    }
    page.push_str(&match snapshot.sampling_interval {
        0 => "Sampling is off.\n".to_owned(),
        1 => "Every allocation is recorded (sampling interval: 1 byte).\n".to_owned(),
        bytes => format!("Sampling interval: one sample in {bytes} bytes allocated, on average.\n"),
    });
    let own = snapshot.own_memory;
    let _ = writeln!(
        page,
        "<br>\nLive samples: {} on {} stacks.\n<br>\nThe profiler's own memory: {} of at most {} bytes.\n<br>\n{}\n</p>",
        own.live_samples,
        own.stacks,
        own.mapped_bytes,
        own.limit_bytes,
        dropped(snapshot.dropped),
    );
    page.push_str(TAIL);
    page
}

/// Which samples were lost or cut, if any were.
fn dropped(dropped: Dropped) -> String {
    let reasons = [
        (dropped.stacks_full, "counted as overflow: too many stacks"),
        (dropped.live_full, "missing from in-use: too many live samples"),
        (dropped.live_busy, "missing from in-use: table busy"),
        (dropped.missed_removals, "possibly still counted after free"),
        (dropped.low_stack, "without a stack: too little of the thread's own was left"),
        (dropped.truncated_stacks, "with a stack too deep to keep whole"),
        (dropped.cut_stacks, "with a stack that ends at a function without unwind tables"),
        (dropped.no_stack, "without a stack: none could be taken"),
        (dropped.replaced_records, "missing from in-use: another block lies at the same address"),
    ];
    let counted: Vec<String> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    if counted.is_empty() {
        "Samples dropped: none.".to_owned()
    } else {
        format!("Samples {}.", counted.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_profiler::{SizeTotals, StackTotals};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    #[test]
    fn counts_are_buckets_and_losses_are_named() {
        let size = |size_class| SizeTotals { size_class, ..SizeTotals::default() };
        let mut snapshot = Snapshot {
            stacks: vec![StackTotals { by_size: vec![size(16), size(32)], ..StackTotals::default() }],
            overflow: vec![size(64)],
            sampling_interval: 524288,
            ..alloc_profiler::snapshot()
        };
        let html = page(&snapshot, true, false);
        assert!(html.contains("<tr><td>3</td><td><a href='heap?debug=1'>heap</a></td></tr>"), "{html}");
        assert!(html.contains("<tr><td>3</td><td><a href='allocs?debug=1'>allocs</a></td></tr>"), "{html}");
        assert!(html.contains("one sample in 524288 bytes"), "{html}");
        assert!(html.contains("Samples dropped: none."), "{html}");
        assert!(!html.contains("No SamplingAllocator"), "{html}");

        snapshot.dropped.live_full = 7;
        snapshot.sampling_interval = 0;
        let html = page(&snapshot, false, true);
        assert!(html.contains("Samples 7 missing from in-use: too many live samples."), "{html}");
        assert!(html.contains("Sampling is off."), "{html}");
        assert!(html.contains("No SamplingAllocator"), "{html}");
    }
    /// A policy that forbids what the page has would leave it bare, and only browsers would notice.
    #[test]
    fn the_policy_allows_what_stands_in_the_page_and_no_more() {
        for is_place_unknown in [false, true] {
            let html = page(&alloc_profiler::snapshot(), true, is_place_unknown);
            let policy = policy(is_place_unknown);
            let mut digests = 0;
            for tag in ["style", "script"] {
                for inline in html.split(&format!("<{tag}>")).skip(1) {
                    let text = inline.split("</").next().unwrap();
                    let digest = STANDARD.encode(Sha256::digest(text));
                    let source =
                        policy.split(&format!("{tag}-src ")).nth(1).unwrap().split(';').next().unwrap();
                    assert!(
                        source.contains(&format!("'sha256-{digest}'")),
                        "{tag}: {digest} not in {policy}"
                    );
                    digests += 1;
                }
            }
            assert_eq!(policy.matches("sha256-").count(), digests, "{policy}");
            assert_eq!(digests, if is_place_unknown { 2 } else { 1 });
            assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        }
    }
}
