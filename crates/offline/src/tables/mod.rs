//! Tables of features and states, put together for fitting and evaluation.

mod error;
mod joined;
mod recorded_error;

use std::{collections::HashMap, ops::Range, path::PathBuf};

use kalmind_filter::{LabelLaw, TaskSample, TrainingData, ZScore};
use kalmind_recording::{Table, TaskTable, xdf::clocks::clock_groups};
use kalmind_signal::{FeatureStatistics, Preparation};
use kalmind_types::{Component, CursorDrive, StreamFeatures, TaskBlock};
use nalgebra::DMatrix;

pub use error::TablesError;
pub use joined::require_other_file;
pub(crate) use joined::{join, same_file};
pub use recorded_error::RecordedTablesError;

/// What a session's recording knows and a table does not: a model fitted on it carries this.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Features of the streams.
    pub streams: Vec<StreamFeatures>,
    /// Components of the states.
    pub components: Vec<Component>,
    /// Participant code.
    pub participant: Option<String>,
    /// The law that the labels were made by; none where states are a recorded stream.
    pub label_law: Option<LabelLaw>,
    /// The block that each row is from; empty where states are a recorded stream.
    pub blocks: Vec<Option<TaskBlock>>,
}

/// The rows of one recording, or of one pair of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file: of tables that of the features.
    pub file: PathBuf,
    /// Its rows among all.
    pub rows: Range<usize>,
}

/// Features and states of the same rows, of one recording or of several, one after the other.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The recordings, at least one, in the order of the rows.
    pub parts: Vec<Part>,
    /// Features.
    pub features: Table,
    /// States.
    pub states: Table,
    /// Task, where given.
    pub task: Option<TaskTable>,
    /// Milliseconds from row to row.
    pub bin_ms: f64,
    /// Time of each row in seconds.
    pub time: Vec<f64>,
    /// The session that they were recorded in.
    pub session: Option<Session>,
    /// What was assumed of the files and left out, a sentence each.
    pub remarks: Vec<String>,
    /// Why no run could decode such rows, where none could: they can be evaluated, and no model is to be fitted to them.
    pub implausible: Option<String>,
}

impl Tables {
    /// Whether the decoder moved the cursor in any of the rows, as far as their recording tells.
    #[must_use]
    pub fn from_closed_loop(&self, rows: &Range<usize>) -> bool {
        let blocks = self.session.as_ref().and_then(|session| session.blocks.get(rows.clone()));
        let drive = |block: &Option<TaskBlock>| block.map_or(CursorDrive::Decoder, TaskBlock::drive);
        blocks.unwrap_or_default().iter().any(|block| drive(block) == CursorDrive::Decoder)
    }

    /// Refuses rows that no run could decode.
    ///
    /// # Errors
    /// [`TablesError::Implausible`].
    pub fn require_runnable(&self) -> Result<(), TablesError> {
        self.implausible.clone().map_or(Ok(()), |problem| Err(TablesError::Implausible(problem)))
    }

    /// Brings the columns of the features into the order of `labels` where they are the same names in another one.
    pub fn order_features_like(&mut self, labels: &[&str]) {
        if order_columns(&mut self.features, labels) {
            self.remarks.push(
                "the columns of the features are in another order than the model's channels: they were matched by name"
                    .to_owned(),
            );
        }
    }

    /// The same of the states, whose columns are the model's components.
    pub fn order_states_like(&mut self, components: &[&str]) {
        if order_columns(&mut self.states, components) {
            self.remarks.push(
                "the columns of the states are in another order than the model's components: they were matched by name"
                    .to_owned(),
            );
        } else if let Some(columns) = self.states.columns.as_deref()
            && let Some((component, column)) =
                components.iter().zip(columns).find(|(component, column)| column != *component)
        {
            self.remarks.push(format!(
                "the model's component \"{component}\" is compared with the column \"{column}\" of the states"
            ));
        }
    }

    /// A range of rows that `option` asked for, counted from the first of `part`, among all rows.
    ///
    /// # Errors
    /// [`TablesError::Range`].
    pub fn range(
        &self,
        part: usize,
        option: &'static str,
        rows: &Range<usize>,
    ) -> Result<Range<usize>, TablesError> {
        let all = self.parts.get(part).map_or(0..0, |part| part.rows.clone());
        kalmind_recording::require_rows(rows, all.len()).map_err(|source| {
            let file = (self.parts.len() > 1).then(|| self.file_name(part));
            TablesError::Range {
                option,
                file: file.map(|file| format!("{file}: ")).unwrap_or_default(),
                source,
            }
        })?;
        Ok(all.start + rows.start..all.start + rows.end)
    }

    /// The file of a part, as it was given.
    #[must_use]
    pub fn file_name(&self, part: usize) -> String {
        self.parts.get(part).map(|part| part.file.display().to_string()).unwrap_or_default()
    }

    /// The rows of all parts.
    #[must_use]
    pub fn all_rows(&self) -> Vec<Range<usize>> {
        self.parts.iter().map(|part| part.rows.clone()).collect()
    }

    /// Mean and standard deviation of the features over ranges of rows.
    #[must_use]
    pub fn statistics(&self, rows: &[Range<usize>]) -> FeatureStatistics {
        let values: Vec<f64> = each(rows).flat_map(|row| self.features.row(row)).copied().collect();
        FeatureStatistics::measure(&values, self.features.width)
    }

    /// The states of ranges of rows, rows x d.
    #[must_use]
    pub fn states_of(&self, rows: &[Range<usize>]) -> DMatrix<f64> {
        let values: Vec<f64> = each(rows).flat_map(|row| self.states.row(row)).copied().collect();
        DMatrix::from_row_slice(each(rows).count(), self.states.width, &values)
    }

    /// The features of ranges of rows as they stand, rows x n.
    #[must_use]
    pub fn features_of(&self, rows: &[Range<usize>]) -> DMatrix<f64> {
        let values: Vec<f64> = each(rows).flat_map(|row| self.features.row(row)).copied().collect();
        DMatrix::from_row_slice(each(rows).count(), self.features.width, &values)
    }

    /// The rows to fit on, in ascending ranges, z-scored where asked for. A gap in time, or between ranges, separates
    /// segments; rows in the first `skip_ms` of a trial train the state model only.
    #[must_use]
    pub fn training(&self, rows: &[Range<usize>], zscore: Option<&ZScore>, skip_ms: f64) -> TrainingData {
        let mut features = self.features_of(rows);
        if let Some(zscore) = zscore {
            for mut row in features.row_iter_mut() {
                let values: Vec<f64> = row.iter().copied().collect();
                row.iter_mut().zip(zscore.apply(&values)).for_each(|(to, from)| *to = from);
            }
        }
        let mut segment_starts = Vec::new();
        let mut before = 0;
        for range in rows {
            let time = self.time.get(range.clone()).unwrap_or_default();
            segment_starts.push(before);
            segment_starts
                .extend(kalmind_recording::segment_starts(time).into_iter().map(|start| before + start));
            before += range.len();
        }
        // row 0 starts one in any case
        segment_starts.retain(|&start| start > 0);
        segment_starts.sort_unstable();
        segment_starts.dedup();
        TrainingData {
            features,
            states: self.states_of(rows),
            measurement: self.task.as_ref().map(|task| self.past_reaction(task, rows, skip_ms)),
            segment_starts,
            task: self.task.as_ref().map(|task| task_samples(task, rows)),
        }
    }

    /// Z-scores rows to fit on by statistics that follow the signal from row to row; they start as these, and the newest has
    /// this weight. What cannot be z-scored so is left as it is.
    pub fn follow(
        &self,
        rows: &[Range<usize>],
        start: &FeatureStatistics,
        weight: f64,
        data: &mut TrainingData,
    ) {
        let Ok(preparation) = Preparation::new(start.mean.clone(), Some(start.clone())) else { return };
        let each = each(rows).map(|row| self.features.row(row));
        preparation.running(Some(weight)).over(each, |at, features| {
            data.features.row_mut(at).iter_mut().zip(features).for_each(|(to, from)| *to = *from);
        });
    }

    /// Which rows lie at least `skip_ms` into their trial.
    fn past_reaction(&self, task: &TaskTable, rows: &[Range<usize>], skip_ms: f64) -> Vec<bool> {
        let mut trial = None;
        let mut start = 0.0;
        each(rows)
            .map(|row| {
                if trial != Some(task.rows[row].trial) {
                    trial = Some(task.rows[row].trial);
                    start = self.time[row];
                }
                self.time[row] - start >= skip_ms / 1e3 - 1e-6
            })
            .collect()
    }
}

/// Brings the columns of a table into the order of `labels` where they are the same names in another one, and says whether
/// it did.
fn order_columns(table: &mut Table, labels: &[&str]) -> bool {
    let Some(columns) = &table.columns else { return false };
    let places: HashMap<&str, usize> =
        columns.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
    let order: Option<Vec<usize>> = labels.iter().map(|label| places.get(label).copied()).collect();
    let Some(order) = order.filter(|order| order.len() == columns.len() && !order.is_sorted()) else {
        return false;
    };
    let mut row = Vec::with_capacity(table.width);
    for values in table.values.chunks_exact_mut(table.width) {
        row.clear();
        row.extend(order.iter().map(|place| values[*place]));
        values.copy_from_slice(&row);
    }
    if let Some(units) = &mut table.units {
        *units = order.iter().filter_map(|place| units.get(*place).cloned()).collect();
    }
    table.columns = Some(labels.iter().map(|label| (*label).to_owned()).collect());
    true
}

/// Every row of the ranges.
fn each(rows: &[Range<usize>]) -> impl Iterator<Item = usize> + '_ {
    rows.iter().cloned().flatten()
}

/// What the task showed in `rows`.
fn task_samples(task: &TaskTable, rows: &[Range<usize>]) -> Vec<TaskSample> {
    each(rows)
        .filter_map(|row| task.rows.get(row))
        .map(|row| TaskSample { trial: row.trial, target: row.target, cursor: row.cursor, hold: row.hold })
        .collect()
}

/// What to say of times that lie days apart, as Unix time and LSL time do.
pub(crate) fn days_apart(first: (&str, Option<&[f64]>), second: (&str, Option<&[f64]>)) -> Option<String> {
    let span = |times: Option<&[f64]>| times.and_then(|times| Some((*times.first()?, *times.last()?)));
    let groups = clock_groups(&[span(first.1), span(second.1)]);
    let names = [first.0, second.0];
    let told = groups.iter().flat_map(|group| {
        group
            .streams
            .iter()
            .filter_map(|stream| names.get(*stream))
            .map(move |name| format!("{name} begin at {} s ({})", group.first, group.describe()))
    });
    (groups.len() > 1).then(|| told.collect::<Vec<_>>().join(", those of "))
}

/// From when to when two things are, in brackets; nothing where one of them has no times.
pub(crate) fn spans(first: (&str, &[f64]), second: (&str, &[f64])) -> String {
    let span = |(name, times): (&str, &[f64])| {
        Some(format!("{name} from {:.1} to {:.1} s", times.first()?, times.last()?))
    };
    match (span(first), span(second)) {
        (Some(first), Some(second)) => format!(" ({first}, {second})"),
        _ => String::new(),
    }
}

pub(crate) fn median_step(time: &[f64]) -> Option<f64> {
    let mut steps: Vec<f64> = time.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: Vec<f64>) -> Table {
        let rows = values.len();
        Table { columns: None, units: None, time: None, values, rows, width: 1, remarks: Vec::new() }
    }

    #[test]
    fn columns_in_another_order_are_matched_by_name() {
        let columns = Some(["a", "b", "c"].map(str::to_owned).to_vec());
        let features = Table { columns, rows: 2, width: 3, ..table(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) };
        let mut tables = Tables {
            parts: vec![Part { file: PathBuf::from("x.csv"), rows: 0..2 }],
            features,
            states: table(vec![0.0; 2]),
            task: None,
            bin_ms: 20.0,
            time: vec![0.0, 0.02],
            session: None,
            remarks: Vec::new(),
            implausible: None,
        };
        let before = tables.features.clone();
        tables.order_features_like(&["a", "x", "c"]);
        assert_eq!(tables.features, before, "other names are not an order");
        tables.order_features_like(&["c", "a", "b"]);
        assert_eq!(tables.features.values, [3.0, 1.0, 2.0, 6.0, 4.0, 5.0]);
        assert_eq!(tables.remarks.len(), 1);
    }

    #[test]
    fn no_window_reaches_from_one_range_of_rows_into_the_next() {
        let time: Vec<f64> = (0..10).map(|row| f64::from(row) + if row >= 8 { 5.0 } else { 0.0 }).collect();
        let values: Vec<f64> = (0..10).map(f64::from).collect();
        let tables = Tables {
            parts: vec![Part { file: PathBuf::from("x.csv"), rows: 0..10 }],
            features: table(values.clone()),
            states: table(values),
            task: None,
            bin_ms: 1e3,
            time,
            session: None,
            remarks: Vec::new(),
            implausible: None,
        };
        let data = tables.training(&[0..3, 5..10], None, 0.0);
        assert_eq!(data.segment_starts, [3, 6], "where the ranges meet, and where time has a gap");
        assert_eq!(data.features.as_slice(), [0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(data.features, data.states);
        assert!((tables.statistics(&[0..3, 5..10]).mean[0] - 4.75).abs() < 1e-12);
        let zscore = ZScore { mean: vec![1.0], standard_deviation: vec![2.0] };
        let scaled = tables.training(core::slice::from_ref(&(0..3)), Some(&zscore), 0.0);
        assert_eq!(scaled.features.as_slice(), [-0.5, 0.0, 0.5]);
        assert!(scaled.segment_starts.is_empty());
    }
}
