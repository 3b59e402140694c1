//! Which paths and queries lead where.

use super::*;

use super::super::fuzz::resolve;
use crate::encode::ProfileKind;

const RULES: Rules = Rules { mount: Mount::Root, max_delta: Duration::from_secs(300) };

fn get(target: &str) -> Decision {
    get_by(RULES, target)
}

fn get_by(rules: Rules, target: &str) -> Decision {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    decide(rules, &Method::GET, path, query)
}

fn request(target: &str) -> ProfileRequest {
    match get(target) {
        Decision::Profile(request) => request,
        other => panic!("{target}: {other:?}"),
    }
}

fn refusal(target: &str) -> Refusal {
    match get(target) {
        Decision::Refuse(refusal) => refusal,
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn paths_lead_to_pages() {
    assert_eq!(get("/debug/pprof/"), Decision::Index);
    assert_eq!(get("/debug/pprof/?debug=1"), Decision::Index);
    assert_eq!(get("/debug/pprof/ui.js"), Decision::Asset(Asset::Script));
    assert_eq!(get("/debug/pprof/ui.css?v=1"), Decision::Asset(Asset::Style));
    assert_eq!(get("/debug/pprof/symbol"), Decision::Symbol);
    assert_eq!(get("/debug/pprof/cmdline?seconds=0"), Decision::Cmdline);
    assert_eq!(request("/debug/pprof/heap").options.kind, ProfileKind::Heap);
    assert_eq!(request("/debug/pprof/%68eap").options.kind, ProfileKind::Heap);
    assert_eq!(request("/%64ebug/pprof/allocs").options.kind, ProfileKind::Allocs);
}

#[test]
fn paths_are_cleaned_by_redirect() {
    for (target, location) in [
        ("/debug/pprof", "/debug/pprof/"),
        ("/debug/pprof?x=1", "/debug/pprof/?x=1"),
        ("//heap", "/heap"),
        ("/debug//pprof/heap?debug=1", "/debug/pprof/heap?debug=1"),
        ("/debug/pprof//heap", "/debug/pprof/heap"),
        ("/debug/pprof/../pprof/heap", "/debug/pprof/heap"),
        ("/debug/./pprof/", "/debug/pprof/"),
        ("/debug/pprof//", "/debug/pprof/"),
        ("/debug/pprof/.", "/debug/pprof/"),
        ("/..", "/"),
        ("//\\\\evil.example", "/%5C%5Cevil.example"),
        ("///evil.example/..//x", "/x"),
        ("//evil:80", "/evil:80"),
        ("/x/../evil:80", "/evil:80"),
        ("/debug/pprof/heap/..", "/debug/pprof/"),
        ("/debug/pprof//../heap", "/debug/heap"),
    ] {
        let Decision::Redirect(to) = get(target) else { panic!("{target} is no redirect") };
        let path = target.split('?').next().unwrap();
        assert_eq!(resolve(path, &to), location, "{target}: {to}");
        // A proxy that strips a prefix is passed by the client once more.
        let to = resolve(&format!("/app{path}"), &to);
        assert_eq!(to, format!("/app{location}"), "{target}");
    }
    assert_eq!(get("/debug/pprof"), Decision::Redirect("pprof/".to_owned()));
}

#[test]
fn names_are_exact() {
    for name in ["Heap", "heap/", "heap/x", "HEAP", "nope", "nope?seconds=0", "%3Cscript%3E", "symbol/"] {
        let refusal = refusal(&format!("/debug/pprof/{name}"));
        assert_eq!(refusal, Refusal::new(StatusCode::NOT_FOUND, "Unknown profile"), "{name}");
    }
    for path in ["/", "/heap", "/debug/", "/debug", "/Debug/pprof/", "/debug%2fpprof/heap", "/debug/pprof2/"]
    {
        let refusal = refusal(path);
        assert_eq!((refusal.status, &*refusal.text), (StatusCode::NOT_FOUND, "404 page not found"), "{path}");
        assert!(!refusal.is_for_pprof, "{path}");
    }
    assert_eq!(refusal("/debug/pprof/%zz").status, StatusCode::BAD_REQUEST);
    assert_eq!(refusal("*").status, StatusCode::NOT_FOUND);
}

#[test]
fn the_method_is_decided_before_the_name() {
    for (method, path, allow) in [
        (Method::POST, "/debug/pprof/heap", "GET, HEAD"),
        (Method::POST, "/debug/pprof/nope", "GET, HEAD"),
        (Method::POST, "/debug/pprof/", "GET, HEAD"),
        (Method::DELETE, "/debug/pprof/symbol", "GET, HEAD, POST"),
        (Method::OPTIONS, "/debug/pprof/allocs", "GET, HEAD"),
    ] {
        let Decision::Refuse(refusal) = decide(RULES, &method, path, None) else { panic!("{method} {path}") };
        assert_eq!((refusal.status, refusal.allow), (StatusCode::METHOD_NOT_ALLOWED, Some(allow)), "{path}");
    }
    assert_eq!(decide(RULES, &Method::POST, "/debug/pprof/symbol", None), Decision::Symbol);
    assert_eq!(decide(RULES, &Method::HEAD, "/debug/pprof/", None), Decision::Index);
    let Decision::Refuse(refusal) = decide(RULES, &Method::POST, "/nope", None) else { panic!() };
    assert_eq!(refusal.status, StatusCode::NOT_FOUND);
}

#[test]
fn metrics_are_beside_the_profiles_and_where_prometheus_looks() {
    for path in ["/metrics", "/debug/pprof/metrics"] {
        assert_eq!(get(path), Decision::Metrics { with_malloc: false });
        assert_eq!(get(&format!("{path}?malloc=1")), Decision::Metrics { with_malloc: true });
        assert_eq!(refusal(&format!("{path}?malloc=yes")).status, StatusCode::BAD_REQUEST);
        let Decision::Refuse(refusal) = decide(RULES, &Method::POST, path, None) else { panic!() };
        assert_eq!(refusal.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(get("//metrics"), Decision::Redirect("../metrics".to_owned()));
    assert_eq!(refusal("/metrics/").status, StatusCode::NOT_FOUND);
}

#[test]
fn time_that_passes_is_where_scrapers_look_for_it() {
    for path in ["/debug/fgprof", "/debug/pprof/fgprof"] {
        assert!(matches!(get(path), Decision::Wall(_)), "{path}");
        assert_eq!(refusal(&format!("{path}?seconds=0")).status, StatusCode::BAD_REQUEST);
    }
    let rules = Rules { mount: Mount::AnyPrefix, ..RULES };
    assert!(matches!(get_by(rules, "/admin/debug/fgprof"), Decision::Wall(_)));
    assert_eq!(refusal("/fgprof").status, StatusCode::NOT_FOUND);
}

#[test]
fn below_any_prefix_only_the_end_of_the_path_counts() {
    let rules = Rules { mount: Mount::AnyPrefix, ..RULES };
    for path in ["", "/", "/debug/pprof/", "/admin/debug/pprof/", "/admin/"] {
        assert_eq!(get_by(rules, path), Decision::Index, "{path}");
    }
    for path in [
        "/heap",
        "heap",
        "/debug/pprof/heap",
        "/debug/pprof/%68eap",
        "/admin/heap",
        "/admin/debug/pprof/heap",
        "//x/../heap",
    ] {
        assert_eq!(get_by(rules, path), get("/debug/pprof/heap"), "{path}");
    }
    for path in ["/debug/pprof", "/admin/debug/pprof"] {
        assert_eq!(get_by(rules, path), Decision::Redirect("pprof/".to_owned()), "{path}");
    }
    assert_eq!(get_by(rules, "/debug/pprof?a=b"), Decision::Redirect("pprof/?a=b".to_owned()));
    for path in ["/debug/pprof/heap/", "/debug/pprof/x/heap", "/nope", "/..", "/heap%2f", "*"] {
        assert_eq!(get_by(rules, path), get("/debug/pprof/nope"), "{path}");
    }
    let posted = decide(rules, &Method::POST, "/heap", None);
    assert_eq!(posted, decide(RULES, &Method::POST, "/debug/pprof/heap", None));
}
