//! Which clocks a file's streams are on. Streams of one recording happened at one time: where their stamps lie days apart,
//! they are of different clocks, such as LSL's, which counts from a machine's start, and Unix time.

use time::OffsetDateTime;

/// Stamps further apart than this are not of one clock, in seconds.
pub(super) const APART: f64 = 86_400.0;

/// Streams on one clock.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockGroup {
    /// Their places among the streams that were asked about.
    pub streams: Vec<usize>,
    /// The earliest stamp.
    pub first: f64,
    /// The latest one.
    pub last: f64,
}

impl ClockGroup {
    /// What the clock may be, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        describe(self.first)
    }
}

/// What clock a stamp may be of, for people.
pub(super) fn describe(stamp: f64) -> String {
    // from 2001 to 2100
    let unix = 1e9..4.1e9;
    let units =
        [(1.0, ""), (1e-3, " in milliseconds"), (1e-6, " in microseconds"), (1e-9, " in nanoseconds")];
    let known = units.iter().find(|(unit, _)| unix.contains(&(stamp * unit)));
    match known {
        Some((unit, name)) => {
            let date = OffsetDateTime::from_unix_timestamp((stamp * unit) as i64);
            let date = date.map_or_else(|_| String::new(), |date| format!(", {}", date.date()));
            format!("Unix time{name}{date}")
        }
        None if (0.0..1e9).contains(&stamp) => "LSL time, which counts from a machine's start".to_owned(),
        None => "a clock that Kalmind does not know".to_owned(),
    }
}

/// Seconds as people read them: to the millisecond, and huge ones by their exponent.
pub(super) fn seconds(value: f64) -> String {
    if value.abs() >= 1e15 || !value.is_finite() {
        return format!("{value:e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Groups streams by clock: for each stream the span of its stamps, first and last, on the recorder's clock; `None` where it
/// has none. The groups come in the order of time.
#[must_use]
pub fn clock_groups(spans: &[Option<(f64, f64)>]) -> Vec<ClockGroup> {
    let mut spans: Vec<(usize, (f64, f64))> =
        spans.iter().enumerate().filter_map(|(stream, span)| span.map(|span| (stream, span))).collect();
    spans.retain(|(_, (first, last))| first.is_finite() && last.is_finite());
    spans.sort_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
    let mut groups: Vec<ClockGroup> = Vec::new();
    for (stream, (first, last)) in spans {
        match groups.last_mut() {
            Some(group) if first - group.last <= APART => {
                group.streams.push(stream);
                group.last = group.last.max(last);
            }
            _ => groups.push(ClockGroup { streams: vec![stream], first, last }),
        }
    }
    for group in &mut groups {
        group.streams.sort_unstable();
    }
    groups
}

/// What to tell of streams that are not on one clock; `names` are those of all streams. `None` where they are on one.
#[must_use]
pub fn mixed_clocks(groups: &[ClockGroup], names: &[String]) -> Option<String> {
    if groups.len() < 2 {
        return None;
    }
    let told: Vec<String> = groups
        .iter()
        .map(|group| {
            let streams: Vec<String> = group
                .streams
                .iter()
                .take(5)
                .map(|stream| format!("\"{}\"", names.get(*stream).map_or("", String::as_str)))
                .collect();
            let more = group.streams.len().saturating_sub(5);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let verb = if group.streams.len() == 1 { "begins" } else { "begin" };
            let first = seconds(group.first);
            format!("{}{more} {verb} at {first} s ({})", streams.join(", "), group.describe())
        })
        .collect();
    Some(format!(
        "the streams are stamped by different clocks, so their times cannot be compared: {}",
        told.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_days_apart_are_told_apart() {
        let spans =
            [Some((100.0, 110.0)), Some((1_690_000_100.0, 1_690_000_110.0)), None, Some((105.0, 2e4))];
        let groups = clock_groups(&spans);
        assert_eq!(
            groups.iter().map(|group| group.streams.clone()).collect::<Vec<_>>(),
            [vec![0, 3], vec![1]]
        );
        let names = ["A", "B", "C", "D"].map(str::to_owned);
        let told = mixed_clocks(&groups, &names).expect("two clocks");
        for part in ["\"A\", \"D\" begin at 100 s", "\"B\" begins at 1690000100 s (Unix time, 2023-07-22)"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(mixed_clocks(&groups[..1], &names), None);
        assert!(clock_groups(&[None, Some((f64::NAN, 1.0))]).is_empty());
    }
}
