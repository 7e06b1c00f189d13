//! What rows of features and states come from: tables, our own recordings, and those of others.
//!
//! A new format is a file here with a [`RowSource`], and a line in [`sources`].

mod edf;
mod foreign;
mod made;
mod row_source;
mod session;
mod sessions;
mod signals;
mod streams;
mod table_pair;

use std::path::{Path, PathBuf};

use kalmind_recording::kind::FileKind;

use crate::{
    host::Host,
    options::TableOptions,
    tables::{RecordedTablesError, Tables, TablesError, join, same_file},
};

pub use edf::EdfSignals;
pub use foreign::ForeignStreams;
pub use made::MadeFeatures;
pub use row_source::RowSource;
pub use session::{SessionLabels, SessionStream, label_tables};
pub use sessions::{GatheredSessions, gather_sessions};
pub use table_pair::TablePair;

/// Rows of all sources, one after the other, checked against each other.
///
/// # Errors
/// [`TablesError`].
pub fn read_rows(sources: &[Box<dyn RowSource + '_>], host: &dyn Host) -> Result<Tables, TablesError> {
    join(sources.iter().map(|source| source.rows(host)).collect::<Result<_, _>>()?)
}

/// What `options` name and then the recordings in `further`, each file once. Of tables `further` names files of features,
/// which have to be among those given.
///
/// # Errors
/// Tables that do not come in pairs, or a file that no rows can be made of in the way that is asked for.
pub fn sources<'a>(
    options: &'a TableOptions,
    further: &'a [PathBuf],
) -> Result<Vec<Box<dyn RowSource + 'a>>, TablesError> {
    let TableOptions { recordings, features, states, task, rate, .. } = options;
    if features.len() != states.len() || !(task.is_empty() || task.len() == features.len()) {
        let (features, states, tasks) = (features.len(), states.len(), task.len());
        return Err(TablesError::Unpaired { features, states, tasks });
    }
    let mut found: Vec<Box<dyn RowSource + 'a>> = Vec::new();
    for (place, (features, states)) in features.iter().zip(states).enumerate() {
        let task = task.get(place).map(PathBuf::as_path);
        found.push(Box::new(TablePair { features, states, task, rate: *rate }));
    }
    for path in recordings.iter().chain(further) {
        if found.iter().any(|known| same_file(known.path(), path)) {
            continue;
        }
        if !features.is_empty() {
            return Err(TablesError::NoPair(path.display().to_string()));
        }
        found.push(recording(path, options).map_err(|error| TablesError::of_recording(path, error))?);
    }
    Ok(found)
}

/// A recording as what it is.
fn recording<'a>(
    path: &'a Path,
    options: &'a TableOptions,
) -> Result<Box<dyn RowSource + 'a>, RecordedTablesError> {
    let (features_stream, feature_channels) =
        (options.features_stream.as_deref(), options.feature_channels.as_deref());
    let (states_stream, state_channels) =
        (options.states_stream.as_deref(), options.state_channels.as_deref());
    let encoding = options.encoding;
    if let Some(planner) = &options.planner {
        let Some(states) = states_stream else {
            return Err(RecordedTablesError::Unsaid(
                "with --config features are made of the recording's signals: name the stream that holds the states with --states-stream",
            ));
        };
        let (channels, velocity) = (state_channels, options.velocity);
        return Ok(Box::new(MadeFeatures { path, planner, states, channels, velocity, encoding }));
    }
    // a file that cannot be read is told by whoever reads it
    match FileKind::of(path).unwrap_or(FileKind::Xdf { packed: false }) {
        FileKind::Edf | FileKind::Bdf => match (features_stream, states_stream, state_channels) {
            (None, None, Some(states)) => {
                Ok(Box::new(EdfSignals { path, features: feature_channels, states, encoding }))
            }
            _ => Err(RecordedTablesError::Unsaid(
                "an EDF or BDF file has signals and no streams: name those that are the states with --state-channels (`kalmind recording \
                 info` lists them); the others, or those that --feature-channels names, are the features",
            )),
        },
        FileKind::Xdf { .. } if features_stream.is_some() || feature_channels.is_some() => {
            let (Some(features), Some(states)) = (features_stream, states_stream) else {
                return Err(RecordedTablesError::Unsaid(
                    "name the stream with the features with --features-stream, and the one with the states with --states-stream",
                ));
            };
            Ok(Box::new(ForeignStreams {
                path,
                features,
                feature_channels,
                states,
                state_channels,
                encoding,
            }))
        }
        FileKind::Xdf { .. } => Ok(match states_stream {
            Some(stream) => Box::new(SessionStream { path, stream, channels: state_channels }),
            None => Box::new(SessionLabels { path, blocks: options.blocks.as_deref() }),
        }),
        FileKind::Empty => Err(RecordedTablesError::Empty(path.to_owned())),
        other => Err(RecordedTablesError::Kind {
            path: path.to_owned(),
            kind: other.describe(),
            ways: other.ways(),
        }),
    }
}
