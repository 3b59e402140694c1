//! This writes Go's legacy text of profiles that count: a header, and rows of a count and a stack.
//!
//! Path: *read path*.

use crate::profile::{Estimate, LegacyForm, Profile};
use std::fmt;

/// What a profile that counts says in Go's legacy text.
pub(crate) struct PlainText {
    /// Names the profile.
    name: &'static str,
}

impl PlainText {
    pub(crate) fn of(profile: &Profile) -> Box<dyn LegacyForm> {
        Box::new(PlainText { name: profile.name })
    }
}

/// Returns the count of a row.
fn count(values: &[Estimate]) -> i64 {
    values.first().map_or(0, |value| value.rounded())
}

/// Returns the time that a row has waited, in nanoseconds, which Go calls cycles.
fn delay(values: &[Estimate]) -> i64 {
    values.get(1).map_or(0, |value| value.rounded())
}

impl PlainText {
    fn has_delays(&self) -> bool {
        matches!(self.name, "block" | "mutex")
    }
}

impl LegacyForm for PlainText {
    fn header(&self, rows: &mut dyn Iterator<Item = &[Estimate]>) -> String {
        match self.name {
            "block" => "--- contention:\ncycles/second=1000000000".to_owned(),
            "mutex" => "--- mutex:\ncycles/second=1000000000\nsampling period=1".to_owned(),
            name => format!("{name} profile: total {}", rows.map(count).sum::<i64>()),
        }
    }

    fn weight(&self, values: &[Estimate]) -> (i64, i64) {
        if self.has_delays() { (delay(values), count(values)) } else { (count(values), 0) }
    }

    fn write_figures(&self, values: &[Estimate], text: &mut dyn fmt::Write) -> fmt::Result {
        if self.has_delays() {
            write!(text, "{} ", delay(values))?;
        }
        write!(text, "{}", count(values))
    }

    fn write_statistics(&self, _: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn is_counted(&self) -> bool {
        true
    }

    /// The reader takes any other line for a row.
    fn mappings_line(&self) -> &'static str {
        "--- Memory map: ---"
    }
}
