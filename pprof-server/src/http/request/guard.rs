//! The guard decides who may ask: it keeps web pages away from a server that anyone on this machine can reach, and asks
//! for the token.
//!
//! `handler` calls this before anything else. A browser on this machine reaches loopback too, on behalf of any page it
//! shows. A page whose own host name resolves to 127.0.0.1 (DNS rebinding) could read a profile; we tell it by its
//! `Host`. Pages elsewhere could start costly profiles without reading them; we tell those by `Origin` and
//! `Sec-Fetch-Site`. curl, `go tool pprof` and scrapers send neither; our own page sends its origin with what changes
//! something (a mark), and that is the `Host` it asks. The port is not compared with ours: behind a port forwarding it
//! differs.
//!
//! In another program's server, names and tokens are that server's business; pages elsewhere are still refused.
//!
//! Path: *read path*. Pure.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri, Version};

use super::token::Token;
use crate::Error;
use crate::http::refusal::Refusal;

/// What a request must have.
#[derive(Debug)]
pub(crate) struct Guard {
    token: Option<Token>,
    /// Names allowed beside those of this machine, in lower case; `None` allows all.
    hosts: Option<Vec<String>>,
}

impl Guard {
    /// Returns the guard of a server of our own: beside the names of this machine, it admits `hosts`.
    ///
    /// # Errors
    ///
    /// [`Error::Host`] for a name that is none.
    pub(crate) fn of_server(token: Option<Token>, hosts: Vec<String>) -> Result<Guard, Error> {
        Ok(Guard { token, hosts: Some(checked(hosts)?) })
    }

    /// The guard inside a server of the host program, which asks for what it wants: without `hosts`, it admits all.
    ///
    /// # Errors
    ///
    /// [`Error::Host`] for a name that is none.
    pub(crate) fn of_mounted(token: Option<Token>, hosts: Vec<String>) -> Result<Guard, Error> {
        let hosts = if hosts.is_empty() { None } else { Some(checked(hosts)?) };
        Ok(Guard { token, hosts })
    }

    /// A guard that admits any host without a token, and still refuses what a web page of another origin sends.
    pub(crate) const fn open() -> Guard {
        Guard { token: None, hosts: None }
    }

    /// Refuses what a web page elsewhere may have sent, and what lacks the token.
    pub(crate) fn admit(&self, uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(hosts) = &self.hosts {
            admit_host(hosts, uri, version, headers)?;
        }
        let is = |name, value| headers.get_all(name).iter().any(|sent| sent == value);
        let is_from_elsewhere = is("sec-fetch-site", "cross-site") || is("sec-fetch-site", "same-site");
        // Following a link to the index is fine; loading a profile as an image or by script is not.
        if !are_origins_own(uri, headers) || (is_from_elsewhere && !is("sec-fetch-mode", "navigate")) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "refused: sent by a web page of another origin"));
        }
        match &self.token {
            Some(token) if !token.is_in(headers) => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "a token is required: send `Authorization: Bearer TOKEN`, or give pprof \
                 http://pprof:TOKEN@HOST:PORT/debug/pprof/heap",
            )),
            _ => Ok(()),
        }
    }
}

/// The names in lower case, if each of them is one.
fn checked(mut hosts: Vec<String>) -> Result<Vec<String>, Error> {
    for host in &mut hosts {
        host.make_ascii_lowercase();
        if !host.parse::<Authority>().is_ok_and(|authority| authority.host() == *host) {
            return Err(Error::Host { host: std::mem::take(host) });
        }
    }
    Ok(hosts)
}

/// True if no page sent this, or if our own page did: its origin is the very host that it asks, port included. The scheme is
/// not compared, since a proxy may have taken TLS off.
fn are_origins_own(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has the host in the target.
    let host = host.or_else(|| uri.authority().map(Authority::as_str));
    headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some() && authority == host
    })
}

fn admit_host(hosts: &[String], uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_allowed = |host: &str| {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        is_local(host) || hosts.contains(&name)
    };
    let mut sent = headers.get_all(HOST).iter();
    let host = sent.next();
    if sent.next().is_some() || (host.is_none() && version >= Version::HTTP_11) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "400 Bad Request: one Host header is required"));
    }
    let is_host_allowed = host.is_none_or(|host| {
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        authority.is_some_and(|authority| is_allowed(authority.host()))
    });
    if !is_host_allowed || !uri.host().is_none_or(is_allowed) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "refused: use an IP address or localhost in the URL, or allow this name with allow_host() (other names \
             could be a web page's)",
        ));
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
        status_of(&Guard::of_server(None, Vec::new()).unwrap(), target, version, headers)
    }

    fn status_of(guard: &Guard, target: &str, version: Version, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard
            .admit(&target.parse().unwrap(), version, &map)
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

    #[test]
    fn our_own_page_may_ask_for_a_mark() {
        for (host, origin, site, expected) in [
            ("127.0.0.1:6060", "http://127.0.0.1:6060", "same-origin", 200),
            ("[::1]:6060", "http://[::1]:6060", "same-origin", 200),
            ("localhost", "https://localhost", "same-origin", 200),
            ("127.0.0.1:6060", "http://127.0.0.1:6061", "same-site", 403),
            ("127.0.0.1:6060", "http://127.0.0.1:6061", "none", 403),
            ("127.0.0.1:6060", "http://127.0.0.1:60600", "same-origin", 403),
            ("127.0.0.1:6060", "http://localhost:6060", "cross-site", 403),
            ("127.0.0.1:6060", "127.0.0.1:6060", "same-origin", 403),
            ("127.0.0.1:6060", "", "same-origin", 403),
            ("evil.example", "http://evil.example", "same-origin", 403),
        ] {
            let headers =
                [("host", host), ("origin", origin), ("sec-fetch-site", site), ("sec-fetch-mode", "cors")];
            assert_eq!(status("/", Version::HTTP_11, &headers), expected, "{origin} asks {host}, {site}");
        }
        let two = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")];
        assert_eq!(status("/", Version::HTTP_11, &two), 403);
    }

    #[test]
    fn other_names_are_admitted_where_they_were_allowed() {
        let allowed = vec!["Profiles.example.org".to_owned(), "pod-7".to_owned()];
        let guard = Guard::of_server(None, allowed).unwrap();
        for (host, expected) in [
            ("profiles.example.org:6060", 200),
            ("PROFILES.example.org.", 200),
            ("pod-7", 200),
            ("localhost", 200),
            ("other.example.org", 403),
            ("profiles.example.org.evil.example", 403),
        ] {
            assert_eq!(status_of(&guard, "/", Version::HTTP_11, &[("host", host)]), expected, "{host}");
        }
        for bad in ["", "a b", "http://a", "a:1", "a/b"] {
            let error = Guard::of_server(None, vec![bad.to_owned()]).unwrap_err();
            assert!(matches!(error, Error::Host { .. }) && error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn a_token_is_asked_for_last_so_that_a_page_learns_nothing() {
        let guard = Guard::of_server(Some(Token::new("0123456789abcdef".to_owned()).unwrap()), Vec::new());
        let guard = guard.unwrap();
        let right = ("authorization", "Bearer 0123456789abcdef");
        for (headers, expected) in [
            (&[("host", "localhost"), right][..], 200),
            (&[("host", "localhost")], 401),
            (&[("host", "localhost"), ("authorization", "Bearer 0123456789abcdeF")], 401),
            (&[("host", "evil.example"), right], 403),
            (&[("host", "localhost"), right, ("origin", "http://evil.example")], 403),
        ] {
            assert_eq!(status_of(&guard, "/", Version::HTTP_11, headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn mounted_only_pages_of_other_origins_are_refused() {
        let guard = Guard::open();
        assert_eq!(status_of(&guard, "/", Version::HTTP_11, &[("host", "app.example.org")]), 200);
        assert_eq!(status_of(&guard, "/", Version::HTTP_2, &[]), 200);
        let page = [("host", "app.example.org"), ("origin", "http://evil.example")];
        assert_eq!(status_of(&guard, "/", Version::HTTP_11, &page), 403);
        // A host program may ask for more.
        let token = Token::new("0123456789abcdef".to_owned()).unwrap();
        let strict = Guard::of_mounted(Some(token), vec!["app.example.org".to_owned()]).unwrap();
        let right = ("authorization", "Bearer 0123456789abcdef");
        for (headers, expected) in [
            (&[("host", "app.example.org"), right][..], 200),
            (&[("host", "app.example.org")], 401),
            (&[("host", "other.example.org"), right], 403),
        ] {
            assert_eq!(status_of(&strict, "/", Version::HTTP_11, headers), expected, "{headers:?}");
        }
        assert!(Guard::of_mounted(None, vec!["a b".to_owned()]).is_err());
    }
}
