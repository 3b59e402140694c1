//! Values are counted in these units. Bytes, counts and times are written as people read them.
//!
//! Path: *read path*.

use std::fmt;
use std::time::Duration;

/// Names the unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Bytes,
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "heap profiles have no times"))]
    Nanoseconds,
}

impl Unit {
    /// The name that pprof profiles have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Nanoseconds => "nanoseconds",
        }
    }
}

/// A value with its unit, as people read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount(pub(crate) f64, pub(crate) Unit);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Amount(value, unit) = *self;
        match unit {
            Unit::Count => Count(value).fmt(f),
            Unit::Bytes => Bytes(value).fmt(f),
            Unit::Nanoseconds => Nanoseconds(value).fmt(f),
        }
    }
}

/// An amount of memory in bytes, shown with three digits in the largest binary unit that fits. It may be negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&three_digits(self.0, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]))
    }
}

/// A time in nanoseconds, shown with three digits in the largest unit up to a second that fits. It may be negative.
#[derive(Clone, Copy, Debug)]
struct Nanoseconds(f64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&three_digits(self.0, 1000.0, &["ns", "µs", "ms", "s"]))
    }
}

/// Writes `amount` with three digits in the largest of `units` that fits. The amount is given in the first of them, and each
/// is `factor` times the one before.
fn three_digits(mut amount: f64, factor: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // Without the half, an amount of 1023.95 would be printed as 1024.
    while amount.abs() >= factor - 0.5 && unit + 1 < units.len() {
        amount /= factor;
        unit += 1;
    }
    let decimals = match amount.abs() {
        _ if unit == 0 => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{amount:.decimals$} {}", units[unit])
}

/// A number of objects, rounded, with its thousands set apart. It may be negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) f64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = self.0.round() as i64;
        let digits = rounded.unsigned_abs().to_string();
        let mut text = String::from(if rounded < 0 { "-" } else { "" });
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(' ');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A number of things of this name, as people say it: `1 sample`, `2 000 samples`.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Things(pub(crate) f64, pub(crate) &'static str);

#[cfg(feature = "http")]
impl fmt::Display for Things {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Things(number, name) = *self;
        // What is written decides, and not what is behind the point.
        let plural = if number.round() == 1.0 { "" } else { "s" };
        write!(f, "{} {name}{plural}", Count(number))
    }
}

/// A time in the largest unit that fits, as people say it: `7.5 s`, `12 min`, `3.4 h`, `5.0 d`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (amount, unit) = match seconds {
            _ if seconds < 99.5 => (seconds, "s"),
            _ if seconds < 99.5 * 60.0 => (seconds / 60.0, "min"),
            _ if seconds < 48.0 * 3600.0 => (seconds / 3600.0, "h"),
            _ => (seconds / 86400.0, "d"),
        };
        let decimals = usize::from(amount < 9.95);
        f.pad(&format!("{amount:.decimals$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        let shown = [0.0, 1023.0, 1024.0, 1536.0, -10240.0, 1023.9 * 1024.0, 5e9, 1e30, f64::NAN]
            .map(|bytes| Bytes(bytes).to_string());
        assert_eq!(
            shown[..7],
            ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "-10.0 KiB", "1.00 MiB", "4.66 GiB"]
        );
        assert!(shown[7].ends_with(" PiB"));
        assert_eq!(shown[8], "NaN B");
        assert_eq!(format!("{:>9}|", Bytes(2048.0)), " 2.00 KiB|");
    }

    #[test]
    fn times_that_are_measured_have_three_digits() {
        let shown = [0.0, 999.0, 1000.0, 12_340.0, 10e6, -216e6, 999.6e6, 30e9, 3600e9]
            .map(|value| Amount(value, Unit::Nanoseconds).to_string());
        assert_eq!(
            shown,
            ["0 ns", "999 ns", "1.00 µs", "12.3 µs", "10.0 ms", "-216 ms", "1.00 s", "30.0 s", "3600 s"]
        );
    }

    #[test]
    fn thousands_stand_apart() {
        let shown = [0.0, 999.4, 1000.0, -1234567.0].map(|objects| Count(objects).to_string());
        assert_eq!(shown, ["0", "999", "1 000", "-1 234 567"]);
    }

    #[cfg(feature = "http")]
    #[test]
    fn one_thing_is_no_things() {
        let shown = [0.0, 1.0, 1.4, 2.0, 2000.0].map(|samples| Things(samples, "sample").to_string());
        assert_eq!(shown, ["0 samples", "1 sample", "1 sample", "2 samples", "2 000 samples"]);
    }

    #[test]
    fn times_have_two_digits_and_a_unit() {
        let shown = [0.0, 7.46, 62.0, 720.0, 5400.0, 12_240.0, 172_800.0, 8e6]
            .map(|seconds| Time(Duration::from_secs_f64(seconds)).to_string());
        assert_eq!(shown, ["0.0 s", "7.5 s", "62 s", "12 min", "90 min", "3.4 h", "2.0 d", "93 d"]);
    }
}
