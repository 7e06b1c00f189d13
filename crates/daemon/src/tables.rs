//! Tables of features and states from CSV, put together for fitting and evaluation.

use std::{collections::HashMap, ops::Range};

use kalmind_filter::{LabelLaw, TaskSample, TrainingData, ZScore};
use kalmind_recording::{
    RowCountMismatch, RowsError, Table, TableError, TaskTable, read_table, read_task_table, require_same_rows,
};
use kalmind_signal::FeatureStatistics;
use kalmind_types::{ChannelMask, Component, StreamFeatures};
use nalgebra::DMatrix;

use crate::{
    cli::TableArguments,
    recorded::{RecordedTablesError, gather, label_tables, stream_tables},
};

/// Why tables cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// A file cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Lengths differ.
    #[error(transparent)]
    Rows(#[from] RowCountMismatch),
    /// A range of rows is no range, or not in the file.
    #[error("{option}: {source}")]
    Range {
        /// The option.
        option: &'static str,
        /// What is wrong.
        source: RowsError,
    },
    /// No time and no rate.
    #[error(
        "{file} has no column of times (`time`, `timestamps`, `time_ms`, ..): say how many rows there are per second with --rate HZ"
    )]
    NoRate {
        /// The features' file.
        file: String,
    },
    /// A rate and times that disagree.
    #[error(
        "--rate {rate} means {rate_ms} ms from row to row, but the `time` column has {time_ms} ms (in seconds?): leave \
         --rate out, or correct the column"
    )]
    RateAgainstTime {
        /// As given.
        rate: f64,
        /// What it means.
        rate_ms: f64,
        /// What the column says.
        time_ms: f64,
    },
    /// Two files whose times are not those of the same rows.
    #[error(
        "row {row} is at {first_time} s in {first} and at {second_time} s in {second}; the rows must be the same bins"
    )]
    TimesDiffer {
        /// The first row that differs.
        row: usize,
        /// A file.
        first: String,
        /// Its time.
        first_time: f64,
        /// The other file.
        second: String,
        /// Its time.
        second_time: f64,
    },
    /// Neither a recording nor tables.
    #[error("give a recording, or --features and --states")]
    Nothing,
    /// A recording that gives no tables.
    #[error(transparent)]
    Recording(#[from] RecordedTablesError),
    /// More features than can be decoded; found out before anything of that size squared is made.
    #[error("{file} has {width} columns of features, and at most {max} can be decoded", max = ChannelMask::CAPACITY)]
    TooWide {
        /// The features' file.
        file: String,
        /// Its columns.
        width: usize,
    },
    /// Rows so far apart, or so close, that no run could make such bins.
    #[error("{0}")]
    Implausible(String),
}

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
}

/// Features and states of the same rows.
#[derive(Clone, Debug)]
pub struct Tables {
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

/// How long a row may be, in seconds: what a model's bins may be.
const BETWEEN_ROWS_S: core::ops::RangeInclusive<f64> =
    kalmind_filter::LEAST_BIN_MS * 1e-3..=kalmind_filter::GREATEST_BIN_MS * 1e-3;

impl Tables {
    /// Refuses rows that no run could decode.
    ///
    /// # Errors
    /// [`TablesError::Implausible`].
    pub fn require_runnable(&self) -> Result<(), TablesError> {
        self.implausible.clone().map_or(Ok(()), |problem| Err(TablesError::Implausible(problem)))
    }

    /// Reads the recording, or the files, and checks them against each other.
    ///
    /// # Errors
    /// [`TablesError`].
    pub fn read(arguments: &TableArguments) -> Result<Self, TablesError> {
        if let Some(recording) = &arguments.recording {
            let blocks = arguments.blocks.as_deref();
            return Ok(match &arguments.states_stream {
                Some(stream) => stream_tables(recording, stream, arguments.state_channels.as_deref())?,
                None => label_tables(&gather(recording, blocks).map_err(RecordedTablesError::Gather)?)?,
            });
        }
        let (Some(features_path), Some(states_path)) = (&arguments.features, &arguments.states) else {
            return Err(TablesError::Nothing);
        };
        let features = read_table(features_path)?;
        if features.width > ChannelMask::CAPACITY {
            let file = features_path.display().to_string();
            return Err(TablesError::TooWide { file, width: features.width });
        }
        let states = read_table(states_path)?;
        let name = |path: &std::path::Path| path.display().to_string();
        let features_name = name(features_path);
        require_same_rows((&features_name, features.rows), (&name(states_path), states.rows))?;
        let task = arguments.task.as_deref().map(read_task_table).transpose()?;
        if let (Some(path), Some(task)) = (&arguments.task, &task) {
            require_same_rows((&features_name, features.rows), (&name(path), task.rows.len()))?;
        }
        let task_time = task.as_ref().and_then(|task| task.time.clone());
        let others =
            [(states_path, &states.time), (arguments.task.as_ref().unwrap_or(states_path), &task_time)];
        let time = features.time.clone().or_else(|| states.time.clone());
        if let Some(step) = time.as_deref().and_then(median_step) {
            if let Some(rate) = arguments.rate
                && (step * rate - 1.0).abs() > crate::model::SAME_WIDTH
            {
                return Err(TablesError::RateAgainstTime { rate, rate_ms: 1e3 / rate, time_ms: step * 1e3 });
            }
            for (path, other) in others {
                let pairs = time.iter().flatten().zip(other.iter().flatten()).enumerate();
                for (row, (first_time, second_time)) in pairs {
                    if (first_time - second_time).abs() > step / 2.0 {
                        return Err(TablesError::TimesDiffer {
                            row,
                            first: features_name,
                            first_time: *first_time,
                            second: name(path),
                            second_time: *second_time,
                        });
                    }
                }
            }
        }
        let period = arguments.rate.map(f64::recip).or_else(|| time.as_deref().and_then(median_step));
        let Some(period) = period else { return Err(TablesError::NoRate { file: features_name }) };
        let implausible = implausible(period, arguments.rate.is_some()).map(|hint| {
            let ms = period * 1e3;
            format!("{features_name}: from row to row there are {ms:.3e} ms, and a run decodes bins of 1 to 200 ms: {hint}")
        });
        if !BETWEEN_ROWS_S.contains(&period) {
            return Err(TablesError::Implausible(implausible.unwrap_or_default()));
        }
        let time = time.unwrap_or_else(|| (0..features.rows).map(|row| row as f64 * period).collect());
        let said = |path: &std::path::Path, table: &Table| {
            table.remarks.iter().map(|remark| format!("{}: {remark}", name(path))).collect::<Vec<_>>()
        };
        let mut remarks = [said(features_path, &features), said(states_path, &states)].concat();
        remarks.extend(implausible.clone());
        Ok(Self { features, states, task, bin_ms: period * 1e3, time, session: None, remarks, implausible })
    }

    /// Brings the columns of the features into the order of `labels` where they are the same names in another one.
    pub fn order_features_like(&mut self, labels: &[&str]) {
        let Some(columns) = &self.features.columns else { return };
        let places: HashMap<&str, usize> =
            columns.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let order: Option<Vec<usize>> = labels.iter().map(|label| places.get(label).copied()).collect();
        let Some(order) = order.filter(|order| order.len() == columns.len() && !order.is_sorted()) else {
            return;
        };
        let features = &mut self.features;
        let mut row = Vec::with_capacity(features.width);
        for values in features.values.chunks_exact_mut(features.width) {
            row.clear();
            row.extend(order.iter().map(|place| values[*place]));
            values.copy_from_slice(&row);
        }
        features.columns = Some(labels.iter().map(|label| (*label).to_owned()).collect());
        self.remarks.push(
            "the columns of the features are in another order than the model's channels: they were matched by name"
                .to_owned(),
        );
    }

    /// A range of rows from the command line.
    ///
    /// # Errors
    /// [`TablesError::Range`].
    pub fn range(&self, option: &'static str, text: &str) -> Result<Range<usize>, TablesError> {
        kalmind_recording::parse_rows(text, self.features.rows)
            .map_err(|source| TablesError::Range { option, source })
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

/// What may be wrong with rows that are `period` seconds apart; none where a run could make such bins.
fn implausible(period: f64, rate_given: bool) -> Option<&'static str> {
    // a width read off stamps is not exact
    if (0.999e-3..=0.2002).contains(&period) {
        return None;
    }
    Some(if rate_given {
        "--rate is the number of rows per second"
    } else if (0.001..=0.2).contains(&(period / 1e3)) {
        "are the times in milliseconds? Name the column `time_ms`, or give --rate and leave the column out"
    } else if (0.001..=0.2).contains(&(period / 1e6)) {
        "are the times in microseconds? Name the column `time_us`, or give --rate and leave the column out"
    } else {
        "times are in seconds; bring the rows to bins first, or give --rate"
    })
}

fn median_step(time: &[f64]) -> Option<f64> {
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
    fn rows_that_no_run_could_decode_are_refused_with_what_may_be_meant() {
        for (period, expected) in [(0.02, None), (0.001, None), (0.2, None)] {
            assert_eq!(implausible(period, false), expected);
        }
        assert!(implausible(20.0, false).is_some_and(|hint| hint.contains("time_ms")));
        assert!(implausible(20_000.0, false).is_some_and(|hint| hint.contains("time_us")));
        assert!(implausible(20.0, true).is_some_and(|hint| hint.contains("--rate")));
    }

    #[test]
    fn columns_in_another_order_are_matched_by_name() {
        let columns = Some(["a", "b", "c"].map(str::to_owned).to_vec());
        let features = Table { columns, rows: 2, width: 3, ..table(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) };
        let mut tables = Tables {
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
