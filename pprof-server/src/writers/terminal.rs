//! This shows the table of the heaviest stacks as a terminal does.
//!
//! Path: *read path*.

use super::table::{Table, TableRow};
use super::wrapped::{Wrapped, between_words};
use crate::profile::{Ages, Amount, Frame, Time, Unit, ValueType, standard_error};
use std::fmt;

/// So many rows are printed unless a precision says otherwise.
pub(crate) const ROWS_SHOWN: usize = 10;
/// So many columns stand before a row's stack, which is below its figures: what it holds stands out then.
const MARGIN: usize = 11;

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
        writeln!(f, "{what}: {total}{error}{events} on {}.", count_of(busy, "stack"))?;
        let shown = f.precision().unwrap_or(ROWS_SHOWN);
        let rows = &self.rows[..shown.min(self.rows.len())];
        self.write_rows(rows, f)?;
        let hidden = busy.saturating_sub(rows.len());
        if hidden > 0 {
            let shown = rows.iter().map(|row| row.values[self.shown_type].value).sum::<f64>();
            let rest = Amount(self.totals[self.shown_type].value - shown, shown_type.unit);
            writeln!(f, "\n{} not shown, with {rest}{events} in all.", count_of(hidden, "more stack"))?;
        }
        match (self.idle_stacks, self.duration) {
            (0, _) => {}
            (idle, None) => writeln!(f, "\n{} with nothing {}.", count_of(idle, "stack"), family.state)?,
            (idle, Some(_)) => writeln!(f, "\n{} with {}.", count_of(idle, "stack"), family.no_change)?,
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        let wrapped = |text| Wrapped { text, margin: 0, hanging: 2, may_end: between_words };
        self.notes.iter().try_for_each(|note| write!(f, "{}", wrapped(note)))
    }
}

fn count_of(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
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
        let ages = if has_ages { "  median age    oldest" } else { "" };
        writeln!(f, " {:>8}{ages}", "samples")?;
        rows.iter().try_for_each(|row| self.write_row(row, &columns, f))
    }

    fn write_row(&self, row: &TableRow, columns: &Columns, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |value, index: usize| Amount(value, self.types[index].unit).to_string();
        let shown = row.values[self.shown_type].value;
        let share = if self.gross > 0.0 { 100.0 * shown / self.gross } else { 0.0 };
        let error = standard_error(self.types, &row.values, columns.amount);
        let error = error.map_or_else(String::new, |error| amount(error, columns.amount));
        let first = row.values[columns.amount];
        write!(f, "{share:>5.1} % {:>11} {error:>11}", amount(first.value, columns.amount))?;
        if let Some(count) = columns.count {
            write!(f, " {:>12}", amount(row.values[count].value, count))?;
        }
        write!(f, " {:>8}", first.samples)?;
        if let Some(Ages { median, max }) = row.ages {
            write!(f, "  {:>10} {:>9}", Time(median), Time(max))?;
        }
        writeln!(f)?;
        Frame::write_stack(&row.frames, MARGIN, f)
    }
}

/// The value types that a row shows, by their index.
struct Columns {
    amount: usize,
    count: Option<usize>,
}
