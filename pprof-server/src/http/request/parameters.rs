//! This reads our own query parameters, those that Go does not have.
//!
//! `routes` and `profile_request` call this, after everything that Go knows was found right. Each mistake has a text that names
//! the values there are, and none repeats what was sent.
//!
//! Path: *read path*. Pure.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use super::format::{ProfileFormat, ReportFormat};
use super::period::Period;
use super::query::given;
use crate::encode::format::{Format, NAMED};
use crate::encode::{
    Frames, Labels, MAX_ROWS, ProfileKind, ProfileOptions, SampleType, SizeLimit, Symbolize,
};
use crate::history::Moment;
use crate::http::refusal::Refusal;

/// The rows of a report for the terminal, unless `top` says otherwise.
const TEXT_ROWS: usize = 10;
/// The rows of a report in JSON, unless `top` says otherwise.
const JSON_ROWS: usize = 100;
/// The most samples that `limit` takes as a number: more than a profiler with default limits can have.
const MAX_LIMIT: usize = 1_000_000;
/// The longest name of a client, and of a mark.
const MAX_NAME_BYTES: usize = 64;
/// The times that the report on suspects can look at. In less than half a minute there is too little to tell, and nothing is
/// recorded of more than a day.
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(24 * 3600);
/// The longest time that a parameter takes: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the options for encoding a profile of this kind.
pub(crate) fn options(query: &str, kind: ProfileKind) -> Result<ProfileOptions, Refusal> {
    let symbolize = symbolize(query)?;
    let frames = match given(query, "frames").as_deref() {
        None => Frames::UserFirst,
        Some("all") => Frames::All,
        Some(_) => {
            return Err(Refusal::bad_request(r#"invalid value for "frames" - must be "all", or left out"#));
        }
    };
    let labels = match given(query, "labels").as_deref() {
        None => Labels::Size,
        Some("none") => Labels::None,
        Some("age") => Labels::SizeAndAge,
        Some(_) => {
            return Err(Refusal::bad_request(
                r#"invalid value for "labels" - must be "age" or "none", or left out"#,
            ));
        }
    };
    let limit = limit(query)?;
    let sample_type = match given(query, "sample_index").or(given(query, "sample")).as_deref() {
        None => None,
        Some(wanted) => Some(sample_type(wanted).ok_or(Refusal::bad_request(
            r#"invalid value for "sample_index" - must be "alloc_objects", "alloc_space", "inuse_objects" or "inuse_space""#,
        ))?),
    };
    Ok(ProfileOptions { kind, sample_type, symbolize, frames, labels, limit })
}

/// Where names come from.
pub(crate) fn symbolize(query: &str) -> Result<Symbolize, Refusal> {
    match given(query, "symbolize").as_deref() {
        None | Some("full") => Ok(Symbolize::Full),
        Some("names") => Ok(Symbolize::Names),
        Some("none") => Ok(Symbolize::None),
        Some(_) => {
            Err(Refusal::bad_request(r#"invalid value for "symbolize" - must be "none", "names" or "full""#))
        }
    }
}

/// How large the profile may be.
pub(crate) fn limit(query: &str) -> Result<SizeLimit, Refusal> {
    match given(query, "limit").as_deref() {
        None => Ok(SizeLimit::SCRAPERS),
        Some("none") => Ok(SizeLimit::NONE),
        Some(samples) => match samples.parse() {
            Ok(samples @ 1..=MAX_LIMIT) => Ok(SizeLimit { samples, ..SizeLimit::SCRAPERS }),
            _ => Err(Refusal::bad_request(
                r#"invalid value for "limit" - must be 1 to 1000000 samples, or "none""#,
            )),
        },
    }
}

/// The sample type that is wanted by name or by number, as `go tool pprof -sample_index` takes it.
fn sample_type(wanted: &str) -> Option<SampleType> {
    let by_name = SampleType::ALL.into_iter().find(|sample_type| sample_type.name() == wanted);
    by_name.or_else(|| SampleType::ALL.get(wanted.parse::<usize>().ok()?).copied())
}

/// The number of rows that `top` asks for.
fn rows(query: &str, default: usize) -> Result<usize, Refusal> {
    match given(query, "top").as_deref().map(str::parse) {
        None => Ok(default),
        Some(Ok(rows @ 1..=MAX_ROWS)) => Ok(rows),
        Some(_) => Err(Refusal::bad_request(r#"invalid value for "top" - must be 1 to 1000 rows"#)),
    }
}

/// The number of stacks that `top` asks for; `None` if the query does not say.
pub(crate) fn top(query: &str) -> Result<Option<usize>, Refusal> {
    given(query, "top").map(|_| rows(query, 0)).transpose()
}

/// The format; `None` if the query does not say.
pub(crate) fn format(query: &str) -> Result<Option<ProfileFormat>, Refusal> {
    let Some(name) = given(query, "format") else { return Ok(None) };
    let format = named_format(&name)?;
    let rows = format.default_rows.map_or(Ok(0), |default| rows(query, default))?;
    Ok(Some(ProfileFormat { format, rows }))
}

fn named_format(name: &str) -> Result<&'static Format, Refusal> {
    NAMED.into_iter().find(|format| format.name == name).ok_or_else(|| {
        let names = NAMED.map(|format| format!("\"{}\"", format.name));
        let [first @ .., last] = &names;
        Refusal::bad_request(format!("invalid value for \"format\" - must be {} or {last}", first.join(", ")))
    })
}

/// The name of the client that asks for `delta_heap`.
pub(crate) fn client(query: &str) -> Result<String, Refusal> {
    match given(query, "client").as_deref() {
        None => Ok("default".to_owned()),
        Some(name) if is_name(name) => Ok(name.to_owned()),
        Some(_) => Err(Refusal::bad_request(
            r#"invalid value for "client" - must be 1 to 64 letters, digits, '.', '_' or '-'"#,
        )),
    }
}

fn is_name(name: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_name_byte)
}

/// Whether a mark may have this name, which cannot be taken for a time.
fn is_mark(name: &str) -> bool {
    is_name(name) && name.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The mark to set, and whether it may replace one.
pub(crate) fn mark(query: &str) -> Result<(String, bool), Refusal> {
    let replaces = match given(query, "replace").as_deref() {
        None => false,
        Some("1") => true,
        Some(_) => {
            return Err(Refusal::bad_request(r#"invalid value for "replace" - must be "1", or left out"#));
        }
    };
    match given(query, "name").as_deref() {
        Some(name) if is_mark(name) => Ok((name.to_owned(), replaces)),
        Some(_) => Err(Refusal::bad_request(
            r#"invalid value for "name" - must be a letter and up to 63 letters, digits, '.', '_' or '-'"#,
        )),
        None => Err(Refusal::bad_request(r#"a mark needs a "name", such as before-deploy"#)),
    }
}

/// Returns the format of the report on suspects.
pub(crate) fn report_format(query: &str) -> Result<ReportFormat, Refusal> {
    match given(query, "format").as_deref() {
        Some("pprof") => Ok(ReportFormat::Pprof),
        None | Some("text") => Ok(ReportFormat::Table { rows: rows(query, TEXT_ROWS)? }),
        Some("json") => Ok(ReportFormat::Json { rows: rows(query, JSON_ROWS)? }),
        Some(other) => named_format(other).and_then(|_| {
            Err(Refusal::bad_request(
                r#"invalid value for "format" - must be "text", "json" or "pprof" here"#,
            ))
        }),
    }
}

/// Whether memory is searched for what holds the suspects' blocks.
pub(crate) fn with_holders(query: &str) -> Result<bool, Refusal> {
    match given(query, "holders").as_deref() {
        None => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(Refusal::bad_request(r#"invalid value for "holders" - must be "1", or left out"#)),
    }
}

/// The time that the report on suspects looks at; `None` if the query does not say.
pub(crate) fn window(query: &str) -> Result<Option<Duration>, Refusal> {
    let Some(text) = given(query, "window") else { return Ok(None) };
    let window = duration(&text).filter(|window| WINDOWS.contains(window));
    window.map(Some).ok_or(Refusal::bad_request(
        r#"invalid value for "window" - must be a time from 30s to 24h, such as 10m"#,
    ))
}

/// The recorded moment or moments; `None` if the query does not name any.
pub(crate) fn past(query: &str) -> Result<Option<Period>, Refusal> {
    let at = moment(query, "at").ok_or(Refusal::bad_request(
        r#"invalid value for "at" - must be a mark's name, seconds since 1970 UTC, or a time such as 2030-12-24T18:00:00Z"#,
    ))?;
    let since = moment(query, "since").ok_or(Refusal::bad_request(
        r#"invalid value for "since" - must be a mark's name, seconds since 1970 UTC, or a time such as 2030-12-24T18:00:00Z"#,
    ))?;
    let ago = match given(query, "ago").as_deref() {
        None => None,
        Some(text) => Some(Moment::Ago(duration(text).ok_or(Refusal::bad_request(
            r#"invalid value for "ago" - must be a time such as 90s, 10m or 1h30m"#,
        ))?)),
    };
    match (since, ago, at) {
        (Some(_), Some(_), _) => {
            Err(Refusal::bad_request("since and ago are incompatible: both say where a difference begins"))
        }
        (None, None, None) => Ok(None),
        (None, None, Some(at)) => Ok(Some(Period::Until(at))),
        (Some(from), None, to) | (None, Some(from), to) => Ok(Some(Period::Between { from, to })),
    }
}

/// The moment that the parameter `name` gives: `Some(None)` if it is left out, and `None` if its value is no moment.
fn moment(query: &str, name: &str) -> Option<Option<Moment>> {
    let Some(text) = given(query, name) else { return Some(None) };
    let is_mark = is_mark(&text);
    let moment = time(&text).map(Moment::At);
    moment.or_else(|| is_mark.then(|| Moment::Mark(text.into_owned()))).map(Some)
}

/// The age that a block must have to count as in use.
pub(crate) fn min_age(query: &str) -> Result<Option<Duration>, Refusal> {
    let Some(text) = given(query, "min_age") else { return Ok(None) };
    let age = duration(&text);
    age.map(Some).ok_or(Refusal::bad_request(
        r#"invalid value for "min_age" - must be a time such as 90s, 10m or 1h30m"#,
    ))
}

/// The duration that a text such as `90`, `90s` or `1h30m` tells.
fn duration(text: &str) -> Option<Duration> {
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (time <= LONGEST).then_some(time)
}

/// The time that a text tells in seconds since 1970, or by RFC 3339.
fn time(text: &str) -> Option<SystemTime> {
    match text.parse::<f64>() {
        Ok(seconds) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            let since_1970 = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST)?;
            SystemTime::UNIX_EPOCH.checked_add(since_1970)
        }
        _ => humantime::parse_rfc3339(text).ok(),
    }
}

/// Whether metrics shall tell what the system's allocator holds.
pub(crate) fn with_malloc(query: &str) -> Result<bool, Refusal> {
    match given(query, "malloc").as_deref() {
        None => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(Refusal::bad_request(r#"invalid value for "malloc" - must be "1", or left out"#)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::format::{FOLDED, JSON, TABLE};
    use hyper::StatusCode;

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
        assert_eq!(format("format=pprof"), Ok(Some(ProfileFormat::PPROF)));
        assert_eq!(format("format=text"), Ok(Some(ProfileFormat { format: &TABLE, rows: 10 })));
        assert_eq!(format("format=json&top=1000"), Ok(Some(ProfileFormat { format: &JSON, rows: 1000 })));
        assert_eq!(format("format=folded"), Ok(Some(ProfileFormat { format: &FOLDED, rows: 0 })));
        assert_eq!(client("client=alloy-0.eu_1").unwrap(), "alloy-0.eu_1");
    }

    #[test]
    fn the_past_is_told_in_several_ways() {
        let at = |seconds| Moment::At(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds));
        let ago = |seconds| Moment::Ago(Duration::from_secs(seconds));
        for (query, expected) in [
            ("at=&since=&ago=", None),
            ("at=1.5", Some(Period::Until(at(1500)))),
            ("at=1970-01-01T00:01:00Z", Some(Period::Until(at(60_000)))),
            ("ago=90", Some(Period::Between { from: ago(90), to: None })),
            ("ago=1h30m", Some(Period::Between { from: ago(5400), to: None })),
            ("ago=10m&at=7", Some(Period::Between { from: ago(600), to: Some(at(7000)) })),
            ("since=5&at=7", Some(Period::Between { from: at(5000), to: Some(at(7000)) })),
            (
                "since=before-deploy",
                Some(Period::Between { from: Moment::Mark("before-deploy".into()), to: None }),
            ),
            ("at=before-deploy", Some(Period::Until(Moment::Mark("before-deploy".into())))),
            // Not infinite, not a number: names.
            ("at=NaN", Some(Period::Until(Moment::Mark("NaN".into())))),
            ("since=inf", Some(Period::Between { from: Moment::Mark("inf".into()), to: None })),
        ] {
            assert_eq!(past(query), Ok(expected), "{query}");
        }
        for query in [
            "at=the day before",
            "at=-1",
            "at=1e99",
            "since=%2F",
            "since=-x",
            "ago=soon",
            "ago=-1s",
            "ago=99999999999999999999",
            "ago=200years",
            "ago=1m&since=1",
        ] {
            assert_eq!(past(query).unwrap_err().status, StatusCode::BAD_REQUEST, "{query}");
        }
        assert_eq!(min_age("min_age=10m"), Ok(Some(Duration::from_secs(600))));
        assert_eq!(min_age("min_age=0"), Ok(Some(Duration::ZERO)));
        assert!(min_age("min_age=old").is_err());
        assert_eq!(mark("name=before-deploy"), Ok(("before-deploy".into(), false)));
        assert_eq!(mark("name=a&replace=1"), Ok(("a".into(), true)));
        for query in ["", "name=1", "name=a+b", "name=a&replace=yes", "name=%C3%BC"] {
            assert_eq!(mark(query).unwrap_err().status, StatusCode::BAD_REQUEST, "{query}");
        }
        assert_eq!(report_format("top=3"), Ok(ReportFormat::Table { rows: 3 }));
        assert_eq!(report_format("format=pprof"), Ok(ReportFormat::Pprof));
        assert!(report_format("format=folded").is_err());
        assert_eq!(window(""), Ok(None));
        assert_eq!(window("window=10m"), Ok(Some(Duration::from_secs(600))));
        assert_eq!(window("window=30"), Ok(Some(Duration::from_secs(30))));
        assert_eq!(window("window=24h"), Ok(Some(Duration::from_secs(86_400))));
        for query in ["window=29s", "window=25h", "window=0", "window=-1m", "window=ten", "window=1e9"] {
            let refusal = window(query).unwrap_err();
            assert!(refusal.text.contains("30s to 24h, such as 10m"), "{query}: {refusal:?}");
        }
    }

    #[test]
    fn each_mistake_names_the_values_there_are() {
        for (query, part) in [
            ("symbolize=yes", r#""symbolize" - must be "none", "names" or "full""#),
            ("frames=some", r#""frames" - must be "all""#),
            ("labels=all", r#""labels" - must be "age" or "none""#),
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
