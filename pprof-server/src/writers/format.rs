//! Any profile is answered in these formats. Each has a row of facts here, and the writer that it calls.
//!
//! Path: *read path*.

use super::bounded::BoundedText;
use super::table::Table;
use super::{folded, json, legacy_text, pprof, stack_dump};
use crate::profile::{Profile, SizeLimit};
use alloc_profiler::unsampled;

/// A format in which any profile can be written.
#[derive(Debug)]
pub(crate) struct Format {
    /// The name that a request has for it.
    pub(crate) name: &'static str,
    /// The content type that HTTP has for it.
    pub(crate) content_type: &'static str,
    /// Whether clients save it under the profile's name. Otherwise they show it.
    pub(crate) is_file: bool,
    /// How many rows it has unless a request says otherwise; `None` if it has no table.
    pub(crate) default_rows: Option<usize>,
    /// Whether it shows how old what it counts is.
    pub(crate) shows_ages: bool,
    /// Whether its rows have the labels that were asked for. Other formats tell sizes and ages in their own way, or not
    /// at all.
    pub(crate) has_labels: bool,
    /// Writes a profile. Returns `None` if it would be longer than its bounds allow, or if there is no memory for it.
    writer: fn(&Profile, &Bounds) -> Option<Vec<u8>>,
}

/// How much of a profile is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Limits the rows of a table.
    pub(crate) rows: usize,
    /// The most that a pprof profile or folded stacks have; what is beyond it is added up under `[other]`.
    pub(crate) limit: SizeLimit,
    /// The most bytes that an answer may have. A writer that bounds itself otherwise does not look at it.
    pub(crate) max_bytes: usize,
}

/// The formats that a request may name.
pub(crate) static NAMED: [&Format; 4] = [&PPROF, &TABLE, &FOLDED, &JSON];

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// Writes a pprof profile, which is gzipped protobuf.
pub(crate) static PPROF: Format = Format {
    name: "pprof",
    content_type: "application/octet-stream",
    is_file: true,
    default_rows: None,
    shows_ages: false,
    has_labels: true,
    writer: |profile, bounds| Some(pprof::gzip(pprof::message(profile, bounds.limit))),
};

/// Writes a table for a terminal.
pub(crate) static TABLE: Format = Format {
    name: "text",
    content_type: PLAIN_TEXT,
    is_file: false,
    default_rows: Some(10),
    shows_ages: true,
    has_labels: false,
    writer: |profile, bounds| Some(format!("{:.*}", bounds.rows, Table::of(profile)).into_bytes()),
};

/// Folded stacks for flame graph tools: each stack has a line.
pub(crate) static FOLDED: Format = Format {
    name: "folded",
    content_type: PLAIN_TEXT,
    is_file: false,
    default_rows: None,
    shows_ages: false,
    has_labels: false,
    writer: |profile, bounds| Some(folded::write(profile, bounds.limit.samples).into_bytes()),
};

/// Writes the rows of the table as JSON, for programs.
pub(crate) static JSON: Format = Format {
    name: "json",
    content_type: "application/json",
    is_file: false,
    default_rows: Some(100),
    shows_ages: true,
    has_labels: false,
    writer: |profile, bounds| Some(json::write(&Table::of(profile), profile, bounds.rows).into_bytes()),
};

/// Writes Go's legacy text. A request asks for it by `debug=1`, as it does of Go.
pub(crate) static LEGACY: Format = Format {
    name: "legacy",
    content_type: PLAIN_TEXT,
    is_file: false,
    default_rows: None,
    shows_ages: false,
    has_labels: false,
    writer: |profile, bounds| {
        let mut text = BoundedText::new(bounds.max_bytes);
        legacy_text::write(&mut text, profile).ok()?;
        Some(text.into_text().into_bytes())
    },
};

/// Each stack by itself, as Go prints those of goroutines when a program panics. A request asks for it by `debug=2`.
pub(crate) static STACKS: Format = Format {
    name: "stacks",
    content_type: PLAIN_TEXT,
    is_file: false,
    default_rows: None,
    shows_ages: false,
    has_labels: true,
    writer: |profile, bounds| Some(stack_dump::write(profile, bounds.max_bytes).into_bytes()),
};

impl Format {
    /// Returns the bytes of the profile that `make` makes, with notes of the caller's before those of the profile, or `None` if
    /// they would be more than `bounds` allow or if there is no memory for them. What this allocates is in no profile.
    pub(crate) fn written(
        &self,
        bounds: &Bounds,
        notes: &[String],
        make: impl FnOnce() -> Profile,
    ) -> Option<Vec<u8>> {
        unsampled(|| {
            let profile = make();
            let profile = Profile { notes: [notes, &profile.notes].concat(), ..profile };
            (self.writer)(&profile, bounds)
        })
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Format) -> bool {
        self.name == other.name
    }
}

impl Eq for Format {}
