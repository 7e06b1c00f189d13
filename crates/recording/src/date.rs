//! Moments as files name them.

/// A moment in Unix time as ISO 8601 in UTC, with the zone written as every reader of XDF takes it.
#[must_use]
pub fn date(unix: f64) -> String {
    let moment =
        time::OffsetDateTime::from_unix_timestamp(unix as i64).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}+0000",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // `date -u -d @1709208000`
        assert_eq!(date(1_709_208_000.9), "2024-02-29T12:00:00+0000");
    }
}
