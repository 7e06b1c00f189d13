//! Rows of any recording: features made of its signals as a run would make them, and a recorded stream as the states.

use std::{ops::ControlFlow, path::Path};

use encoding_rs::Encoding;
use kalmind_recording::signals::names_streams;
use kalmind_types::{Component, Counted};

use super::{
    row_source::RowSource,
    streams::{columns, fill_with_means, find_stream, in_order, interpolated, plain, read_streams, table},
};
use crate::{
    features::{FeaturePlanner, make_features},
    host::Host,
    tables::{Part, RecordedTablesError, Session, Tables, TablesError, days_apart, spans},
};

/// Features that are made of a recording, and one of its streams as the states.
#[derive(Clone, Copy, Debug)]
pub struct MadeFeatures<'a> {
    /// The recording.
    pub path: &'a Path,
    /// What plans the features.
    pub planner: &'a FeaturePlanner,
    /// The stream with the states, by name or key.
    pub states: &'a str,
    /// Its channels; none for all.
    pub channels: Option<&'a str>,
    /// Whether the states are how fast these channels change.
    pub velocity: bool,
    /// What texts are in, where they are not UTF-8.
    pub encoding: Option<&'static Encoding>,
}

impl RowSource for MadeFeatures<'_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn rows(&self, host: &dyn Host) -> Result<Tables, TablesError> {
        let tables = if names_streams(self.path).is_ok_and(|are_named| !are_named) {
            Err(RecordedTablesError::Unsaid(
                "an EDF or BDF file has no stream of states for --states-stream: make its features with `kalmind features`, and fit \
                 them with --features and --states",
            ))
        } else {
            self.tables(host)
        };
        tables.map_err(|error| TablesError::of_recording(self.path, error))
    }
}

impl MadeFeatures<'_> {
    fn tables(&self, host: &dyn Host) -> Result<Tables, RecordedTablesError> {
        let Self { path, states: wanted, .. } = *self;
        let plan = (self.planner.0)(path).map_err(RecordedTablesError::Plan)?;
        let layout = plan.layout().map_err(|error| RecordedTablesError::Plan(error.into()))?;
        let recorded = read_streams(path, self.encoding, &[wanted])?;
        let stream = find_stream(&recorded, "--states-stream", wanted)?;
        let (names, places) = columns(stream, "--state-channels", self.channels)?;
        let (stamps, values, unordered) =
            in_order(&stream.synchronized_stamps(), &plain(&stream.values), stream.header.channels);
        let width = plan.binner.width.0;
        let position = |at: f64| interpolated(&stamps, &values, stream.header.channels, &places, at);
        let state = |at: f64| {
            if !self.velocity {
                return position(at);
            }
            // a difference about the time of the bin's end
            let (before, after) = (position(at - width)?, position(at + width)?);
            Some(before.iter().zip(after).map(|(before, after)| (after - before) / (2.0 * width)).collect())
        };
        let (mut features, mut states, mut time) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bins, mut stateless) = (Vec::new(), 0_u64);
        let mut remarks = make_features(
            path,
            &plan,
            self.encoding,
            host,
            &mut |row| {
                bins.push(row.time.0);
                match state(row.time.0).filter(|_| !row.incomplete) {
                    Some(state) => {
                        states.extend(state);
                        features.extend(layout.in_use(&plan.masked, row.values));
                        time.push(row.time.0);
                    }
                    None => stateless += u64::from(!row.incomplete),
                }
                ControlFlow::Continue(())
            },
            None,
        )?;
        if let Some(clocks) = days_apart(("the bins", Some(&bins)), ("the stream", Some(&stamps))) {
            return Err(RecordedTablesError::Clocks { stream: wanted.to_owned(), clocks });
        }
        if time.is_empty() {
            let spans = spans(("bins", &bins), ("the stream", &stamps));
            return Err(RecordedTablesError::NoOverlap { stream: wanted.to_owned(), spans });
        }
        let file = path.display();
        let damage = recorded.problems.iter().filter(|problem| problem.is_damage());
        for told in damage.map(|problem| format!("byte {}: {}", problem.offset, problem.text)) {
            if !remarks.contains(&told) {
                remarks.push(told);
            }
        }
        for remark in &mut remarks {
            *remark = format!("{file}: {remark}");
        }
        if stateless > 0 {
            let or_none = no_numbers(&values, stream.header.channels, &places);
            remarks.push(format!(
                "{file}: {} left out: no state lies within a second on either side{or_none}",
                Counted(stateless, "bin")
            ));
        }
        if unordered > 0 {
            remarks.push(format!(
                "{file}: stream {wanted}: {unordered} samples were left out, whose stamp is no number or lies before one that came earlier"
            ));
        }
        remarks.extend(stream.jumps().sentence().map(|told| format!("{file}: stream {wanted}: {told}")));
        fill_with_means(&mut features, layout.width());
        let units = stream.header.units.as_ref();
        let component = |(name, place): (&String, &usize)| {
            let unit = units.and_then(|units| units.get(*place)).cloned().unwrap_or_default();
            match (self.velocity, unit.is_empty()) {
                (false, _) => Component { name: name.clone(), unit },
                (true, true) => Component { name: format!("v{name}"), unit },
                (true, false) => Component { name: format!("v{name}"), unit: format!("{unit}/s") },
            }
        };
        let components: Vec<Component> = names.iter().zip(&places).map(component).collect();
        let count = time.len();
        let columns = components.iter().map(|component| component.name.clone()).collect();
        Ok(Tables {
            parts: vec![Part { file: path.to_owned(), rows: 0..count }],
            features: table(layout.all_names(), features, count, layout.width()),
            states: table(Some(columns), states, count, places.len()),
            task: None,
            bin_ms: plan.bin_ms,
            time,
            session: Some(Session {
                streams: plan.engine.features.clone(),
                components,
                participant: plan.participant.clone(),
                label_law: None,
                blocks: Vec::new(),
            }),
            remarks,
            implausible: None,
        })
    }
}

/// What has to be added where some of a stream's samples hold no number: bins beside them are left out as well.
fn no_numbers(values: &[f64], channels: usize, places: &[usize]) -> String {
    let is_number =
        |row: &&[f64]| places.iter().all(|place| row.get(*place).is_some_and(|value| value.is_finite()));
    let rows = values.chunks_exact(channels.max(1));
    let (all, with) = (rows.len(), rows.filter(is_number).count());
    if with == all {
        return String::new();
    }
    format!(", or it is no number ({} of {all} samples hold none)", all - with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_without_a_number_are_told_of_the_channels_that_are_states() {
        let values = [1.0, f64::NAN, 2.0, 3.0, f64::INFINITY, 4.0];
        assert_eq!(no_numbers(&values, 2, &[0]), ", or it is no number (1 of 3 samples hold none)");
        assert_eq!(no_numbers(&values, 2, &[0, 1]), ", or it is no number (2 of 3 samples hold none)");
        assert_eq!(no_numbers(&values[2..4], 2, &[0, 1]), "");
    }
}
