//! Our own query parameters, those that Go does not have.
//!
//! Called by `routes`, after everything that Go knows was found right. Each mistake has a text that names the values
//! there are; none repeats what was sent.
//!
//! Path: *read path*. Pure.

use hyper::StatusCode;

use super::query::given;
use super::routes::{Format, Refusal};
use crate::encode::{
    Frames, Labels, MAX_ROWS, ProfileKind, ProfileOptions, SampleType, SizeLimit, Symbolize,
};

/// Rows of a table in the terminal, unless `top` says otherwise.
pub(super) const TEXT_ROWS: usize = 10;
/// Rows of a table in JSON, unless `top` says otherwise.
pub(super) const JSON_ROWS: usize = 100;
/// Most samples that `limit` takes as a number: more than a profiler with default limits can have.
const MAX_LIMIT: usize = 1_000_000;
/// Longest name of a client.
const MAX_CLIENT_BYTES: usize = 64;

fn bad(text: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}

/// How a profile of this kind is to be encoded.
pub(super) fn options(query: &str, kind: ProfileKind) -> Result<ProfileOptions, Refusal> {
    let symbolize = match given(query, "symbolize").as_deref() {
        None | Some("full") => Symbolize::Full,
        Some("names") => Symbolize::Names,
        Some("none") => Symbolize::None,
        Some(_) => {
            return Err(bad(r#"invalid value for "symbolize" - must be "none", "names" or "full""#));
        }
    };
    let frames = match given(query, "frames").as_deref() {
        None => Frames::UserFirst,
        Some("all") => Frames::All,
        Some(_) => return Err(bad(r#"invalid value for "frames" - must be "all", or left out"#)),
    };
    let labels = match given(query, "labels").as_deref() {
        None => Labels::Size,
        Some("none") => Labels::None,
        Some(_) => return Err(bad(r#"invalid value for "labels" - must be "none", or left out"#)),
    };
    let limit = match given(query, "limit").as_deref() {
        None => SizeLimit::SCRAPERS,
        Some("none") => SizeLimit::NONE,
        Some(samples) => match samples.parse() {
            Ok(samples @ 1..=MAX_LIMIT) => SizeLimit { samples, ..SizeLimit::SCRAPERS },
            _ => return Err(bad(r#"invalid value for "limit" - must be 1 to 1000000 samples, or "none""#)),
        },
    };
    let sample_type = match given(query, "sample_index").or(given(query, "sample")).as_deref() {
        None => None,
        Some(wanted) => Some(sample_type(wanted).ok_or(bad(
            r#"invalid value for "sample_index" - must be "alloc_objects", "alloc_space", "inuse_objects" or "inuse_space""#,
        ))?),
    };
    Ok(ProfileOptions { kind, sample_type, symbolize, frames, labels, limit })
}

/// By name or by number, as `go tool pprof -sample_index` takes it.
fn sample_type(wanted: &str) -> Option<SampleType> {
    let by_name = SampleType::ALL.into_iter().find(|sample_type| sample_type.name() == wanted);
    by_name.or_else(|| SampleType::ALL.get(wanted.parse::<usize>().ok()?).copied())
}

/// Which format; `None` if the query does not say.
pub(super) fn format(query: &str) -> Result<Option<Format>, Refusal> {
    let rows = |default: usize| match given(query, "top").as_deref().map(str::parse) {
        None => Ok(default),
        Some(Ok(rows @ 1..=MAX_ROWS)) => Ok(rows),
        Some(_) => Err(bad(r#"invalid value for "top" - must be 1 to 1000 rows"#)),
    };
    Ok(Some(match given(query, "format").as_deref() {
        None => return Ok(None),
        Some("pprof") => Format::Pprof,
        Some("text") => Format::Table { rows: rows(TEXT_ROWS)? },
        Some("json") => Format::Json { rows: rows(JSON_ROWS)? },
        Some("folded") => Format::Folded,
        Some(_) => {
            return Err(bad(r#"invalid value for "format" - must be "pprof", "text", "folded" or "json""#));
        }
    }))
}

/// Who asks for `delta_heap`.
pub(super) fn client(query: &str) -> Result<String, Refusal> {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match given(query, "client").as_deref() {
        None => Ok("default".to_owned()),
        Some(name) if name.len() <= MAX_CLIENT_BYTES && name.bytes().all(is_name_byte) => Ok(name.to_owned()),
        Some(_) => {
            Err(bad(r#"invalid value for "client" - must be 1 to 64 letters, digits, '.', '_' or '-'"#))
        }
    }
}

/// Whether metrics shall tell what the system's allocator holds.
pub(super) fn with_malloc(query: &str) -> Result<bool, Refusal> {
    match given(query, "malloc").as_deref() {
        None => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(bad(r#"invalid value for "malloc" - must be "1", or left out"#)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_go_s_profile() {
        for query in ["", "symbolize=&frames=&labels=&limit=&sample_index=&format=", "symbolize=full"] {
            assert_eq!(options(query, ProfileKind::Heap), Ok(ProfileOptions::default()), "{query}");
            assert_eq!(format(query), Ok(None), "{query}");
        }
        assert_eq!(client(""), client("client=default"));
    }

    #[test]
    fn each_value_has_its_meaning() {
        let query = "symbolize=names&frames=all&labels=none&limit=9&sample=inuse_objects";
        let expected = ProfileOptions {
            kind: ProfileKind::Allocs,
            sample_type: Some(SampleType::InuseObjects),
            symbolize: Symbolize::Names,
            frames: Frames::All,
            labels: Labels::None,
            limit: SizeLimit { samples: 9, message_bytes: 4 << 20 },
        };
        assert_eq!(options(query, ProfileKind::Allocs), Ok(expected));
        let sample_type = |query| options(query, ProfileKind::Heap).unwrap().sample_type;
        assert_eq!(sample_type("sample_index=1"), Some(SampleType::AllocSpace));
        assert_eq!(sample_type("sample=0&sample_index=inuse_space"), Some(SampleType::InuseSpace));
        let limit = |query| options(query, ProfileKind::Heap).unwrap().limit;
        assert_eq!(limit("limit=none"), SizeLimit::NONE);
        assert_eq!(limit("limit=1000000").samples, 1_000_000);
        assert_eq!(format("format=pprof"), Ok(Some(Format::Pprof)));
        assert_eq!(format("format=text"), Ok(Some(Format::Table { rows: 10 })));
        assert_eq!(format("format=json&top=1000"), Ok(Some(Format::Json { rows: 1000 })));
        assert_eq!(format("format=folded"), Ok(Some(Format::Folded)));
        assert_eq!(client("client=alloy-0.eu_1").unwrap(), "alloy-0.eu_1");
    }

    #[test]
    fn each_mistake_names_the_values_there_are() {
        for (query, part) in [
            ("symbolize=yes", r#""symbolize" - must be "none", "names" or "full""#),
            ("frames=some", r#""frames" - must be "all""#),
            ("labels=all", r#""labels" - must be "none""#),
            ("limit=0", r#""limit" - must be 1 to 1000000"#),
            ("limit=1000001", r#""limit""#),
            ("limit=-1", r#""limit""#),
            ("sample_index=4", r#""sample_index" - must be "alloc_objects""#),
            ("sample=space", r#""sample_index""#),
        ] {
            let refusal = options(query, ProfileKind::Heap).unwrap_err();
            assert!(refusal.text.contains(part) && refusal.is_for_pprof, "{query}: {refusal:?}");
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
        for query in ["format=xml", "format=text&top=0", "format=json&top=1001", "format=json&top=x"] {
            assert_eq!(format(query).unwrap_err().status, StatusCode::BAD_REQUEST, "{query}");
        }
        let long = format!("client={}", "x".repeat(65));
        for query in [&long[..], "client=a/b", "client=%00", "client=ü"] {
            assert_eq!(client(query).unwrap_err().status, StatusCode::BAD_REQUEST, "{query}");
        }
    }
}
