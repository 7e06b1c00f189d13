//! A recorded session as the tables that `fit` and `evaluate` work on.

use std::path::{Path, PathBuf};

use kalmind_recording::{
    Table, TaskRow, TaskTable,
    xdf::{
        chunks::XdfError,
        recording::{RecordedStream, read_xdf_but},
        samples::Values,
    },
};
use kalmind_session::CalibrationError;
use kalmind_types::{Component, Samples};

use super::{GatherError, Gathered, Item, ReadError, SessionDocument, SessionReader, Wanted};
use crate::tables::{Session, Tables};

/// Why a recording gives no tables.
#[derive(Debug, thiserror::Error)]
pub enum RecordedTablesError {
    /// There is nothing to gather.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// Too little was gathered.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its bytes are damaged.
    #[error("the recording {}: {source}", .path.display())]
    Xdf {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: XdfError,
    },
    /// There is no such stream, or more than one.
    #[error("--states-stream {wanted}: the recording has {}", .found.join(", "))]
    NoStream {
        /// What was asked for.
        wanted: String,
        /// Streams of numbers.
        found: Vec<String>,
    },
    /// There is no such channel.
    #[error("--state-channels {wanted}: the stream has {}", .found.join(", "))]
    NoChannel {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// No tick lies within the stream.
    #[error("--states-stream {0}: no complete tick lies between its first and its last sample")]
    NoOverlap(String),
    /// Labels have two components.
    #[error(
        "labels from targets have 2 components (vx, vy), but the session's intent has {0}: use --states-stream"
    )]
    Components(usize),
}

/// Ticks of a session beside the labels of its targets, with the task's rows.
///
/// A row is a tick with a target in force at its start, a cursor that may move, and a complete bin. A channel without a
/// valid sample in a bin takes its mean. Where rows are missing in between, time has a gap, which ends a segment.
///
/// # Errors
/// [`RecordedTablesError`].
pub fn label_tables(gathered: &Gathered) -> Result<Tables, RecordedTablesError> {
    let session = &gathered.session;
    if session.components.len() != 2 {
        return Err(RecordedTablesError::Components(session.components.len()));
    }
    let data = gathered.calibration.data(false)?;
    let task = data.training.task.as_deref().unwrap_or_default();
    let width = data.training.features.ncols();
    let (mut features, mut states, mut time, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (row, &source) in data.gathered.iter().enumerate() {
        let (Some((at, _)), Some(sample)) = (gathered.rows.get(source), task.get(row)) else { continue };
        if !gathered.calibration.has_features(source) {
            continue;
        }
        features.extend(data.training.features.row(row).iter());
        states.extend(data.training.states.row(row).iter());
        time.push(at.0);
        rows.push(TaskRow {
            trial: sample.trial,
            target: sample.target,
            cursor: sample.cursor,
            hold: sample.hold,
        });
    }
    let count = time.len();
    Ok(Tables {
        features: table(feature_names(session), features, count, width),
        states: table(Some(component_names(session)), states, count, 2),
        task: Some(TaskTable { time: Some(time.clone()), rows }),
        bin_ms: session.bin_ms,
        time,
        session: Some(described(session)),
        remarks: Vec::new(),
        implausible: None,
    })
}

/// Complete ticks of a session beside a recorded stream, by name or key, interpolated at the ticks' times.
///
/// # Errors
/// [`RecordedTablesError`].
pub fn stream_tables(
    path: &Path,
    wanted: &str,
    channels: Option<&str>,
) -> Result<Tables, RecordedTablesError> {
    let is = |name: &str, key: Option<&str>| name == wanted || key == Some(wanted);
    let recorded = read_xdf_but(path, None, |header| !is(&header.name, header.key.as_deref()))
        .map_err(|source| RecordedTablesError::Xdf { path: path.to_owned(), source })?;
    let numbers = |stream: &&RecordedStream| stream.header.format.is_some();
    let mut found = recorded
        .streams
        .iter()
        .filter(numbers)
        .filter(|stream| is(&stream.header.name, stream.header.key.as_deref()));
    let (Some(stream), None) = (found.next(), found.next()) else {
        let names = recorded
            .streams
            .iter()
            .filter(numbers)
            .map(|stream| stream.header.key.as_ref().unwrap_or(&stream.header.name).clone());
        return Err(RecordedTablesError::NoStream { wanted: wanted.to_owned(), found: names.collect() });
    };
    let (names, places) = columns(stream, channels)?;
    let stamps = stream.synchronized_stamps();
    let values = plain(&stream.values);
    let mut reader = SessionReader::open(path, Wanted { inputs: false, features: true, ticks: true })?;
    let (mut session, mut width) = (None, 0);
    let (mut features, mut states, mut time) = (Vec::new(), Vec::new(), Vec::new());
    let mut complete = None;
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(document) => {
                width = document.engine.features.iter().map(|stream| stream.channels).sum();
                session = Some(document);
            }
            Item::Tick(tick) => {
                complete = (!tick.input.incomplete).then_some((tick.input.time.0, tick.input.masked));
            }
            Item::Features(at, row) => {
                let Some((tick, masked)) = complete.take().filter(|(tick, _)| tick.to_bits() == at.to_bits())
                else {
                    continue;
                };
                if let Some(state) = interpolated(&stamps, &values, stream.header.channels, &places, tick) {
                    states.extend(state);
                    features.extend(
                        row.iter().enumerate().map(
                            |(feature, value)| {
                                if masked.is_masked(feature) { f64::NAN } else { *value }
                            },
                        ),
                    );
                    time.push(tick);
                }
            }
            _ => {}
        }
    }
    let session = session.ok_or_else(|| ReadError::NoSession(path.to_owned()))?;
    let count = time.len();
    if count == 0 {
        return Err(RecordedTablesError::NoOverlap(wanted.to_owned()));
    }
    fill_with_means(&mut features, width);
    let units = stream.header.units.as_ref();
    let components = names.iter().zip(&places).map(|(name, place)| Component {
        name: name.clone(),
        unit: units.map(|units| units[*place].clone()).unwrap_or_default(),
    });
    let described = Session { components: components.collect(), label_law: None, ..described(&session) };
    Ok(Tables {
        features: table(feature_names(&session), features, count, width),
        states: table(Some(names), states, count, places.len()),
        task: None,
        bin_ms: session.bin_ms,
        time,
        session: Some(described),
        remarks: Vec::new(),
        implausible: None,
    })
}

/// Names and places of the channels that are states.
fn columns(
    stream: &RecordedStream,
    wanted: Option<&str>,
) -> Result<(Vec<String>, Vec<usize>), RecordedTablesError> {
    let header = &stream.header;
    let label = |channel: usize| {
        header.labels.as_ref().map_or_else(|| format!("channel{channel}"), |labels| labels[channel].clone())
    };
    let all: Vec<String> = (0..header.channels).map(label).collect();
    let Some(wanted) = wanted else { return Ok((all, (0..header.channels).collect())) };
    let places = wanted.split(',').map(str::trim).map(|name| {
        let known = all.iter().position(|label| label == name);
        known
            .or_else(|| name.parse().ok().filter(|place| *place < all.len()))
            .ok_or_else(|| RecordedTablesError::NoChannel { wanted: name.to_owned(), found: all.clone() })
    });
    let places: Vec<usize> = places.collect::<Result<_, _>>()?;
    Ok((places.iter().map(|place| all[*place].clone()).collect(), places))
}

/// Channels of a stream at a time between two samples; none outside, across a gap of a second, or at a number that is
/// none.
fn interpolated(
    stamps: &[f64],
    values: &[f64],
    channels: usize,
    places: &[usize],
    at: f64,
) -> Option<Vec<f64>> {
    let after = stamps.partition_point(|stamp| *stamp < at).max(1);
    let (begin, end) = (*stamps.get(after - 1)?, *stamps.get(after)?);
    if at < begin || end - begin > 1.0 {
        return None;
    }
    let part = if end > begin { (at - begin) / (end - begin) } else { 0.0 };
    let state: Vec<f64> = places
        .iter()
        .map(|place| {
            let (from, to) = (values[(after - 1) * channels + place], values[after * channels + place]);
            from + part * (to - from)
        })
        .collect();
    state.iter().all(|value| value.is_finite()).then_some(state)
}

fn plain(values: &Values) -> Vec<f64> {
    let Values::Numbers(samples) = values else { return Vec::new() };
    match samples {
        Samples::Float32(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Double64(values) => values.clone(),
        Samples::Int8(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Int16(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Int32(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Int64(values) => values.iter().map(|value| *value as f64).collect(),
    }
}

/// A channel without a valid sample takes its mean, as in a running session.
fn fill_with_means(features: &mut [f64], width: usize) {
    for feature in 0..width {
        let valid = features.iter().skip(feature).step_by(width).filter(|value| value.is_finite());
        let (sum, count) = valid.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
        let mean = if count > 0 { sum / count as f64 } else { 0.0 };
        for value in features.iter_mut().skip(feature).step_by(width).filter(|value| !value.is_finite()) {
            *value = mean;
        }
    }
}

fn table(columns: Option<Vec<String>>, values: Vec<f64>, rows: usize, width: usize) -> Table {
    Table { columns, units: None, time: None, values, rows, width, remarks: Vec::new() }
}

/// What a model fitted on a session's tables has to carry.
fn described(session: &SessionDocument) -> Session {
    Session {
        streams: session.engine.features.clone(),
        components: session.components.clone(),
        participant: Some(session.participant.clone()).filter(|code| !code.is_empty()),
        label_law: Some(session.engine.label_law),
    }
}

/// Labels of the features where every stream names its channels.
fn feature_names(session: &SessionDocument) -> Option<Vec<String>> {
    let labels: Option<Vec<Vec<String>>> =
        session.engine.features.iter().map(|stream| stream.labels.clone()).collect();
    labels.map(|labels| labels.concat())
}

fn component_names(session: &SessionDocument) -> Vec<String> {
    session.components.iter().map(|component| component.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_interpolated_between_its_samples_and_nowhere_else() {
        let (stamps, values) = ([1.0, 2.0, 4.0, 4.5], [10.0, 0.0, 20.0, 1.0, 40.0, 2.0, f64::NAN, 3.0]);
        let at = |time| interpolated(&stamps, &values, 2, &[0, 1], time);
        assert_eq!(at(1.0), Some(vec![10.0, 0.0]));
        assert_eq!(at(1.5), Some(vec![15.0, 0.5]));
        assert_eq!(at(2.0), Some(vec![20.0, 1.0]));
        assert_eq!(at(3.0), None, "a gap of two seconds");
        assert_eq!(at(4.25), None, "not a number");
        assert_eq!(at(0.9), None);
        assert_eq!(at(4.6), None);
    }

    #[test]
    fn a_channel_without_a_sample_takes_its_mean() {
        let mut features = [1.0, f64::NAN, 3.0, f64::NAN, f64::NAN, f64::NAN];
        fill_with_means(&mut features, 2);
        assert_eq!(features.map(f64::to_bits), [1.0, 0.0, 3.0, 0.0, 2.0, 0.0].map(f64::to_bits));
    }
}
