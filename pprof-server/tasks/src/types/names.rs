//! What the author of an `async fn` would call it.

/// Makes `my_service::reader` of the name that linkers know the function by. `own` is the name of the future's type.
pub(super) fn by_linkage_name(linkage: &str, own: &str) -> Option<String> {
    let name = format!("{:#}", rustc_demangle::try_demangle(linkage).ok()?);
    let (outer, last) = name.rsplit_once("::")?;
    if !last.starts_with('{') {
        return None;
    }
    Some(of_future(&without_arguments(outer), own))
}

/// Leaves out generic arguments, of which only one of Rust's two manglings tells the values. What an `impl` of a trait is for, it keeps.
fn without_arguments(name: &str) -> String {
    if name.contains(" as ") {
        return name.to_owned();
    }
    let name = match name.strip_prefix('<').and_then(|rest| rest.rsplit_once(">::")) {
        Some((of, method)) => &format!("{of}::{method}"),
        None => name,
    };
    let (mut plain, mut depth, mut before) = (String::new(), 0_usize, ' ');
    for sign in name.chars() {
        match sign {
            '<' => depth += 1,
            '>' if before != '-' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(sign),
            _ => {}
        }
        before = sign;
    }
    plain.replace("::::", "::").trim_end_matches("::").to_owned()
}

/// Makes the same of a path of namespaces, such as `my_service::{impl#3}::reader::{async_fn_env#0}<u64>`.
pub(super) fn by_path(path: &str, own: &str) -> String {
    let outer = path.strip_suffix(own).unwrap_or(path);
    let parts = outer.split("::").filter(|part| !part.starts_with("{impl#") && !part.is_empty());
    of_future(&parts.collect::<Vec<_>>().join("::"), own)
}

/// Makes `my_service::reader` of `my_service::reader::{async_fn_env#0}<u64>`. Names of other types stay as they are.
pub(super) fn readable(name: &str) -> String {
    let path = name.split('<').next().unwrap_or(name);
    match path.rfind("::{async_") {
        Some(at) if !path[at + 2..].contains("::") => by_path(name, &name[at + 2..]),
        _ => name.to_owned(),
    }
}

/// The future of an `async fn` is called what the function is called. Blocks and closures have no name but a number.
fn of_future(outer: &str, own: &str) -> String {
    match own.split_once("_env#") {
        Some(("{async_fn", _)) | None => outer.to_owned(),
        Some((kind, rest)) => {
            let number = rest.split('}').next().unwrap_or_default();
            // The function around it is itself one that makes a future.
            let ends = ["::{{closure}}", "::{closure#0}", "::{async_fn#0}"];
            let outer = ends.iter().find_map(|end| outer.strip_suffix(end)).unwrap_or(outer);
            format!("{outer}::{kind}#{number}}}")
        }
    }
}

/// Returns the first generic argument in a name: `a::b<c>` of `poll<a::b<c>, d>`.
pub(super) fn first_argument(name: &str) -> Option<&str> {
    let start = name.find('<')? + 1;
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, sign) in name[start..].char_indices() {
        match sign {
            ',' if depth == 0 => return Some(&name[start..start + at]),
            // The arrow of a function type is no bracket.
            '>' if before == '-' => {}
            '>' | ')' | ']' | '}' if depth == 0 => return Some(&name[start..start + at]),
            '<' | '(' | '[' | '{' => depth += 1,
            '>' | ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        before = sign;
    }
    None
}

/// Names are cut to so many bytes.
const MAX_SHORT_BYTES: usize = 100;
/// Arguments that nobody writes, since they are those that a type has unless told otherwise.
const USUAL_ARGUMENTS: [&str; 3] = [
    ", alloc::alloc::Global",
    ", std::hash::random::RandomState",
    ", std::collections::hash::map::RandomState",
];
/// The types of these crates are known by their names alone.
const STANDARD: [&str; 4] = ["alloc", "core", "std", "hashbrown"];

/// Makes `Mutex<Vec<shop::Session>>` of `std::sync::poison::mutex::Mutex<alloc::vec::Vec<shop::Session, alloc::alloc::Global>>`.
pub(crate) fn short(name: &str) -> String {
    let mut name = name.to_owned();
    USUAL_ARGUMENTS.iter().for_each(|usual| name = name.replace(usual, ""));
    let is_part = |sign: char| sign.is_alphanumeric() || matches!(sign, '_' | ':' | '{' | '}' | '#');
    let (mut text, mut rest) = (String::new(), &name[..]);
    while let Some(start) = rest.find(is_part) {
        let (between, path) = rest.split_at(start);
        let (path, after) = path.split_at(path.find(|sign| !is_part(sign)).unwrap_or(path.len()));
        let krate = path.split("::").next().unwrap_or_default();
        text.push_str(between);
        text.push_str(if STANDARD.contains(&krate) {
            path.rsplit("::").next().unwrap_or(path)
        } else {
            path
        });
        rest = after;
    }
    text.push_str(rest);
    if text.len() > MAX_SHORT_BYTES {
        let end = (0..=MAX_SHORT_BYTES).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_called_what_their_author_calls_them() {
        let of = |linkage: &str, own: &str| by_linkage_name(linkage, own);
        let legacy = "_ZN5tokio4sync4mpsc7bounded17Receiver$LT$T$GT$4recv28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE";
        assert_eq!(
            of(legacy, "{async_fn_env#0}<u64>").unwrap(),
            "tokio::sync::mpsc::bounded::Receiver::recv"
        );
        let legacy = "_ZN1x3rec28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE";
        assert_eq!(of(legacy, "{async_block_env#1}").unwrap(), "x::rec::{async_block#1}");
        assert_eq!(of("_RNCNvC1x6reader0B3_", "{async_fn_env#0}").unwrap(), "x::reader");
        assert_eq!(of("_RNvC1x6reader", "{async_fn_env#0}"), None);
        assert_eq!(of("main", "{async_fn_env#0}"), None);
    }

    #[test]
    fn both_manglings_have_one_name() {
        for name in [
            "a::b::R<T>::recv",
            "<a::b::R<u64>>::recv",
            "<a::b::R>::recv",
            "<a::b::R<(u8, C<u8>)>>::recv::<u8>",
        ] {
            assert_eq!(without_arguments(name), "a::b::R::recv", "{name}");
        }
        assert_eq!(without_arguments("<a::R<T> as b::Tr>::recv"), "<a::R<T> as b::Tr>::recv");
        assert_eq!(without_arguments("a::f::<fn(u8) -> u8>"), "a::f");
    }

    #[test]
    fn types_are_called_what_people_write() {
        for (name, expected) in [
            (
                "std::sync::poison::mutex::Mutex<alloc::vec::Vec<shop::Session, alloc::alloc::Global>>",
                "Mutex<Vec<shop::Session>>",
            ),
            (
                "std::collections::hash::map::HashMap<u64, (shop::a::B, &str), std::hash::random::RandomState>",
                "HashMap<u64, (shop::a::B, &str)>",
            ),
            ("[u64; 512]", "[u64; 512]"),
            ("shop::f::{closure_env#0}<core::option::Option<u8>>", "shop::f::{closure_env#0}<Option<u8>>"),
        ] {
            assert_eq!(short(name), expected);
        }
        let long = short(&format!("shop::Ä<{}>", "ä".repeat(200)));
        assert!(long.len() <= MAX_SHORT_BYTES + 3 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn the_first_argument_ends_at_its_own_comma() {
        assert_eq!(first_argument("poll<a::b<c, (d, e)>, f>"), Some("a::b<c, (d, e)>"));
        assert_eq!(first_argument("poll<fn(u8) -> [u8; 2], f>"), Some("fn(u8) -> [u8; 2]"));
        assert_eq!(first_argument("poll<a>"), Some("a"));
        assert_eq!(first_argument("poll"), None);
        assert_eq!(first_argument("poll<a"), None);
    }

    #[test]
    fn without_a_function_the_path_must_do() {
        let own = "{async_fn_env#0}<u64>";
        assert_eq!(by_path("x::{impl#3}::reader::{async_fn_env#0}<u64>", own), "x::reader");
        assert_eq!(readable("x::{impl#3}::reader::{async_fn_env#0}<u64>"), "x::reader");
        assert_eq!(readable("x::Hand<x::reader::{async_fn_env#0}>"), "x::Hand<x::reader::{async_fn_env#0}>");
        let own = "{async_block_env#2}<u64>";
        assert_eq!(by_path("x::{async_fn#0}::{async_block_env#2}<u64>", own), "x::{async_block#2}");
    }
}
