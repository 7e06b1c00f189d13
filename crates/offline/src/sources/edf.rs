//! Rows of EDF and BDF files: some signals are the features, and others the states.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::edf::{EdfRecording, read_edf};

use super::{
    row_source::RowSource,
    signals::{Signals, rows},
    streams::chosen,
};
use crate::{
    host::Host,
    tables::{RecordedTablesError, Tables, TablesError},
};

/// Samples of some signals beside others, interpolated at their times.
#[derive(Clone, Copy, Debug)]
pub struct EdfSignals<'a> {
    /// The file.
    pub path: &'a Path,
    /// Signals that are the features, by label or number from 0; none for all that are not states.
    pub features: Option<&'a str>,
    /// Signals that are the states.
    pub states: &'a str,
    /// What texts are in, where they are not UTF-8.
    pub encoding: Option<&'static Encoding>,
}

impl RowSource for EdfSignals<'_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn rows(&self, _host: &dyn Host) -> Result<Tables, TablesError> {
        self.tables().map_err(|error| TablesError::of_recording(self.path, error))
    }
}

impl EdfSignals<'_> {
    fn tables(&self) -> Result<Tables, RecordedTablesError> {
        let path = self.path;
        let edf = read_edf(path, self.encoding)?;
        let labels: Vec<String> = edf.signals.iter().map(|signal| signal.label.clone()).collect();
        let states = chosen(&labels, "--state-channels", self.states)?;
        let features = match self.features {
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
