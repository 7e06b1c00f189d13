//! Trials as the test sees them: one vector of features each, from the same window of every trial and freed of what is
//! locked to the trial's course.

use core::ops::Range;

use kalmind_filter::{TaskSample, TrainingData};
use kalmind_types::Position;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

/// A start that is nearer to the target before than this part of the way to the new one is in the target before.
const IN_PREVIOUS_TARGET: f64 = 0.25;
/// The part of the trials that may be shorter than the window.
const SHORTER: f64 = 0.05;
/// Trials scored at most, the newest: what a rearrangement costs grows with their square.
const MOST_SCORED: usize = 400;

/// Why there is no answer (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Untestable {
    /// No row has a target.
    #[error(
        "no row has a target, so there is no direction to decode: give --task, or calibrate with a task that shows targets"
    )]
    NoTargets,
    /// Too few trials can be scored.
    #[error("{trials} trials can be scored, too few to tell from chance: it takes at least {needed}")]
    TooFewTrials {
        /// Trials that can be scored.
        trials: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The targets could hardly have come in another order.
    #[error(
        "the targets could have come in {orders} other orders, and it takes {needed} to tell from chance: show more targets in \
         random order"
    )]
    TooFewOrders {
        /// How many orders.
        orders: u64,
        /// How many it takes.
        needed: u64,
    },
    /// Targets did not come at random.
    #[error(
        "each target follows from the one before, so a slow drift of the signals would look like decoding: show the targets \
         in random order"
    )]
    PredictableOrder,
}

/// Where the way to a target starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// In the target before.
    PreviousTarget,
    /// Where the task put the cursor.
    At(Position),
}

/// What was shown in one trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) target: Position,
    pub(super) start: Start,
    pub(super) scored: bool,
}

/// Every trial with a target, in order.
#[derive(Clone, Debug)]
pub(super) struct Trials {
    pub(super) trials: Vec<Trial>,
    /// Scored trials x features.
    pub(super) features: DMatrix<f64>,
}

impl Trials {
    /// Trials of the rows; those with an assisted row are shown, never scored.
    ///
    /// The window is the same in all trials: as long as all but the shortest twentieth of the trials, less the bins that do
    /// not measure (a trial's first moments). So how long a trial took, which in a closed loop says where the cursor went and
    /// in any task may say how far the target was, is not among the features. Those are, for each trial, the mean over the
    /// window of what a feature is more than in the mean of all trials at the same time since the start, weighted by how far
    /// the cursor then is from the target in the mean of all trials, over the deviation within trials.
    /// Cost: 4 rows features.
    pub(super) fn of(data: &TrainingData, assisted: Option<&[bool]>) -> Result<Self, Untestable> {
        let ranges = trial_ranges(data);
        if ranges.is_empty() {
            return Err(Untestable::NoTargets);
        }
        let task = data.task.as_deref().unwrap_or_default();
        let helped = |row: usize| assisted.is_some_and(|rows| rows.get(row).copied().unwrap_or(true));
        let mut usable: Vec<usize> =
            (0..ranges.len()).filter(|&trial| !ranges[trial].clone().any(helped)).collect();
        usable.drain(..usable.len().saturating_sub(MOST_SCORED));
        let window = Window::of(data, task, &ranges, &usable);
        usable.retain(|&trial| window.is_measured_in(data, &ranges[trial]));
        let starts: Vec<usize> = usable.iter().map(|&trial| ranges[trial].start).collect();
        Ok(Self { trials: shown(task, &ranges, &usable), features: window.features(data, &starts) })
    }

    /// How many trials can be scored.
    pub(super) fn scored(&self) -> usize {
        self.features.nrows()
    }
}

/// Rows of one trial and one target, without a gap. What follows a gap within a trial is left out: two pieces of one trial have
/// the same target and neighbouring features, so a slow drift of the signals would look like decoding. So is a trial that begins
/// in its target, which has no direction, and one without a single bin that measures: a task tells of a trial and of its
/// target one after the other, and the bins between belong to neither.
fn trial_ranges(data: &TrainingData) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let Some(task) = data.task.as_deref() else { return ranges };
    let mut gaps = data.segment_starts.clone();
    gaps.sort_unstable();
    for (row, sample) in task.iter().enumerate() {
        match ranges.last_mut() {
            _ if sample.target.is_none() => {}
            Some(range)
                if range.end == row
                    && gaps.binary_search(&row).is_err()
                    && task[range.start].trial == sample.trial
                    && task[range.start].target == sample.target =>
            {
                range.end = row + 1;
            }
            Some(range)
                if task[range.start].trial == sample.trial && task[range.start].target == sample.target => {}
            _ => ranges.push(row..row + 1),
        }
    }
    ranges.retain(|range| !task[range.start].hold && range.clone().any(|row| measures(data, row)));
    ranges
}

fn shown(task: &[TaskSample], ranges: &[Range<usize>], scored: &[usize]) -> Vec<Trial> {
    let mut before: Option<Position> = None;
    let mut trials = Vec::with_capacity(ranges.len());
    for (at, range) in ranges.iter().enumerate() {
        let TaskSample { target, cursor, .. } = task[range.start];
        let target = target.unwrap_or_default();
        let in_previous = before.is_some_and(|before| {
            cursor.distance(before)
                <= IN_PREVIOUS_TARGET * before.distance(target).max(cursor.distance(target))
        });
        let start = if in_previous { Start::PreviousTarget } else { Start::At(cursor) };
        trials.push(Trial { target, start, scored: scored.binary_search(&at).is_ok() });
        before = Some(target);
    }
    trials
}

/// The bins since the start of a trial that count, and how much.
#[derive(Debug)]
struct Window {
    /// 0 where a bin does not count.
    weights: Vec<f64>,
}

impl Window {
    fn of(data: &TrainingData, task: &[TaskSample], ranges: &[Range<usize>], usable: &[usize]) -> Self {
        // the newest trial may still be under way
        let over = |trial: &&usize| ranges.get(**trial).is_some_and(|range| range.end < data.rows());
        let mut lengths: Vec<usize> = usable.iter().filter(over).map(|&trial| ranges[trial].len()).collect();
        lengths.sort_unstable();
        let length = lengths.get((SHORTER * lengths.len() as f64) as usize).copied().unwrap_or(0);
        let whole: Vec<usize> = usable
            .iter()
            .map(|&trial| &ranges[trial])
            .filter(|range| range.len() >= length)
            .map(|range| range.start)
            .collect();
        let weights = (0..length).map(|bin| {
            let measured = whole.iter().filter(|&&start| measures(data, start + bin)).count();
            if 2 * measured <= whole.len() {
                return 0.0;
            }
            let distances = whole.iter().map(|&start| {
                let sample = task[start + bin];
                sample.target.map_or(0.0, |target| sample.cursor.distance(target))
            });
            distances.sum::<f64>().max(f64::MIN_POSITIVE)
        });
        Self { weights: weights.collect() }
    }

    fn counts(&self) -> impl Iterator<Item = (usize, f64)> {
        self.weights.iter().copied().enumerate().filter(|(_, weight)| *weight > 0.0)
    }

    /// Whether a trial has the whole window, and measures in most of it.
    fn is_measured_in(&self, data: &TrainingData, range: &Range<usize>) -> bool {
        if range.len() < self.weights.len() {
            return false;
        }
        let bins = self.counts().count();
        let measured = self.counts().filter(|(bin, _)| measures(data, range.start + bin)).count();
        2 * measured > bins
    }

    fn features(&self, data: &TrainingData, starts: &[usize]) -> DMatrix<f64> {
        let bins: Vec<(usize, f64)> = self.counts().collect();
        let mut features = DMatrix::zeros(starts.len(), data.features.ncols());
        let mut course = vec![0.0; bins.len()];
        for (column, mut means) in data.features.column_iter().zip(features.column_iter_mut()) {
            let values = |bin: usize| {
                let rows = starts.iter().map(move |start| start + bin).filter(|&row| measures(data, row));
                rows.map(|row| column[row])
            };
            for (mean, (bin, _)) in course.iter_mut().zip(&bins) {
                let (sum, count) =
                    values(*bin).fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
                *mean = sum / f64::from(count.max(1));
            }
            let (mut squares, mut freedom) = (0.0, 0);
            for (mean, start) in means.iter_mut().zip(starts) {
                let rows = || {
                    let bins =
                        bins.iter().zip(&course).map(|((bin, weight), mean)| (start + bin, *weight, *mean));
                    bins.filter(|(row, ..)| measures(data, *row))
                        .map(|(row, weight, mean)| (column[row] - mean, weight))
                };
                let (sum, weights) = rows().fold((0.0, 0.0), |(sum, weights), (value, weight)| {
                    (sum + weight * value, weights + weight)
                });
                *mean = sum / weights;
                squares += rows().map(|(value, _)| (value - *mean).powi(2)).sum::<f64>();
                freedom += rows().count() - 1;
            }
            let deviation = (squares / freedom.max(1) as f64).sqrt();
            means *= if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
        }
        features
    }
}

fn measures(data: &TrainingData, row: usize) -> bool {
    data.measurement.as_ref().is_none_or(|mask| mask[row])
}
