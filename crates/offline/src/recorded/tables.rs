//! A recorded session as the tables that `fit` and `evaluate` work on.

use std::path::{Path, PathBuf};

use encoding_rs::Encoding;
use kalmind_recording::{
    Table, TaskRow, TaskTable,
    edf::EdfError,
    xdf::{
        chunks::XdfError,
        header::StreamHeader,
        recording::{Recorded, RecordedStream, read_xdf_but},
        samples::Values,
    },
};
use kalmind_session::CalibrationError;
use kalmind_types::{ChannelMask, Component, Samples};

use super::{GatherError, Gathered, Item, ReadError, SessionDocument, SessionReader, Wanted};
use crate::{
    host::Host,
    tables::{Part, Session, Tables, days_apart},
};

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
    /// It is no recording of a session, and nothing says which of its streams are what.
    #[error(
        "{} is not a recording of a Kalmind session: name the stream that holds the features, a row a sample, with --features-stream, \
         and the one that holds the states with --states-stream (`kalmind recording info` lists them)",
        .0.display()
    )]
    Foreign(PathBuf),
    /// There is no such stream.
    #[error("{option} {wanted}: no stream of numbers has this key or name; the recording has {}", .found.join(", "))]
    NoStream {
        /// The option.
        option: &'static str,
        /// What was asked for.
        wanted: String,
        /// Streams of numbers.
        found: Vec<String>,
    },
    /// More than one stream has this name, and none this key.
    #[error("{option} {wanted}: more than one stream has this name; name one by its key: {}", .found.join(", "))]
    AmbiguousStream {
        /// The option.
        option: &'static str,
        /// What was asked for.
        wanted: String,
        /// Streams of numbers.
        found: Vec<String>,
    },
    /// There is no such channel.
    #[error("{option} {wanted}: there is {}", .found.join(", "))]
    NoChannel {
        /// The option.
        option: &'static str,
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// No tick lies within the stream.
    #[error("--states-stream {0}: no complete tick lies between its first and its last sample")]
    NoOverlap(String),
    /// Something that has to be said is not.
    #[error("{0}")]
    Unsaid(&'static str),
    /// The two streams are on different clocks.
    #[error("{0}")]
    MixedClocks(String),
    /// Signals that have to have one rate have several.
    #[error("{option}: these signals have different rates ({}); name such as have one", .found.join(", "))]
    Rates {
        /// The option.
        option: &'static str,
        /// Signals with their rates.
        found: Vec<String>,
    },
    /// More features than can be decoded.
    #[error("{0} features, and at most {max} can be decoded: name some with --feature-channels", max = ChannelMask::CAPACITY)]
    TooWide(usize),
    /// An EDF or BDF file that cannot be read.
    #[error(transparent)]
    Edf(#[from] EdfError),
    /// The file is empty.
    #[error("{}: the file is empty", .0.display())]
    Empty(PathBuf),
    /// It is a file of another kind.
    #[error("{}: this is {kind}; XDF, EDF and BDF files are taken in place of tables; {ways}", .path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What can be done with it.
        ways: &'static str,
    },
    /// The stream is on another clock than the ticks.
    #[error(
        "--states-stream {stream}: the times of {clocks}: they are on different clocks, so they cannot be matched"
    )]
    Clocks {
        /// What was asked for.
        stream: String,
        /// Where each begins.
        clocks: String,
    },
    /// Labels have two components.
    #[error(
        "labels from targets have 2 components (vx, vy), but the session's intent has {0}: use --states-stream"
    )]
    Components(usize),
}

impl RecordedTablesError {
    /// Says of a recording of no session how its streams can be used all the same.
    #[must_use]
    pub fn with_way_out(self) -> Self {
        match self {
            Self::Read(ReadError::NoSession(path))
            | Self::Gather(GatherError::Read(ReadError::NoSession(path))) => Self::Foreign(path),
            other => other,
        }
    }
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
        parts: vec![Part { file: gathered.file.clone(), rows: 0..count }],
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
    host: &dyn Host,
) -> Result<Tables, RecordedTablesError> {
    let recorded = read_streams(path, None, &[wanted])?;
    let stream = find_stream(&recorded, "--states-stream", wanted)?;
    let (names, places) = columns(stream, "--state-channels", channels)?;
    let stamps = stream.synchronized_stamps();
    let values = plain(&stream.values);
    let mut reader = SessionReader::open(path, Wanted { inputs: false, features: true, ticks: true })?;
    let (mut session, mut width) = (None, 0);
    let (mut features, mut states, mut time) = (Vec::new(), Vec::new(), Vec::new());
    let (mut complete, mut ticks) = (None, Vec::new());
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(document) => {
                width = document.engine.features.iter().map(|stream| stream.channels).sum();
                session = Some(document);
            }
            Item::Tick(tick) => {
                ticks.push(tick.input.time.0);
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
            Item::Unreadable(part) => host.unreadable(&part),
            _ => {}
        }
    }
    let session = session.ok_or_else(|| ReadError::NoSession(path.to_owned()))?;
    let count = time.len();
    let clocks = days_apart(("the ticks", Some(&ticks)), ("the stream", Some(&finite(&stamps))));
    if let Some(clocks) = clocks {
        return Err(RecordedTablesError::Clocks { stream: wanted.to_owned(), clocks });
    }
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
        parts: vec![Part { file: path.to_owned(), rows: 0..count }],
        features: table(feature_names(&session), features, count, width),
        states: table(Some(names), states, count, places.len()),
        task: None,
        bin_ms: session.bin_ms,
        time,
        session: Some(described),
        remarks: stream
            .jumps()
            .sentence()
            .into_iter()
            .map(|told| format!("stream {wanted}: {told}"))
            .collect(),
        implausible: None,
    })
}

/// The recording with the samples of the streams of these names or keys.
pub(super) fn read_streams(
    path: &Path,
    encoding: Option<&'static Encoding>,
    wanted: &[&str],
) -> Result<Recorded, RecordedTablesError> {
    read_xdf_but(path, encoding, |header| !wanted.iter().any(|wanted| is_called(header, wanted)))
        .map_err(|source| RecordedTablesError::Xdf { path: path.to_owned(), source })
}

fn is_called(header: &StreamHeader, wanted: &str) -> bool {
    header.name == wanted || header.key.as_deref() == Some(wanted)
}

/// The one stream of numbers that is called so.
pub(super) fn find_stream<'a>(
    recorded: &'a Recorded,
    option: &'static str,
    wanted: &str,
) -> Result<&'a RecordedStream, RecordedTablesError> {
    let numbers = || recorded.streams.iter().filter(|stream| stream.header.format.is_some());
    // a key belongs to one stream; a name may be that of several, or another stream's key
    let by_key = numbers().find(|stream| stream.header.key.as_deref() == Some(wanted));
    let mut named = numbers().filter(|stream| stream.header.name == wanted);
    let first = match (by_key, named.next(), named.next()) {
        (Some(stream), ..) | (None, Some(stream), None) => return Ok(stream),
        (None, first, _) => first,
    };
    let found = numbers()
        .map(|stream| match &stream.header.key {
            Some(key) if *key != stream.header.name => format!("{key} ({})", stream.header.name),
            _ => stream.header.name.clone(),
        })
        .collect();
    let wanted = wanted.to_owned();
    Err(match first {
        Some(_) => RecordedTablesError::AmbiguousStream { option, wanted, found },
        None => RecordedTablesError::NoStream { option, wanted, found },
    })
}

/// Names and places of channels of a stream.
pub(super) fn columns(
    stream: &RecordedStream,
    option: &'static str,
    wanted: Option<&str>,
) -> Result<(Vec<String>, Vec<usize>), RecordedTablesError> {
    let header = &stream.header;
    let label = |channel: usize| {
        header.labels.as_ref().map_or_else(|| format!("channel{channel}"), |labels| labels[channel].clone())
    };
    let all: Vec<String> = (0..header.channels).map(label).collect();
    let Some(wanted) = wanted else { return Ok((all, (0..header.channels).collect())) };
    let places = chosen(&all, option, wanted)?;
    Ok((places.iter().map(|place| all[*place].clone()).collect(), places))
}

/// Places of channels named in a list, by label or number from 0.
pub(super) fn chosen(
    all: &[String],
    option: &'static str,
    wanted: &str,
) -> Result<Vec<usize>, RecordedTablesError> {
    let place = |name: &str| {
        let known = all.iter().position(|label| label == name);
        known.or_else(|| name.parse().ok().filter(|place| *place < all.len())).ok_or_else(|| {
            RecordedTablesError::NoChannel { option, wanted: name.to_owned(), found: all.to_vec() }
        })
    };
    wanted.split(',').map(str::trim).map(place).collect()
}

/// Channels of a stream at a time between two samples; none outside, across a gap of a second, or at a number that is
/// none.
pub(super) fn interpolated(
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

pub(super) fn plain(values: &Values) -> Vec<f64> {
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

fn finite(stamps: &[f64]) -> Vec<f64> {
    stamps.iter().copied().filter(|stamp| stamp.is_finite()).collect()
}

/// A channel without a valid sample takes its mean, as in a running session.
pub(super) fn fill_with_means(features: &mut [f64], width: usize) {
    for feature in 0..width {
        let valid = features.iter().skip(feature).step_by(width).filter(|value| value.is_finite());
        let (sum, count) = valid.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
        let mean = if count > 0 { sum / count as f64 } else { 0.0 };
        for value in features.iter_mut().skip(feature).step_by(width).filter(|value| !value.is_finite()) {
            *value = mean;
        }
    }
}

pub(super) fn table(columns: Option<Vec<String>>, values: Vec<f64>, rows: usize, width: usize) -> Table {
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
