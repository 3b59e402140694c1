//! Keeps web pages away: who may talk to a server that anyone on this machine can reach.
//!
//! Called by `handler` before anything else. A browser on this machine reaches loopback too, on behalf of any
//! page it shows. A page whose own host name resolves to 127.0.0.1 (DNS rebinding) could read a profile; we
//! tell it by its `Host`. Pages elsewhere could start costly profiles without reading them; we tell those by
//! `Origin` and `Sec-Fetch-Site`. curl, `go tool pprof` and scrapers send neither. The port is not compared:
//! behind a port forwarding it differs from ours.
//!
//! Path: *read path*. Pure.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri, Version};

use super::routes::Refusal;

/// Refuses what a web page elsewhere may have sent.
pub(super) fn admit(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && version >= Version::HTTP_11) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "400 Bad Request: one Host header is required"));
    }
    let is_host_local = host.is_none_or(|host| {
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        authority.is_some_and(|authority| is_local(authority.host()))
    });
    if !is_host_local || !uri.host().is_none_or(is_local) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "refused: use an IP address or localhost in the URL (other names could be a web page's)",
        ));
    }
    let is = |name, value| headers.get_all(name).iter().any(|sent| sent == value);
    let is_from_elsewhere = is("sec-fetch-site", "cross-site") || is("sec-fetch-site", "same-site");
    // Following a link to the index is fine; loading a profile as an image or by script is not.
    if headers.contains_key(ORIGIN) || (is_from_elsewhere && !is("sec-fetch-mode", "navigate")) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "refused: sent by a web page of another origin"));
    }
    Ok(())
}

/// True for names that only this machine can give a meaning to: no page can be served under them from outside.
fn is_local(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok()
        || in_brackets.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(target: &str, version: Version, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        admit(&target.parse().unwrap(), version, &map)
            .map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_hosts_of_this_machine_are_admitted() {
        for (host, expected) in [
            ("127.0.0.1:6060", 200),
            ("127.0.0.1", 200),
            ("127.0.0.1:9999", 200),
            ("localhost:6060", 200),
            ("LOCALHOST.", 200),
            ("app.localhost:80", 200),
            ("[::1]:6060", 200),
            ("[::ffff:127.0.0.1]:1", 200),
            ("10.0.0.1:6060", 200),
            ("evil.example:6060", 403),
            ("localhost.evil.example", 403),
            ("evillocalhost", 403),
            ("127.0.0.1.evil.example", 403),
            ("[::1", 403),
            ("", 403),
            ("a b", 403),
        ] {
            assert_eq!(status("/debug/pprof/", Version::HTTP_11, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status("/", Version::HTTP_10, &[]), 200);
        assert_eq!(status("/", Version::HTTP_11, &[]), 400);
        assert_eq!(status("/", Version::HTTP_11, &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status("http://evil.example/", Version::HTTP_11, &[("host", "localhost")]), 403);
        assert_eq!(status("http://localhost:1/", Version::HTTP_11, &[("host", "localhost")]), 200);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for (name, value, mode, expected) in [
            ("origin", "http://evil.example", "cors", 403),
            ("origin", "null", "navigate", 403),
            ("sec-fetch-site", "cross-site", "no-cors", 403),
            ("sec-fetch-site", "same-site", "no-cors", 403),
            ("sec-fetch-site", "cross-site", "navigate", 200),
            ("sec-fetch-site", "same-origin", "navigate", 200),
            ("sec-fetch-site", "none", "navigate", 200),
        ] {
            let headers = [("host", "localhost"), (name, value), ("sec-fetch-mode", mode)];
            assert_eq!(status("/", Version::HTTP_11, &headers), expected, "{name}: {value} {mode}");
        }
    }
}
