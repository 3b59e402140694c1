//! The table of the heaviest stacks as a terminal shows it.
//!
//! Path: *read path*.

use super::table::{Table, TableRow};
use crate::profile::{Ages, Amount, Frame, Time, Unit, ValueType, standard_error};
use crate::symbols::role::{Role, role};
use std::fmt;

/// So many rows are printed unless a precision says otherwise.
pub(crate) const ROWS_SHOWN: usize = 10;
/// So many columns stand before the second line about a function, without those of counts and of ages.
const MARGIN: usize = 44;
/// Counts take so many columns.
const COUNT_WIDTH: usize = 13;
/// Ages take so many columns.
const AGES_WIDTH: usize = 23;
/// So many callers are printed below the first function of a row.
const CALLERS_SHOWN: usize = 3;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown_type = &self.types[self.shown_type];
        let family = shown_type.family;
        let total = Amount(self.totals[self.shown_type].value, shown_type.unit);
        let error = standard_error(self.types, &self.totals, self.shown_type);
        let error = error.map_or_else(String::new, |error| format!(" ± {}", Amount(error, shown_type.unit)));
        let events =
            if shown_type.unit == Unit::Count { format!(" {}", family.events) } else { String::new() };
        let what = match self.duration {
            None => family.total.to_owned(),
            Some(time) => format!("{} in {:.1} s", family.change, time.as_secs_f64()),
        };
        let busy = self.stacks.saturating_sub(self.idle_stacks);
        writeln!(f, "{what}: {total}{error}{events} on {}.", stacks(busy))?;
        let shown = f.precision().unwrap_or(ROWS_SHOWN);
        let rows = &self.rows[..shown.min(self.rows.len())];
        self.write_rows(rows, f)?;
        match busy.saturating_sub(rows.len()) {
            0 => {}
            1 => writeln!(f, "\n1 more stack not shown.")?,
            hidden => writeln!(f, "\n{hidden} more stacks not shown.")?,
        }
        match (self.idle_stacks, self.duration) {
            (0, _) => {}
            (idle, None) => writeln!(f, "\n{} with nothing {}.", stacks(idle), family.state)?,
            (idle, Some(_)) => writeln!(f, "\n{} with {}.", stacks(idle), family.no_change)?,
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

fn stacks(count: usize) -> String {
    if count == 1 { "1 stack".to_owned() } else { format!("{count} stacks") }
}

impl Table {
    /// Chooses the columns: those of the shown type's family, the amount before the count.
    fn columns(&self) -> Columns {
        let family = self.types[self.shown_type].family;
        let index = |is_count: bool| {
            self.types.iter().position(|of| of.family == family && (of.unit == Unit::Count) == is_count)
        };
        match (index(false), index(true)) {
            (Some(amount), count) => Columns { amount, count },
            (None, count) => Columns { amount: count.unwrap_or(self.shown_type), count: None },
        }
    }

    fn write_rows(&self, rows: &[TableRow], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
        let has_ages = rows.iter().any(|row| row.ages.is_some());
        let heading = |of: &ValueType| match of.unit {
            Unit::Count => of.family.events,
            Unit::Bytes => "bytes",
            Unit::Nanoseconds => "time",
        };
        let amount = heading(&self.types[columns.amount]);
        write!(f, "\n  share {amount:>11} {:>11}", "± std err")?;
        if let Some(count) = columns.count {
            write!(f, " {:>12}", heading(&self.types[count]))?;
        }
        let ages = if has_ages { "   age: median      max" } else { "" };
        writeln!(f, " {:>8}{ages}  function", "samples")?;
        rows.iter().try_for_each(|row| self.write_row(row, &columns, has_ages, f))
    }

    fn write_row(
        &self,
        row: &TableRow,
        columns: &Columns,
        has_ages: bool,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let amount = |value, index: usize| Amount(value, self.types[index].unit).to_string();
        let shown = row.values[self.shown_type].value;
        let share = if self.gross > 0.0 { 100.0 * shown / self.gross } else { 0.0 };
        let error = standard_error(self.types, &row.values, columns.amount);
        let error = error.map_or_else(String::new, |error| amount(error, columns.amount));
        let first = row.values[columns.amount];
        write!(f, "{share:>5.1} % {:>11} {error:>11}", amount(first.value, columns.amount))?;
        let mut margin = MARGIN;
        if let Some(count) = columns.count {
            write!(f, " {:>12}", amount(row.values[count].value, count))?;
            margin += COUNT_WIDTH;
        }
        write!(f, " {:>8}", first.samples)?;
        match row.ages {
            Some(Ages { median, max }) => write!(f, "      {:>8} {:>8}", Time(median), Time(max))?,
            None if has_ages => write!(f, "{:AGES_WIDTH$}", "")?,
            None => {}
        }
        let first = row.frames.first();
        writeln!(f, "  {}", first.map_or("[no names]", |frame| &frame.function))?;
        Frame::write_below(&row.frames, margin + if has_ages { AGES_WIDTH } else { 0 }, f)
    }
}

/// The value types that a row shows, by their index.
struct Columns {
    amount: usize,
    count: Option<usize>,
}

impl Frame {
    /// Writes what a row says below its first line: where the first of `frames` is, and who called it.
    pub(crate) fn write_below(frames: &[Frame], margin: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = frames.first().and_then(Frame::place) {
            writeln!(f, "{:margin$}at {place}", "")?;
        }
        // Of the callers, too, only those that somebody wrote are of interest.
        let callers = frames.iter().skip(1).filter(|frame| role(&frame.function, &frame.file) == Role::User);
        for caller in callers.take(CALLERS_SHOWN) {
            match caller.place() {
                Some(place) => writeln!(f, "{:margin$}from {}, {place}", "", caller.function)?,
                None => writeln!(f, "{:margin$}from {}", "", caller.function)?,
            }
        }
        Ok(())
    }

    /// Returns `file:line`, if they are known.
    fn place(&self) -> Option<String> {
        (!self.file.is_empty()).then(|| format!("{}:{}", short_path(&self.file), self.line))
    }
}

/// Returns the part of a path that tells something. It begins at the crate's folder for dependencies, at `library/` for
/// the standard library, and at the current directory for what lies in it.
fn short_path(path: &str) -> &str {
    let below = |prefix: &str| path.split_once(prefix).and_then(|(_, rest)| rest.split_once('/'));
    if let Some((_, rest)) = below("/registry/src/").or_else(|| below("/rustc/")) {
        return rest;
    }
    let current = std::env::current_dir().unwrap_or_default();
    let relative = current.to_str().and_then(|current| path.strip_prefix(current)?.strip_prefix('/'));
    relative.unwrap_or(path)
}
