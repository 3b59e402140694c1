//! The page at `/debug/pprof/` tells which profiles there are, and how the profiler is doing.
//!
//! Structure and wording follow Go's page, so that tools and eyes used to it find their way; what Go has no equal for
//! stands in one paragraph below. Above it `ui.js` puts the time line, the table and the flame graph, where a browser
//! runs scripts. Links are relative: the page works behind any prefix.
//!
//! Path: *read path*.

use std::fmt::Write;

use alloc_profiler::{Dropped, Snapshot};

use super::drops;
use crate::http::request::routes::described;

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

/// What adds the slash at the end of the page's address, on which its relative links depend. It stands only in a page whose
/// address may lack it. A script will do, since only browsers follow those links.
const ADD_SLASH: &str = "<script>
if (!location.pathname.endsWith('/')) location.replace(location.pathname + '/' + location.search + location.hash);
</script>
";

/// The page's `Content-Security-Policy`: it may load our own files and ask this server, and nothing else. The digest is
/// that of the style in `HEAD`, as a test makes sure.
const POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-4u6BBeXxRCRArzqSeV5R272AFCwrrcJBI17QR6C2p10='; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Allows the same, and [`ADD_SLASH`] too.
const POLICY_WITH_ADD_SLASH: &str = "default-src 'none'; \
    script-src 'self' 'sha256-+qbTM+WKsvcr2qDgYdbAUjKM7ue345JztRoQUqICoxE='; \
    style-src 'self' 'sha256-4u6BBeXxRCRArzqSeV5R272AFCwrrcJBI17QR6C2p10='; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const DESCRIPTIONS: &str = "<br>
<p>
Profile Descriptions:
<ul>
";

const TAIL: &str = "</ul>
</p>
</details>
</footer>
</body>
</html>";

/// The policy that tells the browser what the page may do.
pub(crate) fn policy(may_lack_slash: bool) -> &'static str {
    if may_lack_slash { POLICY_WITH_ADD_SLASH } else { POLICY }
}

/// Returns the page. Nothing in it comes from a request.
pub(crate) fn page(snapshot: &Snapshot, is_installed: bool, may_lack_slash: bool) -> String {
    // The script stands before the page asks for its files at the wrong place.
    let mut page = if may_lack_slash {
        HEAD.replacen("<link", &format!("{ADD_SLASH}<link"), 1)
    } else {
        HEAD.to_owned()
    };
    let buckets =
        snapshot.stacks.iter().map(|stack| stack.by_size.len()).sum::<usize>() + snapshot.overflow.len();
    for (name, count) in [("allocs", buckets), ("heap", buckets), ("symbol", 0)] {
        let _ = writeln!(page, "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>");
    }
    // Go links to the full goroutine stack dump here.
    page.push_str(
        "</table>\n<a href=\"heap?format=text&amp;top=50\">what is in use, as a table</a>\n\
         · <a href=\"leaks\">what leaks</a>\n\
         · <a href=\"history\">the time line</a>\n\
         · <a href=\"mark\">marks</a>\n\
         · <a href=\"metrics\">metrics</a>\n<br>\n<p>\n",
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
    page.push_str(DESCRIPTIONS);
    for (name, description) in described() {
        let _ = writeln!(page, "<li><div class=profile-name>{name}: </div> {description}</li>");
    }
    page.push_str(TAIL);
    page
}

/// Which samples were dropped or cut, if any were.
fn dropped(dropped: Dropped) -> String {
    let counted: Vec<String> = drops::by_reason(dropped)
        .iter()
        .filter(|drops| drops.count > 0)
        .map(|drops| format!("{} {}", drops.count, drops.meaning))
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
    use alloc_profiler::internal::literal;
    use alloc_profiler::{SizeTotals, StackTotals};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    #[test]
    fn counts_are_buckets_and_losses_are_named() {
        let size = |size_class| literal!(SizeTotals { size_class, ..SizeTotals::default() });
        let mut snapshot = literal!(Snapshot {
            stacks: vec![literal!(StackTotals {
                by_size: vec![size(16), size(32)],
                ..StackTotals::default()
            })],
            overflow: vec![size(64)],
            sampling_interval: 524288,
            ..alloc_profiler::snapshot()
        });
        let html = page(&snapshot, true, false);
        assert!(html.contains("<tr><td>3</td><td><a href='heap?debug=1'>heap</a></td></tr>"), "{html}");
        assert!(html.contains("<tr><td>3</td><td><a href='allocs?debug=1'>allocs</a></td></tr>"), "{html}");
        for page in ["leaks", "history", "mark", "metrics"] {
            assert!(html.contains(&format!("<a href=\"{page}\">")), "{page}: {html}");
        }
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
        for may_lack_slash in [false, true] {
            let html = page(&alloc_profiler::snapshot(), true, may_lack_slash);
            let policy = policy(may_lack_slash);
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
            assert_eq!(digests, if may_lack_slash { 2 } else { 1 });
            assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
        }
    }
}
