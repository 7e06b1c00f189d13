//! Rows of a recorded session: its ticks' features beside labels from targets, or beside a recorded stream.

use std::path::Path;

use kalmind_recording::{TaskRow, TaskTable};
use kalmind_types::Component;

use super::{
    row_source::RowSource,
    streams::{columns, fill_with_means, find_stream, finite, interpolated, plain, read_streams, table},
};
use crate::{
    host::Host,
    recorded::{
        Gathered, Item, NewestGeneration, ReadError, SessionDocument, SessionReader, StageChanges, Wanted,
        gather,
    },
    tables::{Part, RecordedTablesError, Session, Tables, TablesError, days_apart, spans},
};

/// Labels from a session's targets.
#[derive(Clone, Copy, Debug)]
pub struct SessionLabels<'a> {
    /// The recording.
    pub path: &'a Path,
    /// Blocks separated by commas, or `all`; none for the open loop, or all where there was none.
    pub blocks: Option<&'a str>,
}

impl RowSource for SessionLabels<'_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn rows(&self, host: &dyn Host) -> Result<Tables, TablesError> {
        let rows = gather(self.path, self.blocks, host).map_err(RecordedTablesError::from);
        rows.and_then(|rows| label_tables(&rows))
            .map_err(|error| TablesError::of_recording(self.path, error.with_way_out()))
    }
}

/// A session's features, and a recorded stream as the states.
#[derive(Clone, Copy, Debug)]
pub struct SessionStream<'a> {
    /// The recording.
    pub path: &'a Path,
    /// The stream, by name or key.
    pub stream: &'a str,
    /// Its channels; none for all.
    pub channels: Option<&'a str>,
}

impl RowSource for SessionStream<'_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn rows(&self, host: &dyn Host) -> Result<Tables, TablesError> {
        stream_tables(self.path, self.stream, self.channels, host)
            .map_err(|error| TablesError::of_recording(self.path, error.with_way_out()))
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
    let mut blocks = Vec::new();
    for (row, &source) in data.gathered.iter().enumerate() {
        let (Some((at, block)), Some(sample)) = (gathered.rows.get(source), task.get(row)) else { continue };
        if !gathered.calibration.has_features(source) {
            continue;
        }
        features.extend(data.training.features.row(row).iter());
        states.extend(data.training.states.row(row).iter());
        time.push(at.0);
        blocks.push(*block);
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
        features: table(gathered.layout.all_names(), features, count, width),
        states: table(Some(component_names(session)), states, count, 2),
        task: Some(TaskTable { time: Some(time.clone()), rows }),
        bin_ms: session.bin_ms,
        time,
        session: Some(Session { blocks, ..described(session) }),
        remarks: Vec::new(),
        implausible: None,
    })
}

/// Complete ticks of a session beside a recorded stream, by name or key, interpolated at the ticks' times.
fn stream_tables(
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
    let mut reader =
        SessionReader::open(path, Wanted { inputs: false, raw: false, features: true, ticks: true })?;
    let mut session = None;
    let (mut newest, mut changes) = (NewestGeneration::default(), StageChanges::default());
    let (mut features, mut states, mut time) = (Vec::new(), Vec::new(), Vec::new());
    let mut ticks = Vec::new();
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(document) => {
                let layout = document.layout();
                session = Some((document, layout));
            }
            Item::Tick(tick) => {
                let at = tick.document.input.time.0;
                ticks.push(at);
                if tick.document.input.incomplete || tick.features.is_empty() {
                    continue;
                }
                let Some((_, layout)) = &session else { continue };
                if let Some(state) = interpolated(&stamps, &values, stream.header.channels, &places, at) {
                    if newest.begins(&tick.document.input, time.len()) {
                        (features, states, time) = (Vec::new(), Vec::new(), Vec::new());
                    }
                    states.extend(state);
                    features.extend(tick.features_in_use(layout));
                    time.push(at);
                }
            }
            Item::Event(event) => changes.take(&event.body),
            Item::Unreadable(part) => host.unreadable(&part),
            _ => {}
        }
    }
    let (mut session, layout) = session.ok_or_else(|| ReadError::NoSession(path.to_owned()))?;
    newest.put_into(&mut session, &changes);
    newest.note(path, host);
    let (count, width) = (time.len(), layout.width());
    let clocks = days_apart(("the ticks", Some(&ticks)), ("the stream", Some(&finite(&stamps))));
    if let Some(clocks) = clocks {
        return Err(RecordedTablesError::Clocks { stream: wanted.to_owned(), clocks });
    }
    if count == 0 {
        let spans = spans(("ticks", &ticks), ("the stream", &finite(&stamps)));
        return Err(RecordedTablesError::NoOverlap { stream: wanted.to_owned(), spans });
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
        features: table(layout.all_names(), features, count, width),
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

/// What a model fitted on a session's tables has to carry.
fn described(session: &SessionDocument) -> Session {
    Session {
        streams: session.engine.features.clone(),
        components: session.components.clone(),
        participant: Some(session.participant.clone()).filter(|code| !code.is_empty()),
        label_law: Some(session.engine.label_law),
        blocks: Vec::new(),
    }
}

fn component_names(session: &SessionDocument) -> Vec<String> {
    session.components.iter().map(|component| component.name.clone()).collect()
}
