//! Columns of values that rise from row to row, as times and numbers of rows do.

/// Rows below which a column that rises says nothing.
const ROWS: u64 = 20;
/// Rows from which on numbers that rise, all of them Unix times of today's order, are no values.
const UNIX_ROWS: u64 = 3;
/// Seconds that are taken for Unix time: the years 2001 to 2099.
const UNIX: std::ops::RangeInclusive<f64> = 1e9..=4.1e9;
/// Columns that remarks name.
const NAMED: usize = 5;

/// Whether a column rises, and by what steps.
#[derive(Clone, Copy, Default)]
pub(super) struct Rising {
    rows: u64,
    first: f64,
    last: f64,
    least: f64,
    greatest: f64,
}

impl Rising {
    pub(super) fn saw(&mut self, value: f64) {
        let step = value - self.last;
        match self.rows {
            0 => self.first = value,
            1 => (self.least, self.greatest) = (step, step),
            _ => (self.least, self.greatest) = (self.least.min(step), self.greatest.max(step)),
        }
        self.last = value;
        self.rows += 1;
    }

    fn rises(&self, rows: u64) -> bool {
        self.rows >= rows && self.least > 0.0
    }

    /// Why the column is refused as values, where its name or its numbers say that it holds times.
    pub(super) fn refusal(&self, name: Option<&str>, has_times: bool) -> Option<String> {
        let why = if self.rises(UNIX_ROWS) && UNIX.contains(&self.first) && UNIX.contains(&self.last) {
            "its numbers rise from row to row and are Unix times"
        } else if self.rises(ROWS) && name.is_some_and(is_called_time) {
            "its name says that it holds times, and they rise from row to row"
        } else {
            return None;
        };
        let what = match (has_times, name) {
            (true, _) => "another column holds the times, so leave it out",
            (false, Some(_)) => "rename it to `time` if it is in seconds, or leave it out",
            (false, None) => "call it `time` in a header if it is in seconds, or leave it out",
        };
        Some(format!("{why}; {what}"))
    }

    /// That the column may hold times.
    pub(super) fn remark(&self, column: usize, name: Option<&str>) -> Option<String> {
        if !self.rises(ROWS) {
            return None;
        }
        let step = (self.last - self.first) / (self.rows as f64 - 1.0);
        let how = if self.greatest - self.least < 0.01 * step {
            format!("rises evenly, by {step:.6} from row to row,")
        } else {
            "rises from row to row".to_owned()
        };
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        Some(format!("column {column}{name} {how} and was read as values"))
    }
}

/// Keeps the first remarks, counts the others, and says once what to do.
pub(super) fn shorten(remarks: &mut Vec<String>) {
    if let Some(first) = remarks.first_mut() {
        first.push_str(": if it holds times or numbers of rows, call it `time` or remove it");
    }
    let more = remarks.len().saturating_sub(NAMED);
    if more > 0 {
        remarks.truncate(NAMED);
        remarks.push(format!("{more} more columns rise from row to row"));
    }
}

/// Whether `time` or `stamp` is a word of a name: `stim_time`, `DeviceTimeStamp`, `timestamps2`; not `timer`.
fn is_called_time(name: &str) -> bool {
    let mut words = String::new();
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(character) = rest.next() {
        let begins_word = before.is_lowercase()
            || (before.is_uppercase() && rest.peek().is_some_and(|next| next.is_lowercase()));
        if character.is_uppercase() && begins_word {
            words.push(' ');
        }
        words.extend(character.to_lowercase());
        before = character;
    }
    words
        .split(|character: char| !character.is_alphabetic())
        .any(|word| matches!(word, "time" | "times" | "stamp" | "stamps" | "timestamp" | "timestamps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_a_word_of_a_name() {
        for name in ["stim_time", "time of day", "DeviceTimeStamp", "LSLTime", "timestamps2", "frame stamp"] {
            assert!(is_called_time(name), "{name}");
        }
        for name in ["timer", "sometimes", "vx", "estimate", "stamped", ""] {
            assert!(!is_called_time(name), "{name}");
        }
    }
}
