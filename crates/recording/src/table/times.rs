//! Times as programs write them for people: dates and times of ISO 8601, and times of a day.

use time::{Date, Month};

/// Seconds of a date and time (Unix time; UTC where no offset is stated), or of a time of day (since midnight).
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let Some((date, clock)) = text.split_once(['T', ' ']).filter(|(date, _)| date.contains(['-', '/']))
    else {
        return time_of_day(text);
    };
    let mut parts = date.split(['-', '/']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    let (clock, offset) = without_offset(clock.trim())?;
    let midnight = date.midnight().assume_utc().unix_timestamp();
    Some(midnight as f64 + time_of_day(clock)? - offset)
}

/// A time without its offset from UTC, and that in seconds.
fn without_offset(clock: &str) -> Option<(&str, f64)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0.0));
    }
    let Some(place) = clock.rfind(['+', '-']) else { return Some((clock, 0.0)) };
    let (clock, offset) = clock.split_at_checked(place)?;
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes: f64 = if minutes.is_empty() { 0.0 } else { minutes.parse().ok()? };
    let seconds = 3600.0 * hours.parse::<f64>().ok()? + 60.0 * minutes;
    Some((clock, if offset.starts_with('-') { -seconds } else { seconds }))
}

fn time_of_day(text: &str) -> Option<f64> {
    let mut parts = text.split(':');
    let (hours, minutes) = (parts.next()?, parts.next()?);
    let seconds = parts.next().unwrap_or("0");
    let whole = |part: &str| part.parse::<u8>().ok().map(f64::from);
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    let seconds = seconds.replacen(',', ".", 1).parse::<f64>().ok()?;
    let possible = parts.next().is_none() && hours < 24.0 && minutes < 60.0 && (0.0..61.0).contains(&seconds);
    possible.then_some(3600.0 * hours + 60.0 * minutes + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_seconds() {
        // by `date -u -d .. +%s`
        for (text, expected) in [
            ("2026-01-01T10:00:00.020Z", Some(1_767_261_600.02)),
            ("2026-01-01 10:00:00.020", Some(1_767_261_600.02)),
            ("2026-01-01T10:00:00+01:00", Some(1_767_258_000.0)),
            ("2026/01/01 10:00", Some(1_767_261_600.0)),
            ("10:00:00,5", Some(36_000.5)),
            ("2026-01-01", None),
            ("2026-02-30 10:00:00", None),
            ("25:00:00", None),
            ("0.5", None),
            ("left", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
