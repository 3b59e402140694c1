//! This decides which page a path names, or where a client shall look instead.
//!
//! `routes` calls this. Go's rules hold: a path is cleaned by a redirect, and a folder without its slash is redirected
//! to the one with it. Redirects are relative to the path that was sent, since a proxy may have stripped a prefix.
//!
//! Path: *read path*. Pure.

use std::borrow::Cow;

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::query::escapes_are_whole;
use crate::http::refusal::Refusal;

/// Where the profiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// It stands at `/debug/pprof/`, and nothing elsewhere: this is a server of our own.
    Root,
    /// Below whatever prefix another server's router sends us, which may have been stripped from the path. Such a
    /// router has cleaned the path in its own way, so only its end counts.
    AnyPrefix,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The page of this name, decoded; the index has none.
    Page(String),
    /// The answer leads to this location, which is relative to the path and has the query.
    Redirect(String),
}

/// Finds what `path` leads to. `path` is as it was sent, percent escapes and all.
///
/// # Errors
///
/// The status is the router's: 400 for a broken percent escape, 404 for a path elsewhere.
pub(super) fn destination(
    mount: Mount,
    method: &Method,
    path: &str,
    query: Option<&str>,
) -> Result<Destination, Refusal> {
    if !escapes_are_whole(path) {
        return Err(Refusal::of_router(StatusCode::BAD_REQUEST, "400 Bad Request"));
    }
    match mount {
        Mount::AnyPrefix => Ok(match name_below_any_prefix(path) {
            Some(name) => Destination::Page(name.into_owned()),
            None => Destination::Redirect(with_query("pprof/", query)),
        }),
        Mount::Root => destination_below_root(method, path, query),
    }
}

fn destination_below_root(method: &Method, path: &str, query: Option<&str>) -> Result<Destination, Refusal> {
    let not_found = Refusal::of_router(StatusCode::NOT_FOUND, "404 page not found");
    if !path.starts_with('/') {
        return Err(not_found);
    }
    let clean = clean_path(path);
    let redirect = |to: &str| Ok(Destination::Redirect(with_query(&relative(path, to), query)));
    let name = name_below_debug_pprof(&clean);
    if name == Some(None) && matches!(*method, Method::GET | Method::HEAD) {
        return redirect(&format!("{clean}/"));
    }
    if clean != path && *method != Method::CONNECT {
        return redirect(&clean);
    }
    match name {
        // A path without the slash was redirected above, or its method is refused like that of the index.
        Some(name) => Ok(Destination::Page(name.unwrap_or_default().into_owned())),
        None if clean == "/metrics" => Ok(Destination::Page("metrics".to_owned())),
        None if clean == "/debug/fgprof" => Ok(Destination::Page("fgprof".to_owned())),
        None => Err(not_found),
    }
}

/// What follows `/debug/pprof/`, decoded; `Some(None)` if the slash is missing; `None` for a path elsewhere.
/// Folders are compared one by one after decoding, so an escaped slash does not make a folder.
fn name_below_debug_pprof(path: &str) -> Option<Option<Cow<'_, str>>> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let mut parts = path.splitn(4, '/').skip(1);
    if decoded(parts.next()?) != "debug" || decoded(parts.next()?) != "pprof" {
        return None;
    }
    Some(parts.next().map(decoded))
}

/// The name at the end of a path below a prefix that may have been stripped, decoded: what follows the last
/// `/debug/pprof/`, or the last slash. `None` if the path ends in `/debug/pprof`, whose slash is missing.
fn name_below_any_prefix(path: &str) -> Option<Cow<'_, str>> {
    const FOLDERS: &str = "/debug/pprof";
    let name = match path.rsplit_once("/debug/pprof/") {
        Some((_, name)) => name,
        None if path.ends_with(FOLDERS) => return None,
        None => path.rsplit('/').next().unwrap_or_default(),
    };
    Some(percent_decode_str(name).decode_utf8_lossy())
}

/// The path without empty folders, `.` and `..`; a slash at its end stays.
fn clean_path(path: &str) -> String {
    let mut folders = Vec::new();
    for folder in path.split('/') {
        match folder {
            "" | "." => {}
            ".." => drop(folders.pop()),
            _ => folders.push(folder),
        }
    }
    // Browsers take a backslash for a slash, and `//` at the front of a location for another host.
    let mut clean = format!("/{}", folders.join("/")).replace('\\', "%5C");
    if path.ends_with('/') && !clean.ends_with('/') {
        clean.push('/');
    }
    clean
}

/// The way from the path `from`, as it was sent, to the clean path `to`: a client takes the folder that `from` is in, an
/// empty name in it being a folder as well, and goes on from there (RFC 3986, 5.2).
fn relative(from: &str, to: &str) -> String {
    let mut folders: Vec<&str> = Vec::new();
    let (folder, _) = from.rsplit_once('/').unwrap_or_default();
    for name in folder.split('/').skip(1) {
        match name {
            "." => {}
            ".." => drop(folders.pop()),
            _ => folders.push(name),
        }
    }
    let names: Vec<&str> = to.split('/').skip(1).collect();
    let (_, folders_to) = names.split_last().unwrap_or((&"", &[]));
    let shared = folders.iter().zip(folders_to).take_while(|(one, other)| one == other).count();
    let up = "../".repeat(folders.len() - shared);
    let down = names[shared..].join("/");
    // Without it, nothing at all would be the same path again, and a colon the end of a protocol's name.
    let here = if up.is_empty() && (down.is_empty() || down.contains(':')) { "./" } else { "" };
    format!("{here}{up}{down}")
}

pub(super) fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
