//! A report on suspects as a terminal shows it.
//!
//! Path: *read path*.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::kind::{Kind, WORDS, sureness};
use super::tasks::Tasks;
use super::{Report, Suspect, named_frame};
use crate::profile::{Ages, Bytes, Count, Frame, Things, Time};
use crate::writers::wrapped::{Wrapped, between_parts, between_words};

/// Rows printed unless a precision says otherwise.
const ROWS_SHOWN: usize = 10;
/// Columns before what is said of a suspect in its later lines.
const MARGIN: usize = 4;
/// So many columns stand before the further lines of a sentence on a suspect.
const DEEPER: usize = 8;
/// Growth of a shorter time than this is told by the minute, and by the hour otherwise.
const HOURLY_FROM: Duration = Duration::from_secs(30 * 60);
/// So many bars fit into a line.
const MAX_BARS: usize = 60;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_heading(f)?;
        let shown = f.precision().unwrap_or(ROWS_SHOWN).min(self.suspects.len());
        self.suspects[..shown].iter().try_for_each(|suspect| self.write_suspect(suspect, f))?;
        match self.suspects.len() - shown {
            0 => {}
            hidden => writeln!(f, "\n{hidden} more not shown.")?,
        }
        let is_shown = |kind| self.suspects[..shown].iter().any(|suspect| suspect.growth.kind == kind);
        if shown > 0 {
            writeln!(f)?;
        }
        for words in WORDS.iter().filter(|words| is_shown(words.kind)) {
            let text = format!("{}: {} {}", words.title, words.meaning, words.next_step);
            write!(f, "{}", sentences(&text))?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "{}", sentences(note)))
    }
}

impl Report {
    fn write_heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_known {
            return writeln!(f, "Nothing was sampled, so nobody knows what grows.");
        }
        if let Some(time) = self.too_early {
            let until_then = if self.suspects.is_empty() { "" } else { "; until then, this grew" };
            return writeln!(f, "Too early: first verdict in {}{until_then}.", Time(time));
        }
        let of_kind = |kind| self.suspects.iter().filter(|suspect| suspect.growth.kind == kind).count();
        let counted = |(kind, title): (Kind, &str)| match of_kind(kind) {
            0 => None,
            count => Some(format!("{count} {title}")),
        };
        let what: Vec<String> = WORDS.iter().filter_map(|words| counted((words.kind, words.title))).collect();
        let what = if what.is_empty() {
            "nothing grows that chance alone would not explain".to_owned()
        } else {
            what.join("; ")
        };
        let text = format!("In the last {}, by {} snapshots: {what}.", Time(self.window()), self.ages.len());
        write!(f, "{}", sentences(&text))
    }

    fn write_suspect(&self, suspect: &Suspect, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suspect { growth, totals, .. } = suspect;
        let frames = suspect.stacks.first().map_or(&[][..], |stack| &stack.frames);
        let frames = &frames[named_frame(frames).min(frames.len())..];
        let name = frames.first().map_or("[no names]", |frame| &frame.function);
        let heading = format!("{}: {name}", growth.kind.words().title);
        write!(f, "\n{}", Wrapped { text: &heading, margin: 0, hanging: MARGIN, may_end: between_parts })?;
        Frame::write_below(frames, MARGIN, f)?;
        match suspect.stack_count {
            0 | 1 => {}
            2 => writeln!(f, "{:MARGIN$}and 1 more stack", "")?,
            stacks => writeln!(f, "{:MARGIN$}and {} more stacks", "", stacks - 1)?,
        }
        writeln!(f, "{:MARGIN$}{}", "", self.growth_line(suspect))?;
        let error = totals.inuse_bytes_standard_error().unwrap_or(0.0);
        writeln!(
            f,
            "{:MARGIN$}in use {} ± {}: {}, {}",
            "",
            Bytes(totals.inuse_bytes),
            Bytes(error),
            Things(totals.inuse_objects, "object"),
            Things(totals.inuse_samples as f64, "sample"),
        )?;
        if let Some(held_by) = &suspect.held_by {
            write!(
                f,
                "{}",
                Wrapped { text: held_by, margin: MARGIN, hanging: MARGIN, may_end: between_words }
            )?;
        }
        if let Some(Ages { median, max }) = suspect.ages {
            writeln!(f, "{:MARGIN$}age {} (median), {} (oldest)", "", Time(median), Time(max))?;
        }
        write!(f, "{:MARGIN$}{} (z {:.1})", "", sureness(growth.z), growth.z)?;
        match suspect.full_in {
            Some(time) => writeln!(f, "; full in about {}", Time(time))?,
            None => writeln!(f)?,
        }
        writeln!(f, "{:MARGIN$}{}", "", spark_line(&suspect.bytes))?;
        suspect.tasks.as_ref().map_or(Ok(()), |tasks| self.write_tasks(suspect, tasks, f))
    }

    /// Says how many tasks the suspect has, by how many more they are, and where they wait.
    fn write_tasks(&self, suspect: &Suspect, tasks: &Tasks, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: f64, error: f64| format!("{} ± {}", Count(count), Count(error));
        let growth = tasks.growth.map_or(String::new(), |growth| {
            let sign = if growth.count > 0.0 { "+" } else { "" };
            let since = time_of_day(self.moment(suspect.growth.since));
            format!("; {sign}{} since {since} UTC", count(growth.count, growth.error))
        });
        let samples = Things(tasks.samples as f64, "sample");
        let text = format!("tasks {}: {samples}{growth}", count(tasks.count, tasks.error));
        write!(f, "{}", Wrapped { margin: MARGIN, hanging: DEEPER, ..sentences(&text) })?;
        for wait in &tasks.waits {
            let age = wait.ages.map_or(String::new(), |Ages { median, max }| {
                format!(", age {} (median), {} (oldest)", Time(median), Time(max))
            });
            let count = count(wait.count, wait.error);
            let text = match wait.line() {
                _ if wait.ended().is_some() => {
                    let function = wait.ended().unwrap_or_default();
                    format!("{count} have ended, and somebody holds their handles: {function}{age}")
                }
                Some((line, None)) => format!("{count} wait at {}{age}", line.with_place()),
                Some((line, Some(what))) => {
                    format!("{count} wait at {} for {}{age}", line.with_place(), what.function)
                }
                None => format!("{count}: where they wait is not known{age}"),
            };
            write!(
                f,
                "{}",
                Wrapped { text: &text, margin: MARGIN, hanging: DEEPER, may_end: between_parts }
            )?;
        }
        match tasks.wait_count - tasks.waits.len() {
            0 => Ok(()),
            hidden => writeln!(f, "{:MARGIN$}and at {hidden} more places", ""),
        }
    }

    /// Says how much it grew, in which time, and since when; the rate, unless it has stopped.
    fn growth_line(&self, suspect: &Suspect) -> String {
        let growth = &suspect.growth;
        let time = self.growth_time(growth);
        let amount = format!("+{} ± {} in {}", Bytes(growth.bytes), Bytes(growth.error_bytes), Time(time));
        let since = time_of_day(self.moment(growth.since));
        let since = if suspect.is_older() { format!("{since} or before") } else { since };
        if growth.kind == Kind::Burst {
            return format!("{amount}, from {since} to {} UTC", time_of_day(self.moment(growth.until)));
        }
        let (unit, name) = if time < HOURLY_FROM { (60.0, "min") } else { (3600.0, "h") };
        let rate = growth.bytes / time.as_secs_f64().max(1e-3) * unit;
        format!("{amount}, since {since} UTC: {}/{name}", Bytes(rate))
    }
}

fn sentences(text: &str) -> Wrapped<'_> {
    Wrapped { text, margin: 0, hanging: MARGIN, may_end: between_words }
}

/// Returns hours, minutes and seconds in UTC.
fn time_of_day(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}

/// Draws a bar for each value, on a scale from nothing to the largest value. If there are many values, some are left out.
fn spark_line(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let largest = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let height = if largest > 0.0 { value / largest * (BARS.len() - 1) as f64 } else { 0.0 };
        BARS[(height.round() as usize).min(BARS.len() - 1)]
    };
    let step = values.len().div_ceil(MAX_BARS).max(1);
    // The last one is always there.
    let shown = values.iter().rev().step_by(step).map(bar);
    shown.collect::<Vec<char>>().into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::super::method::Growth;
    use super::super::testing::{report, report_with_tasks};
    use super::*;

    #[test]
    fn a_report_reads_well() {
        let expected = "\
In the last 60 min, by 3 snapshots: 1 leak.

leak: f
    at src/f.rs:7
    from g, src/g.rs:8
    and 2 more stacks
    +3.02 KiB ± 512 B in 30 min, since 00:30:00 UTC: 6.05 KiB/h
    in use 4.00 KiB ± 640 B: 1 024 objects, 40 samples
    age 60 s (median), 2.0 h (oldest)
    chance of error < 1 in 3 000 000 (z 6.0); full in about 3.0 h
    ▁▃█

leak: It grows steadily, and what was allocated earlier is still there. Find
    what keeps these blocks: the line shows where they are allocated, and its
    callers show for whom. A cache that fills for longer than two and a half
    minutes looks the same until it is full.

a note
";
        assert_eq!(report().to_string(), expected);
        let empty = Report { suspects: Vec::new(), notes: Vec::new(), ..report() };
        assert_eq!(
            empty.to_string(),
            "In the last 60 min, by 3 snapshots: nothing grows that chance alone would not\n    explain.\n"
        );
        let unknown = Report { is_known: false, ..empty };
        assert_eq!(unknown.to_string(), "Nothing was sampled, so nobody knows what grows.\n");
    }

    #[test]
    fn where_tasks_wait_stands_below_the_suspect() {
        let text = report_with_tasks().to_string();
        let expected = "
    tasks 990 ± 50: 65 samples; +400 ± 40 since 00:30:00 UTC
    900 ± 30 wait at shop::read (src/read.rs:7) for tokio::sync::mpsc::bounded
        ::Receiver::recv, age 20 s (median), 90 s (oldest)
    90 ± 40: where they wait is not known, age 20 s (median), 90 s (oldest)
";
        assert!(text.contains(expected), "{text}");
        assert!(text.ends_with("a note\ntasks: a note\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn what_stopped_has_no_rate() {
        let mut stopped = report();
        let growth = &mut stopped.suspects[0].growth;
        *growth = Growth { kind: Kind::Burst, since: 0, until: 1, ..*growth };
        stopped.suspects[0].bytes[0] = 7.0;
        stopped.suspects[0].full_in = None;
        let text = stopped.to_string();
        assert!(text.contains("\ngrew once, stopped: f\n"), "{text}");
        let growth = "    +3.02 KiB ± 512 B in 30 min, from 00:00:00 or before to 00:30:00 UTC\n";
        assert!(text.contains(growth), "{text}");
        assert!(!text.contains("/h") && !text.contains("full in"), "{text}");
        // Where nothing was in use at the first moment, growth began then.
        stopped.suspects[0].bytes[0] = 0.0;
        assert!(!stopped.to_string().contains("or before"), "{stopped}");
    }

    #[test]
    fn too_early_is_no_verdict() {
        let mut early = Report { too_early: Some(Duration::from_secs(25)), ..report() };
        assert!(
            early.to_string().starts_with("Too early: first verdict in 25 s; until then, this grew.\n\n")
        );
        early.suspects.clear();
        assert!(early.to_string().starts_with("Too early: first verdict in 25 s.\n"), "{early}");
    }

    #[test]
    fn a_spark_line_fits() {
        assert_eq!(spark_line(&[0.0, 7.0]), "▁█");
        let many: Vec<f64> = (0..200).map(f64::from).collect();
        let line = spark_line(&many);
        assert!(line.chars().count() <= MAX_BARS && line.ends_with('█'), "{line}");
    }
}
