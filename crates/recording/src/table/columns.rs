//! What each column of a table is: time, values, or something that is neither.

use std::collections::HashMap;

use super::times;

/// What the columns are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    /// The column of times, and the seconds that one of its units lasts.
    pub(crate) time: Option<(usize, f64)>,
    /// The columns of values, in order.
    pub(crate) values: Vec<usize>,
    /// Their names, where there is a header.
    pub(crate) names: Option<Vec<String>>,
    /// Their units, where every name states one.
    pub(crate) units: Option<Vec<String>>,
    /// What was assumed, and what was left out.
    pub(crate) remarks: Vec<String>,
}

/// Names of columns in which programs number the rows, or the recordings that they are of.
const NUMBERING: [&str; 10] = [
    "",
    "sample index",
    "sample_index",
    "sample",
    "index",
    "frame",
    "row",
    "counter",
    "unnamed: 0",
    "recording",
];
/// Units of times.
const UNITS: [(f64, &str); 6] = [
    (1.0, "seconds"),
    (1e-3, "milliseconds"),
    (1e-6, "microseconds"),
    (1e-9, "nanoseconds"),
    (60.0, "minutes"),
    (3600.0, "hours"),
];
/// What the CSV writer of `OpenViBE` puts beside the channels.
const OPENVIBE: [&str; 4] = ["epoch", "event id", "event date", "event duration"];

impl Columns {
    /// The columns of a file without names: all of them are values.
    pub(crate) fn unnamed(count: usize) -> Self {
        Self { values: (0..count).collect(), ..Self::default() }
    }

    /// The columns of an export of `OpenBCI` without names, as its programs wrote it up to 2019: the first one numbers the rows,
    /// and one holds times of day. `row` is the first row.
    pub(crate) fn old_openbci(row: &[&str]) -> Self {
        let clock = row.iter().position(|cell| times::seconds(cell).is_some());
        let values = (1..row.len()).filter(|column| Some(*column) != clock).collect();
        let mut remarks = vec!["column 1 was left out: OpenBCI numbers the rows there".to_owned()];
        remarks.extend(
            clock.map(|clock| format!("column {} was taken as time: it holds times of day", clock + 1)),
        );
        Self { time: clock.map(|clock| (clock, 1.0)), values, remarks, ..Self::default() }
    }

    /// The columns of a file with these names; `row` is the first row below them, and says which columns hold numbers.
    pub(crate) fn named(names: &[String], row: &[&str], from_openbci: bool) -> Self {
        let mut columns = Self::default();
        // also with a decimal comma
        let is_number = |column: usize| {
            row.get(column).is_none_or(|cell| cell.replacen(',', ".", 1).parse::<f64>().is_ok())
        };
        let times: Vec<(usize, f64)> = names
            .iter()
            .enumerate()
            .filter_map(|(column, name)| Some((column, seconds_a_unit(name, column)?)))
            .collect();
        let is_exg = |name: &str| name.to_lowercase().starts_with("exg channel");
        let from_openbci = from_openbci && names.iter().any(|name| is_exg(name));
        let is_date = |column: usize| row.get(column).is_some_and(|cell| times::seconds(cell).is_some());
        let exact = times.iter().find(|(column, _)| names[*column].eq_ignore_ascii_case("time"));
        columns.time = exact
            .or_else(|| times.iter().find(|(column, _)| is_number(*column)))
            .or_else(|| times.iter().find(|(column, _)| is_date(*column)))
            .copied();
        let from_openvibe = names.iter().any(|name| {
            name.to_ascii_lowercase().strip_prefix("time:").is_some_and(|rate| rate.ends_with("hz"))
        });
        let mut kept = Vec::new();
        for (column, name) in names.iter().enumerate() {
            let lower = name.to_lowercase();
            let numbered = || row.get(column).is_some_and(|cell| cell.parse::<i64>().is_ok());
            let why = if columns.time.is_some_and(|(time, _)| time == column) {
                continue;
            } else if times.iter().any(|(other, _)| *other == column) {
                if is_number(column) { "another column holds the times" } else { "its times are texts" }
            } else if from_openbci && !is_exg(name) {
                "it is no EXG channel of OpenBCI"
            } else if from_openvibe && OPENVIBE.contains(&lower.as_str()) {
                "OpenViBE describes epochs and events there"
            } else if lower == "sampling rate" {
                "it states a rate and no values"
            } else if column == 0 && NUMBERING.contains(&lower.as_str()) && numbered() {
                "it numbers the rows, or what they are of"
            } else {
                kept.push((column, name.clone()));
                continue;
            };
            columns.remarks.push(format!("column {} ({name}) was left out: {why}", column + 1));
        }
        if let Some((column, seconds)) = columns.time
            && !names[column].eq_ignore_ascii_case("time")
        {
            let unit = UNITS
                .iter()
                .find(|(value, _)| f64::total_cmp(value, &seconds).is_eq())
                .map_or("seconds", |(_, unit)| unit);
            columns.remarks.push(format!(
                "column {} ({}) was taken as time in {unit}",
                column + 1,
                names[column]
            ));
        }
        columns.values = kept.iter().map(|(column, _)| *column).collect();
        columns.names = Some(kept.into_iter().map(|(_, name)| name).collect());
        columns.part_units();
        columns
    }

    /// Takes the units out of the names where every name ends in one in brackets, as in `vx (mm/s)`.
    fn part_units(&mut self) {
        let Some(names) = &self.names else { return };
        let parted: Option<Vec<(String, String)>> = names.iter().map(|name| bracketed(name)).collect();
        let Some(parted) = parted.filter(|parted| !parted.is_empty()) else { return };
        let (names, units): (Vec<String>, Vec<String>) = parted.into_iter().unzip();
        if first_repeated(&names).is_none() {
            self.remarks.push(format!(
                "units were taken from the names of the columns: {:?} is in {:?}",
                names[0], units[0]
            ));
            self.names = Some(names);
            self.units = Some(units);
        }
    }
}

/// The first name that stood before, and where both are.
pub(crate) fn first_repeated(names: &[String]) -> Option<(usize, usize)> {
    let mut known = HashMap::with_capacity(names.len());
    names
        .iter()
        .enumerate()
        .find_map(|(column, name)| known.insert(name, column).map(|first| (first, column)))
}

/// `vx (mm/s)` as `vx` and `mm/s`.
fn bracketed(name: &str) -> Option<(String, String)> {
    let (open, rest) = match name.chars().last()? {
        ')' => ('(', name.strip_suffix(')')?),
        ']' => ('[', name.strip_suffix(']')?),
        _ => return None,
    };
    let (before, unit) = rest.rsplit_once(open)?;
    let (before, unit) = (before.trim(), unit.trim());
    (!before.is_empty() && !unit.is_empty()).then(|| (before.to_owned(), unit.to_owned()))
}

/// The seconds that a unit of a column of times lasts; none where the name is not that of times. `t` and names of mere units
/// are times in the first column only.
fn seconds_a_unit(name: &str, column: usize) -> Option<f64> {
    let lower = name.trim().to_lowercase();
    if let Some((base, rate)) = lower.split_once(':')
        && base.trim() == "time"
        && rate.ends_with("hz")
    {
        return Some(1.0);
    }
    let (base, unit) = match bracketed(&lower) {
        Some((base, unit)) => (base, Some(unit)),
        None => match lower.rsplit_once(['_', ' ', '.', '-']) {
            Some((base, unit)) if unit_seconds(unit).is_some() => (base.to_owned(), Some(unit.to_owned())),
            _ => (lower.clone(), None),
        },
    };
    let plain: String = base.chars().filter(|character| character.is_alphanumeric()).collect();
    let is_time = matches!(
        plain.as_str(),
        "time"
            | "times"
            | "timestamp"
            | "timestamps"
            | "ts"
            | "timestamplsl"
            | "localtimestamp"
            | "devicetime"
            | "recordingtime"
            | "lsltime"
            | "lsltimestamp"
            | "lsltimestamps"
            | "lslclock"
            | "localclock"
            | "unixtime"
            | "unixtimestamp"
            | "unix"
            | "epochtime"
            | "datetime"
            | "date"
            | "systemtime"
            | "zeit"
            | "zeitstempel"
            | "temps"
            | "tiempo"
            | "elapsedtime"
            | "timesincestart"
    );
    match unit {
        Some(unit) if is_time || (plain == "t" && column == 0) => unit_seconds(&unit),
        None if is_time || (plain == "t" && column == 0) => Some(1.0),
        // a least value is called min as well
        None if column == 0 && plain.len() > 1 && plain != "min" => unit_seconds(&plain),
        _ => None,
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "us" | "\u{b5}s" | "\u{3bc}s" | "usec" | "microsecond" | "microseconds" => 1e-6,
        "ns" | "nanosecond" | "nanoseconds" => 1e-9,
        "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_by_their_usual_names_and_units() {
        for (name, seconds) in [
            ("time", 1.0),
            ("Time", 1.0),
            ("timestamps", 1.0),
            ("Time Stamp", 1.0),
            ("lsl_timestamp", 1.0),
            ("Time:250Hz", 1.0),
            ("time (s)", 1.0),
            ("time [ms]", 1e-3),
            ("time_ms", 1e-3),
            ("timestamp_us", 1e-6),
            ("t", 1.0),
            ("t_ms", 1e-3),
            ("seconds", 1.0),
            ("time (min)", 60.0),
            ("time_minutes", 60.0),
            ("Time [h]", 3600.0),
            ("hours", 3600.0),
            ("ts", 1.0),
            ("TimeStamp LSL", 1.0),
            ("local_timestamp", 1.0),
            ("deviceTime", 1.0),
            ("Recording time [ms]", 1e-3),
        ] {
            assert_eq!(seconds_a_unit(name, 0), Some(seconds), "{name}");
        }
        for name in ["u0", "timer", "time to target", "vx (mm/s)", "reaction time", "s", "min", "h", "u_min"]
        {
            assert_eq!(seconds_a_unit(name, 0), None, "{name}");
        }
        assert_eq!(seconds_a_unit("t", 3), None, "a feature may be called t");
    }

    #[test]
    fn the_number_of_the_recording_is_no_value() {
        let names = ["recording", "time", "e0"].map(str::to_owned);
        let columns = Columns::named(&names, &["0", "1.5", "3"], false);
        assert_eq!((columns.time, columns.values), (Some((1, 1.0)), vec![2]));
    }
}
