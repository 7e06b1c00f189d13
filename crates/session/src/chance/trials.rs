//! Trials as the test sees them: one vector of features each, freed of what is locked to the trial's course.

use core::ops::Range;

use kalmind_filter::TrainingData;
use kalmind_types::Position;
use nalgebra::DMatrix;

use super::Untestable;

/// Where a trial's movement starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// In the target before.
    PreviousTarget,
    /// Where the task put the cursor.
    At(Position),
}

/// A start that is nearer to the target before than this part of the way to the new one is in the target before.
const IN_PREVIOUS_TARGET: f64 = 0.25;

/// One trial.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) target: Position,
    pub(super) start: Start,
    /// The row of [`Trials::features`] that is its own; none where it cannot be scored.
    pub(super) scored: Option<usize>,
}

/// Every trial with a target, in order.
#[derive(Clone, Debug)]
pub(super) struct Trials {
    pub(super) trials: Vec<Trial>,
    /// Scored trials x features: their mean features, less the mean of all trials at the same time since the start, over the
    /// deviation within trials.
    pub(super) features: DMatrix<f64>,
}

impl Trials {
    pub(super) fn of(data: &TrainingData, assisted: Option<&[bool]>) -> Result<Self, Untestable> {
        let ranges = trial_ranges(data);
        if ranges.is_empty() {
            return Err(Untestable::NoTargets);
        }
        let task = data.task.as_deref().unwrap_or_default();
        let helped = |row: usize| assisted.is_some_and(|rows| rows.get(row).copied().unwrap_or(true));
        let measures = |row: usize| data.measurement.as_ref().is_none_or(|mask| mask[row]);
        let usable: Vec<Range<usize>> =
            ranges.iter().filter(|range| !(*range).clone().any(helped)).cloned().collect();
        let width = data.features.ncols();
        let longest = usable.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let mut counts = vec![0_usize; longest];
        for range in &usable {
            for row in range.clone().filter(|&row| measures(row)) {
                counts[row - range.start] += 1;
            }
        }
        let window: Vec<bool> = counts.iter().map(|&count| 2 * count >= usable.len() && count > 1).collect();
        let mut course = DMatrix::<f64>::zeros(width, longest);
        let rows_of = |range: &Range<usize>| {
            let start = range.start;
            range.clone().filter(|&row| measures(row) && window[row - start]).collect::<Vec<_>>()
        };
        for range in &usable {
            for row in rows_of(range) {
                let at = row - range.start;
                let mut column = course.column_mut(at);
                column.axpy(1.0 / counts[at] as f64, &data.features.row(row).transpose(), 1.0);
            }
        }
        let fewest = window.iter().filter(|inside| **inside).count().div_ceil(4).max(1);
        let mut trials = Vec::with_capacity(ranges.len());
        let mut means: Vec<f64> = Vec::new();
        let mut scored = 0;
        let mut within = vec![0.0; width];
        let mut freedom = 0;
        let mut previous: Option<(Position, usize)> = None;
        for range in &ranges {
            let sample = task[range.start];
            let target = sample.target.unwrap_or_default();
            let start = match previous {
                Some((before, end))
                    if end == range.start
                        && sample.cursor.distance(before) <= IN_PREVIOUS_TARGET * before.distance(target) =>
                {
                    Start::PreviousTarget
                }
                _ => Start::At(sample.cursor),
            };
            previous = Some((target, range.end));
            let rows = if range.clone().any(helped) { Vec::new() } else { rows_of(range) };
            let usable = rows.len() >= fewest;
            trials.push(Trial { target, start, scored: usable.then_some(scored) });
            if !usable {
                continue;
            }
            scored += 1;
            let mut mean = vec![0.0; width];
            let value = |row: usize, column: usize| {
                data.features[(row, column)] - course[(column, row - range.start)]
            };
            for (column, mean) in mean.iter_mut().enumerate() {
                *mean = rows.iter().map(|&row| value(row, column)).sum::<f64>() / rows.len() as f64;
                within[column] += rows.iter().map(|&row| (value(row, column) - *mean).powi(2)).sum::<f64>();
            }
            freedom += rows.len() - 1;
            means.extend(mean);
        }
        let mut features = DMatrix::from_row_slice(scored, width, &means);
        for (mut column, sum) in features.column_iter_mut().zip(&within) {
            let deviation = (sum / freedom.max(1) as f64).sqrt();
            let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
            column *= scale;
        }
        Ok(Self { trials, features })
    }

    pub(super) fn scored(&self) -> usize {
        self.features.nrows()
    }
}

/// Rows of one trial and one target, without a gap.
fn trial_ranges(data: &TrainingData) -> Vec<Range<usize>> {
    let Some(task) = data.task.as_deref() else { return Vec::new() };
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut gaps = data.segment_starts.clone();
    gaps.sort_unstable();
    for (row, sample) in task.iter().enumerate() {
        if sample.target.is_none() {
            continue;
        }
        match ranges.last_mut() {
            Some(range)
                if range.end == row
                    && gaps.binary_search(&row).is_err()
                    && task[range.start].trial == sample.trial
                    && task[range.start].target == sample.target =>
            {
                range.end = row + 1;
            }
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}
