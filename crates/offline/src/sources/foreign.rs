//! Rows of XDF recordings by others: a stream holds the features, a row a sample, and another one the states.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::xdf::{Problem, recording::RecordedStream};

use super::{
    row_source::RowSource,
    signals::{Signals, rows},
    streams::{columns, find_stream, plain, read_streams},
};
use crate::{
    host::Host,
    tables::{RecordedTablesError, Tables, TablesError},
};

/// Samples of a stream beside another stream, interpolated at their times.
#[derive(Clone, Copy, Debug)]
pub struct ForeignStreams<'a> {
    /// The recording.
    pub path: &'a Path,
    /// The stream with the features, by name or key.
    pub features: &'a str,
    /// Its channels, by label or number from 0; none for all.
    pub feature_channels: Option<&'a str>,
    /// The stream with the states.
    pub states: &'a str,
    /// Its channels.
    pub state_channels: Option<&'a str>,
    /// What texts are in, where they are not UTF-8.
    pub encoding: Option<&'static Encoding>,
}

impl RowSource for ForeignStreams<'_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn rows(&self, _host: &dyn Host) -> Result<Tables, TablesError> {
        self.tables().map_err(|error| TablesError::of_recording(self.path, error))
    }
}

impl ForeignStreams<'_> {
    fn tables(&self) -> Result<Tables, RecordedTablesError> {
        let path = self.path;
        let mut recorded = read_streams(path, self.encoding, &[self.features, self.states])?;
        let of = |stream: &RecordedStream, option, channels| {
            let (names, places) = columns(stream, option, channels)?;
            let all = plain(&stream.values);
            let rows = all.chunks_exact(stream.header.channels.max(1));
            let values = rows.flat_map(|row| places.iter().map(move |place| row[*place])).collect();
            let units = stream.header.units.as_ref();
            let units = units.map(|units| places.iter().map(|place| units[*place].clone()).collect());
            Ok::<_, RecordedTablesError>(Signals {
                names,
                units,
                stamps: stream.stamps_beside_others(),
                values,
            })
        };
        let features_of = find_stream(&recorded, "--features-stream", self.features)?;
        let states_of = find_stream(&recorded, "--states-stream", self.states)?;
        let (features_id, states_id) = (features_of.id, states_of.id);
        let features = of(features_of, "--feature-channels", self.feature_channels)?;
        let states = of(states_of, "--state-channels", self.state_channels)?;
        recorded.streams.retain(|stream| [features_id, states_id].contains(&stream.id));
        if let Some(clocks) = recorded.mixed_clocks() {
            return Err(RecordedTablesError::MixedClocks(clocks));
        }
        let mut tables = rows(path, features, states, self.states)?;
        let file = path.display();
        let told = |problem: &Problem| format!("{file}: byte {}: {}", problem.offset, problem.text);
        tables.remarks.extend(recorded.problems.iter().map(told));
        Ok(tables)
    }
}
