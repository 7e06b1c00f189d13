//! Paired features and intents to fit on.

use kalmind_types::Position;
use nalgebra::DMatrix;
use sha2::{Digest, Sha256};

/// Rows to fit on, in time order: one row a bin.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingData {
    /// Features as the decoder will see them (z-scored where the model says so), rows x n.
    pub features: DMatrix<f64>,
    /// Intents, rows x d.
    pub states: DMatrix<f64>,
    /// Which rows may train the measurement model (f, Q, H, R); all where `None`. The others train A and G only.
    pub measurement: Option<Vec<bool>>,
    /// First rows after a gap in time: no pair and no window reaches across. Row 0 may be listed or not.
    pub segment_starts: Vec<usize>,
    /// What the task showed in each row, where there was one.
    pub task: Option<Vec<TaskSample>>,
}

/// What a task showed in one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskSample {
    /// Number of the trial.
    pub trial: u64,
    /// Where the target was, if one was shown.
    pub target: Option<Position>,
    /// The cursor as displayed at the bin's start.
    pub cursor: Position,
    /// Whether the cursor was being held in the target.
    pub hold: bool,
}

impl TrainingData {
    /// Data without gaps whose every row may train everything.
    #[must_use]
    pub fn new(features: DMatrix<f64>, states: DMatrix<f64>) -> Self {
        Self { features, states, measurement: None, segment_starts: Vec::new(), task: None }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.features.nrows()
    }

    /// SHA-256, in hexadecimal, of shapes, values (row by row, little-endian f64), mask and gaps.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for matrix in [&self.features, &self.states] {
            hasher.update((matrix.nrows() as u64).to_le_bytes());
            hasher.update((matrix.ncols() as u64).to_le_bytes());
            for row in matrix.row_iter() {
                for value in &row {
                    hasher.update(value.to_le_bytes());
                }
            }
        }
        for row in 0..self.rows() {
            hasher.update([u8::from(self.may_train_measurement(row)), u8::from(self.starts_segment(row))]);
        }
        hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            use core::fmt::Write as _;
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// Whether a row may train the measurement model.
    #[must_use]
    pub fn may_train_measurement(&self, row: usize) -> bool {
        self.measurement.as_ref().is_none_or(|mask| mask.get(row).copied().unwrap_or(false))
    }

    /// Whether there is a gap in time before a row.
    #[must_use]
    pub fn starts_segment(&self, row: usize) -> bool {
        row == 0 || self.segment_starts.contains(&row)
    }

    /// The half-open row ranges without a gap, in order.
    #[must_use]
    pub fn segments(&self) -> Vec<core::ops::Range<usize>> {
        let mut starts: Vec<usize> =
            self.segment_starts.iter().copied().filter(|&start| start < self.rows()).chain([0]).collect();
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([self.rows()]).collect::<Vec<_>>();
        starts.into_iter().zip(ends).map(|(start, end)| start..end).collect()
    }

    /// The rows outside a range; there is a gap where the range was.
    #[must_use]
    pub fn without(&self, range: &core::ops::Range<usize>) -> Self {
        let kept: Vec<usize> = (0..self.rows()).filter(|row| !range.contains(row)).collect();
        let pick = |row: &usize| self.starts_segment(*row) || *row == range.end;
        Self {
            features: self.features.select_rows(&kept),
            states: self.states.select_rows(&kept),
            measurement: self
                .measurement
                .as_ref()
                .map(|mask| kept.iter().filter_map(|row| mask.get(*row).copied()).collect()),
            segment_starts: kept
                .iter()
                .enumerate()
                .filter(|(_, row)| pick(row))
                .map(|(place, _)| place)
                .collect(),
            task: self
                .task
                .as_ref()
                .map(|task| kept.iter().filter_map(|row| task.get(*row).copied()).collect()),
        }
    }

    /// The rows that may train the measurement model, in order.
    #[must_use]
    pub fn measurement_rows(&self) -> Vec<usize> {
        (0..self.rows()).filter(|&row| self.may_train_measurement(row)).collect()
    }
}
