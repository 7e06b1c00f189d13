//! Recordings by others as the tables that `fit` and `evaluate` work on: one stream, or some signals, hold the features, a
//! row a sample, and others the states.
//!
//! Raw signals sampled faster than a decoder runs are no features yet, and nothing here makes any of them.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::{
    edf::{EdfRecording, read_edf},
    xdf::{Problem, recording::RecordedStream},
};
use kalmind_types::ChannelMask;

use super::{
    RecordedTablesError,
    tables::{chosen, columns, fill_with_means, find_stream, interpolated, plain, read_streams, table},
};
use crate::tables::{Part, Tables};

/// Which streams and channels are what.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelSelection<'a> {
    /// The stream with the features, by name or key.
    pub features_stream: Option<&'a str>,
    /// Its channels, or signals of an EDF file, by label or number from 0.
    pub feature_channels: Option<&'a str>,
    /// The stream with the states.
    pub states_stream: Option<&'a str>,
    /// Its channels, or signals of an EDF file.
    pub state_channels: Option<&'a str>,
    /// What texts are in, where they are not UTF-8.
    pub encoding: Option<&'static Encoding>,
}

/// Some channels over time.
struct Signals {
    names: Vec<String>,
    units: Option<Vec<String>>,
    stamps: Vec<f64>,
    /// Row by row, a value a name.
    values: Vec<f64>,
}

impl Signals {
    /// Leaves out samples that are not stamped later than those before; how many there were.
    fn keep_rising(&mut self) -> usize {
        let width = self.names.len().max(1);
        let (mut stamps, mut values) = (Vec::with_capacity(self.stamps.len()), Vec::new());
        for (stamp, row) in self.stamps.iter().zip(self.values.chunks_exact(width)) {
            if stamp.is_finite() && stamps.last().is_none_or(|last| stamp > last) {
                stamps.push(*stamp);
                values.extend_from_slice(row);
            }
        }
        let left_out = self.stamps.len() - stamps.len();
        (self.stamps, self.values) = (stamps, values);
        left_out
    }
}

/// Samples of one stream of an XDF file beside another stream, interpolated at their times.
///
/// # Errors
/// [`RecordedTablesError`].
pub fn foreign_tables(path: &Path, selection: &ChannelSelection<'_>) -> Result<Tables, RecordedTablesError> {
    let (Some(features), Some(states)) = (selection.features_stream, selection.states_stream) else {
        return Err(RecordedTablesError::Unsaid(
            "name the stream with the features with --features-stream, and the one with the states with --states-stream",
        ));
    };
    let mut recorded = read_streams(path, selection.encoding, &[features, states])?;
    let of = |stream: &RecordedStream, option, channels| {
        let (names, places) = columns(stream, option, channels)?;
        let all = plain(&stream.values);
        let rows = all.chunks_exact(stream.header.channels.max(1));
        let values = rows.flat_map(|row| places.iter().map(move |place| row[*place])).collect();
        let units = stream.header.units.as_ref();
        let units = units.map(|units| places.iter().map(|place| units[*place].clone()).collect());
        Ok::<_, RecordedTablesError>(Signals { names, units, stamps: stream.stamps_beside_others(), values })
    };
    let features_of = find_stream(&recorded, "--features-stream", features)?;
    let states_of = find_stream(&recorded, "--states-stream", states)?;
    let (features_id, states_id) = (features_of.id, states_of.id);
    let features = of(features_of, "--feature-channels", selection.feature_channels)?;
    let states = of(states_of, "--state-channels", selection.state_channels)?;
    recorded.streams.retain(|stream| [features_id, states_id].contains(&stream.id));
    if let Some(clocks) = recorded.mixed_clocks() {
        return Err(RecordedTablesError::MixedClocks(clocks));
    }
    let mut tables = rows(path, features, states, selection.states_stream.unwrap_or_default())?;
    let file = path.display();
    let told = |problem: &Problem| format!("{file}: byte {}: {}", problem.offset, problem.text);
    tables.remarks.extend(recorded.problems.iter().map(told));
    Ok(tables)
}

/// Samples of some signals of an EDF or BDF file beside others, interpolated at their times.
///
/// # Errors
/// [`RecordedTablesError`].
pub fn edf_tables(path: &Path, selection: &ChannelSelection<'_>) -> Result<Tables, RecordedTablesError> {
    let (None, None, Some(states)) =
        (selection.features_stream, selection.states_stream, selection.state_channels)
    else {
        return Err(RecordedTablesError::Unsaid(
            "an EDF or BDF file has signals and no streams: name those that are the states with --state-channels (`kalmind recording \
             info` lists them); the others, or those that --feature-channels names, are the features",
        ));
    };
    let edf = read_edf(path, selection.encoding)?;
    let labels: Vec<String> = edf.signals.iter().map(|signal| signal.label.clone()).collect();
    let states = chosen(&labels, "--state-channels", states)?;
    let features = match selection.feature_channels {
        Some(features) => chosen(&labels, "--feature-channels", features)?,
        None => (0..labels.len()).filter(|signal| !states.contains(signal)).collect(),
    };
    let of_features = signals(&edf, &features, "--feature-channels")?;
    let of_states = signals(&edf, &states, "--state-channels")?;
    let named = of_states.names.join(",");
    let mut tables = rows(path, of_features, of_states, &named)?;
    let file = path.display();
    tables.remarks.extend(edf.remarks.iter().map(|remark| format!("{file}: {remark}")));
    Ok(tables)
}

/// Signals of one rate.
fn signals(
    edf: &EdfRecording,
    places: &[usize],
    option: &'static str,
) -> Result<Signals, RecordedTablesError> {
    let signals: Vec<_> = places.iter().filter_map(|place| edf.signals.get(*place)).collect();
    let Some(first) = signals.first() else {
        return Err(RecordedTablesError::Unsaid(
            "every signal is a state: name the features with --feature-channels",
        ));
    };
    if signals.iter().any(|signal| signal.samples_per_record != first.samples_per_record) {
        let found = signals.iter().map(|signal| format!("{} {} Hz", signal.label, signal.rate_hz)).collect();
        return Err(RecordedTablesError::Rates { option, found });
    }
    let count = signals.iter().map(|signal| signal.values.len()).min().unwrap_or_default();
    let stamps: Option<Vec<f64>> = (0..count).map(|sample| edf.time(first, sample)).collect();
    let stamps = stamps.ok_or(RecordedTablesError::Unsaid(
        "the file does not say how long its records last, so its samples have no times",
    ))?;
    Ok(Signals {
        names: signals.iter().map(|signal| signal.label.clone()).collect(),
        units: Some(signals.iter().map(|signal| signal.unit.clone()).collect()),
        stamps,
        values: (0..count)
            .flat_map(|sample| signals.iter().map(move |signal| signal.values[sample]))
            .collect(),
    })
}

/// A row for every sample of the features that has a state.
fn rows(
    path: &Path,
    from: Signals,
    mut beside: Signals,
    states_named: &str,
) -> Result<Tables, RecordedTablesError> {
    let (width, components) = (from.names.len(), beside.names.len());
    if width > ChannelMask::CAPACITY {
        return Err(RecordedTablesError::TooWide(width));
    }
    let places: Vec<usize> = (0..components).collect();
    let unplaced = beside.keep_rising();
    let (mut features, mut states, mut time) = (Vec::new(), Vec::new(), Vec::<f64>::new());
    let (mut unordered, mut stateless, mut missing) = (0_usize, 0_usize, 0_usize);
    for (stamp, row) in from.stamps.iter().zip(from.values.chunks_exact(width.max(1))) {
        if !stamp.is_finite() || time.last().is_some_and(|last| stamp <= last) {
            unordered += 1;
            continue;
        }
        let state = interpolated(&beside.stamps, &beside.values, components, &places, *stamp);
        let valid = row.iter().filter(|value| value.is_finite()).count();
        let (Some(state), true) = (state, valid > 0) else {
            stateless += 1;
            continue;
        };
        missing += width - valid;
        features.extend(row);
        states.extend(state);
        time.push(*stamp);
    }
    let Some(period) = crate::tables::median_step(&time) else {
        return Err(RecordedTablesError::NoOverlap(states_named.to_owned()));
    };
    fill_with_means(&mut features, width);
    let (file, count) = (path.display(), time.len());
    let remark = |count: usize, what: &str| (count > 0).then(|| format!("{file}: {count} {what}"));
    let bin_ms = 1e3 * period;
    let implausible = (!(0.999..=200.2).contains(&bin_ms)).then(|| {
        format!(
            "{file}: its samples are {bin_ms:.3} ms apart, and a run decodes bins of 1 to 200 ms: raw signals are no features yet, so make \
             a table of features first"
        )
    });
    let remarks = [
        remark(unordered, "samples were left out: they are not stamped later than the one before"),
        remark(unplaced, "states were left out: they are not stamped later than the one before"),
        remark(
            stateless,
            "samples were left out: no state lies within a second on either side, or they hold no number",
        ),
        remark(missing, "values that are no number were replaced by the mean of their feature"),
        implausible.clone(),
    ];
    let mut states = table(Some(beside.names.clone()), states, count, components);
    states.units.clone_from(&beside.units);
    Ok(Tables {
        parts: vec![Part { file: path.to_owned(), rows: 0..count }],
        features: table(Some(from.names), features, count, width),
        states,
        task: None,
        bin_ms,
        time,
        session: None,
        remarks: remarks.into_iter().flatten().collect(),
        implausible,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_sample_with_a_state_beside_it() {
        let features = Signals {
            names: vec!["a".into(), "b".into()],
            units: None,
            stamps: vec![0.0, 0.1, 0.2, 0.15, 0.3, 0.4],
            values: vec![1.0, 2.0, 3.0, f64::NAN, 5.0, 6.0, 7.0, 8.0, f64::NAN, f64::NAN, 9.0, 10.0],
        };
        let states = Signals {
            names: vec!["x".into()],
            units: Some(vec!["mm".into()]),
            stamps: vec![0.1, 0.5],
            values: vec![0.0, 4.0],
        };
        let tables = rows(Path::new("r.xdf"), features, states, "Hand").expect("rows");
        assert_eq!(tables.time, [0.1, 0.2, 0.4]);
        assert_eq!(
            tables.features.values,
            [3.0, 8.0, 5.0, 6.0, 9.0, 10.0],
            "a missing value is its feature's mean"
        );
        assert!(
            tables.states.values.iter().zip([0.0, 1.0, 3.0]).all(|(own, right)| (own - right).abs() < 1e-12)
        );
        assert_eq!(tables.states.units.as_deref(), Some(&["mm".to_owned()][..]));
        assert_eq!(tables.remarks.len(), 3, "{:?}", tables.remarks);
        assert!(tables.implausible.is_none());
    }
}
