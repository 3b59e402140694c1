//! The header `Accept` tells which of the two text formats of metrics a scraper wants.
//!
//! `handler` calls this for `/metrics`. The rules are those of HTTP: each of the two formats has the weight (`q`) of the
//! most specific range that it is in, and the heavier one is taken.
//!
//! Path: *read path*. Pure.

use hyper::header::{ACCEPT, HeaderMap};

/// A text format that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsFormat {
    /// OpenMetrics 1.0.0: counters are called without `_total`, units stand apart, and `# EOF` ends it.
    OpenMetrics,
    /// Stands for the classic format, version 0.0.4.
    Classic,
}

impl MetricsFormat {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            MetricsFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            MetricsFormat::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    const fn media_type(self) -> (&'static str, &'static str, &'static str) {
        match self {
            MetricsFormat::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
            MetricsFormat::Classic => ("text", "plain", "0.0.4"),
        }
    }

    /// The format that the sender of `headers` wants. Who takes both alike, or does not say, gets OpenMetrics. Who takes neither
    /// gets the classic format, as from Prometheus' own libraries, since a refusal would help nobody.
    pub(crate) fn wanted(headers: &HeaderMap) -> MetricsFormat {
        let values = || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<Range<'_>> =
            values().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
        if ranges.is_empty() {
            return MetricsFormat::OpenMetrics;
        }
        let [open, classic] =
            [MetricsFormat::OpenMetrics, MetricsFormat::Classic].map(|format| weight(&ranges, format));
        if open > 0.0 && open >= classic { MetricsFormat::OpenMetrics } else { MetricsFormat::Classic }
    }
}

/// One of the alternatives that `Accept` lists.
struct Range<'a> {
    /// The type and the subtype, each of which may be `*`.
    kind: (&'a str, &'a str),
    version: Option<&'a str>,
    /// Holds the weight, from 0 (not at all) to 1.
    weight: f64,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Range<'a>> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Range { kind: parts.next()?.split_once('/')?, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value),
                "q" => range.weight = value.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0),
                _ => {}
            }
        }
        Some(range)
    }

    /// How closely this names `format`; `None` if it does not.
    fn specificity(&self, format: MetricsFormat) -> Option<u8> {
        let (kind, subkind, version) = format.media_type();
        let is_kind = self.kind.0.eq_ignore_ascii_case(kind);
        match (self.kind, self.version) {
            (("*", "*"), _) => Some(0),
            ((_, "*"), _) if is_kind => Some(1),
            ((_, sub), None) if is_kind && sub.eq_ignore_ascii_case(subkind) => Some(2),
            ((_, sub), Some(of)) if is_kind && sub.eq_ignore_ascii_case(subkind) && of == version => Some(3),
            _ => None,
        }
    }
}

fn weight(ranges: &[Range<'_>], format: MetricsFormat) -> f64 {
    let closest = ranges.iter().filter_map(|range| Some((range.specificity(format)?, range.weight)));
    let closest = closest.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    closest.map_or(0.0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_heavier_format_is_taken() {
        use MetricsFormat::{Classic, OpenMetrics};
        // What Prometheus 2.42 and 3.5 send, `curl`, browsers, and what is possible.
        for (accept, expected) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Classic),
            ("text/plain", Classic),
            ("text/*", Classic),
            ("Text/Plain; Version=\"0.0.4\"", Classic),
            ("*/*", OpenMetrics),
            ("", OpenMetrics),
            ("nonsense", OpenMetrics),
            ("text/html,application/xhtml+xml,*/*;q=0.8", OpenMetrics),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; q=0.2, text/plain; q=0.3", Classic),
            ("text/plain;q=0.2, application/openmetrics-text;q=0.2", OpenMetrics),
            ("application/openmetrics-text;q=0, */*", Classic),
            ("application/openmetrics-text;version=0.0.1", Classic),
            ("application/json", Classic),
            ("*/*;q=0", Classic),
            ("text/plain;q=9, application/openmetrics-text;q=0.9", Classic),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(MetricsFormat::wanted(&headers), expected, "{accept}");
        }
        assert_eq!(MetricsFormat::wanted(&HeaderMap::new()), OpenMetrics);
        let mut two = HeaderMap::new();
        two.append(ACCEPT, HeaderValue::from_static("application/openmetrics-text;q=0.1"));
        two.append(ACCEPT, HeaderValue::from_static("text/plain;q=0.9"));
        assert_eq!(MetricsFormat::wanted(&two), Classic);
    }
}
