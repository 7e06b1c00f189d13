//! Rows of tables: features, states, and what the task did, a file each.

use std::path::Path;

use kalmind_recording::{Table, read_features, read_table, read_task_table, require_same_rows};
use kalmind_types::MAX_FEATURES;

use super::row_source::RowSource;
use crate::{
    host::Host,
    model::SAME_WIDTH,
    tables::{Part, Tables, TablesError, days_apart, median_step},
};

/// How long a row may be, in seconds: what a model's bins may be.
const BETWEEN_ROWS_S: core::ops::RangeInclusive<f64> =
    kalmind_filter::LEAST_BIN_MS * 1e-3..=kalmind_filter::GREATEST_BIN_MS * 1e-3;

/// Tables with the same rows.
#[derive(Clone, Copy, Debug)]
pub struct TablePair<'a> {
    /// Features.
    pub features: &'a Path,
    /// States.
    pub states: &'a Path,
    /// What the task did, where it is known.
    pub task: Option<&'a Path>,
    /// Rows per second, where the files have no times.
    pub rate: Option<f64>,
}

impl RowSource for TablePair<'_> {
    fn path(&self) -> &Path {
        self.features
    }

    /// Reads the tables and checks them against each other.
    fn rows(&self, _host: &dyn Host) -> Result<Tables, TablesError> {
        let Self { features: features_path, states: states_path, task: task_path, rate } = *self;
        let features = read_features(features_path)?;
        if features.width > MAX_FEATURES {
            let file = features_path.display().to_string();
            return Err(TablesError::TooWide { file, width: features.width });
        }
        let states = read_table(states_path)?;
        let name = |path: &Path| path.display().to_string();
        let features_name = name(features_path);
        require_same_rows((&features_name, features.rows), (&name(states_path), states.rows))?;
        let task = task_path.map(read_task_table).transpose()?;
        if let (Some(path), Some(task)) = (task_path, &task) {
            require_same_rows((&features_name, features.rows), (&name(path), task.rows.len()))?;
        }
        let task_time = task.as_ref().and_then(|task| task.time.clone());
        let others = [(states_path, &states.time), (task_path.unwrap_or(states_path), &task_time)];
        let time = features.time.clone().or_else(|| states.time.clone());
        if let Some(step) = time.as_deref().and_then(median_step) {
            if let Some(rate) = rate
                && (step * rate - 1.0).abs() > SAME_WIDTH
            {
                let (rate_ms, time_ms) = (1e3 / rate, step * 1e3);
                return Err(TablesError::RateAgainstTime { file: features_name, rate, rate_ms, time_ms });
            }
            for (path, other) in others {
                let other_name = name(path);
                if let Some(clocks) =
                    days_apart((&features_name, features.time.as_deref()), (&other_name, other.as_deref()))
                {
                    return Err(TablesError::Clocks(clocks));
                }
                let pairs = time.iter().flatten().zip(other.iter().flatten()).enumerate();
                for (row, (first_time, second_time)) in pairs {
                    if (first_time - second_time).abs() > step / 2.0 {
                        return Err(TablesError::TimesDiffer {
                            row,
                            first: features_name,
                            first_time: *first_time,
                            second: other_name,
                            second_time: *second_time,
                        });
                    }
                }
            }
        }
        let period = rate.map(f64::recip).or_else(|| time.as_deref().and_then(median_step));
        let Some(period) = period else { return Err(TablesError::NoRate { file: features_name }) };
        let implausible = implausible(period, rate.is_some()).map(|hint| {
            let ms = period * 1e3;
            let ms = if (1e-3..1e7).contains(&ms) {
                ((ms * 1e3).round() / 1e3).to_string()
            } else {
                format!("{ms:.3e}")
            };
            format!("{features_name}: rows are {ms} ms apart, but a run decodes bins of 1 to 200 ms: {hint}")
        });
        if !BETWEEN_ROWS_S.contains(&period) {
            return Err(TablesError::Implausible(implausible.unwrap_or_default()));
        }
        let time = time.unwrap_or_else(|| (0..features.rows).map(|row| row as f64 * period).collect());
        let said = |path: &Path, table: &Table| {
            table.remarks.iter().map(|remark| format!("{}: {remark}", name(path))).collect::<Vec<_>>()
        };
        let mut remarks = [said(features_path, &features), said(states_path, &states)].concat();
        remarks.extend(implausible.clone());
        let parts = vec![Part { file: features_path.to_owned(), rows: 0..features.rows }];
        Ok(Tables {
            parts,
            features,
            states,
            task,
            bin_ms: period * 1e3,
            time,
            session: None,
            remarks,
            implausible,
        })
    }
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
    } else if (0.001..=0.2).contains(&(period / 1e9)) {
        "are the times in nanoseconds? Name the column `time_ns`, or give --rate and leave the column out"
    } else {
        "times are in seconds; bring the rows to bins first, or give --rate"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_no_run_could_decode_are_refused_with_what_may_be_meant() {
        for (period, expected) in [(0.02, None), (0.001, None), (0.2, None)] {
            assert_eq!(implausible(period, false), expected);
        }
        assert!(implausible(20.0, false).is_some_and(|hint| hint.contains("time_ms")));
        assert!(implausible(20_000.0, false).is_some_and(|hint| hint.contains("time_us")));
        assert!(implausible(20.0, true).is_some_and(|hint| hint.contains("--rate")));
    }
}
