//! Bytes and counts as people read them.
//!
//! Used by `notes` and `table`.
//!
//! Path: *read path*.

use std::fmt;

/// An amount of memory in bytes, shown with three digits in the largest binary unit that fits. May be negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut amount = self.0;
        let mut unit = 0;
        // 1023.95 would be printed as 1024.
        while amount.abs() >= 1023.5 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        let decimals = match amount.abs() {
            _ if unit == 0 => 0,
            small if small < 9.995 => 2,
            middle if middle < 99.95 => 1,
            _ => 0,
        };
        f.pad(&format!("{amount:.decimals$} {}", UNITS[unit]))
    }
}

/// A number of objects, rounded, with its thousands set apart. May be negative.
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
    fn thousands_stand_apart() {
        let shown = [0.0, 999.4, 1000.0, -1234567.0].map(|objects| Count(objects).to_string());
        assert_eq!(shown, ["0", "999", "1 000", "-1 234 567"]);
    }
}
