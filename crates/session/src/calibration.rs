//! What a task leaves to fit a decoder on: features paired with what the participant is taken to have meant.

use kalmind_filter::{LabelLaw, TaskSample, TrainingData, ZScore};
use kalmind_signal::{FeatureStatistics, Preparation, PreparationError};
use kalmind_types::{
    CursorDrive, LslTime, OutputState, Position, Target, TickOutput, Velocity, most_missing,
};
use nalgebra::DMatrix;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::click_labels::ClickLabelLaw;

/// Feature values kept at most (512 MiB); rows past it are refused and counted.
const MAX_VALUES: usize = 1 << 26;
/// What rounding of stamps may take from a trial's first bins, in seconds.
const ROUNDING_S: f64 = 1e-6;
/// Fewest rows to fit a decoder on.
const FEWEST_ROWS: usize = 10;

/// How calibration reads a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationOptions {
    /// What the participant is taken to intend.
    pub label_law: LabelLaw,
    /// Bin width in milliseconds of stream time; counts `lag_ms` in bins.
    pub bin_ms: f64,
    /// The part of the features that may lack a valid value in a row that trains the measurement model.
    pub max_masked: f64,
    /// Features that are switched off: they never have one (see [`most_missing`]).
    pub switched_off: usize,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self { label_law: LabelLaw::default(), bin_ms: 20.0, max_masked: 0.25, switched_off: 0 }
    }
}

/// One tick as calibration sees it.
#[derive(Clone, Copy, Debug)]
pub struct CalibrationTick<'a> {
    /// What the engine gave.
    pub output: &'a TickOutput,
    /// The bin's raw features, NaN where there was no valid sample; of another length only in an incomplete bin.
    pub features: &'a [f64],
    /// The target in force at the bin's start.
    pub target: Option<Target>,
    /// The trial in force at the bin's start; without it a change of target begins a trial.
    pub trial: Option<u64>,
    /// What moves the cursor while calibrating.
    pub drive: CursorDrive,
}

/// Rows to fit on, with what a model has to carry of them.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationData {
    /// Features (z-scored where asked for) and labels (vx, vy in workspace widths per second).
    pub training: TrainingData,
    /// Mean of the raw features over all valid values; 0 for a feature that never had one.
    pub training_mean: Vec<f64>,
    /// The z-score used, if asked for; the one that it starts as, where it follows the signal.
    pub zscore: Option<ZScore>,
    /// The law behind the labels.
    pub label_law: LabelLaw,
    /// Which gathered row each training row's features are from.
    pub gathered: Vec<usize>,
    /// Rows that train the measurement model.
    pub measurement_rows: usize,
    /// Rows in which the decoder moved the cursor: what the cursor did, and so the label, follows from features there, and a
    /// test against chance does not score them.
    pub decoder_moved: Vec<bool>,
    /// Features without a single valid value.
    pub dead_features: Vec<usize>,
}

/// Why there is nothing to fit on.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// Too few rows train the measurement model.
    #[error(
        "{rows} bins with a target, of which {measurement_rows} can train the decoder; at least {FEWEST_ROWS} are \
         needed: run a longer open loop while the output is not on hold or stale, or see why bins were incomplete"
    )]
    TooFewRows {
        /// Rows with a label.
        rows: usize,
        /// Those that may train the measurement model.
        measurement_rows: usize,
    },
    /// Nothing can be z-scored by their statistics.
    #[error(transparent)]
    Preparation(#[from] PreparationError),
}

/// The tick before, as far as the next one needs it.
#[derive(Clone, Copy, Debug)]
struct Previous {
    epoch: u32,
    seq: u64,
    time: LslTime,
    position: Position,
}

/// The trial that runs.
#[derive(Clone, Copy, Debug)]
struct RunningTrial {
    number: Option<u64>,
    /// Counts trials.
    count: u64,
    target: Target,
    start: LslTime,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Of the tick.
    seq: u64,
    label: Velocity,
    /// What the task showed.
    task: TaskSample,
    /// Complete, few features masked, past the trial's first moments.
    measures: bool,
    /// The decoder moved the cursor, not the task.
    decoder_moved: bool,
    starts_segment: bool,
}

/// Gathers rows tick by tick. Lives off the tick thread (it allocates).
///
/// A tick becomes a row when a target was in force at its bin's start, its output state let the cursor move, and the tick
/// before is known (its position is the cursor as displayed at the bin's start). Any other tick, a hole in `seq` and a new
/// epoch end a segment. Rows in the first `skip_ms` of a trial, of incomplete bins, and with more than `max_masked` of
/// their features invalid train the state model only; single invalid features take the mean of the valid ones.
#[derive(Clone, Debug)]
pub struct Calibration {
    options: CalibrationOptions,
    /// When clicks are taken to be meant, where they are to be decoded.
    clicks: Option<ClickLabelLaw>,
    width: usize,
    features: Vec<f64>,
    rows: Vec<Row>,
    previous: Option<Previous>,
    trial: Option<RunningTrial>,
    trials: u64,
    segment_open: bool,
    refused: u64,
}

impl Calibration {
    /// Nothing gathered yet, for vectors of `features` features.
    pub fn new(options: CalibrationOptions, features: usize) -> Self {
        Self {
            options,
            clicks: None,
            width: features,
            features: Vec::new(),
            rows: Vec::new(),
            previous: None,
            trial: None,
            trials: 0,
            segment_open: false,
            refused: 0,
        }
    }

    /// The same, from which a click decoder is fitted as well: the participant clicks on targets, when this law says.
    #[must_use]
    pub fn with_clicks(mut self, law: Option<ClickLabelLaw>) -> Self {
        self.clicks = law;
        self
    }

    /// When clicks are taken to be meant; none where they are not to be decoded.
    pub fn clicks(&self) -> Option<ClickLabelLaw> {
        self.clicks
    }

    /// Rows gathered.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Which ticks the gathered rows are of, and their features, one row after the other; those of a bin that was not
    /// complete are not a number.
    #[must_use]
    pub fn into_rows(self) -> (Vec<u64>, Vec<f64>) {
        (self.rows.iter().map(|row| row.seq).collect(), self.features)
    }

    /// Whether a gathered row has any feature: its bin was complete.
    pub fn has_features(&self, row: usize) -> bool {
        let features = self.features.get(row * self.width..(row + 1) * self.width);
        features.is_some_and(|features| features.iter().any(|value| value.is_finite()))
    }

    /// Rows refused because the memory set aside for calibration was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Sees a tick. Call it with every tick, in order.
    pub fn observe(&mut self, tick: CalibrationTick<'_>) {
        let output = tick.output;
        let previous = self.previous.replace(Previous {
            epoch: output.epoch,
            seq: output.seq,
            time: output.time,
            position: output.position,
        });
        let follows =
            previous.filter(|previous| previous.epoch == output.epoch && previous.seq + 1 == output.seq);
        let (Some(before), Some(target)) = (follows, tick.target) else {
            self.segment_open = false;
            self.trial = None;
            return;
        };
        let trial = match self.trial {
            Some(trial) if trial.number == tick.trial && trial.target == target => trial,
            _ => {
                self.trials += 1;
                RunningTrial { number: tick.trial, count: self.trials - 1, target, start: before.time }
            }
        };
        self.trial = Some(trial);
        if !output.state.moves() {
            self.segment_open = false;
            return;
        }
        if self.features.len() + self.width > MAX_VALUES {
            self.segment_open = false;
            self.refused += 1;
            return;
        }
        let usable = !output.incomplete && tick.features.len() == self.width;
        let invalid = tick.features.iter().filter(|value| !value.is_finite()).count();
        let skipped = (before.time - trial.start).0 < self.options.label_law.skip_ms / 1e3 - ROUNDING_S;
        let CalibrationOptions { max_masked, switched_off, .. } = self.options;
        let most = most_missing(max_masked, self.width, switched_off) + switched_off as f64;
        let measures = usable && !skipped && invalid as f64 <= most;
        if usable {
            self.features.extend_from_slice(tick.features);
        } else {
            self.features.extend(core::iter::repeat_n(f64::NAN, self.width));
        }
        self.rows.push(Row {
            seq: output.seq,
            label: self.options.label_law.label(before.position, target.position),
            task: TaskSample {
                trial: trial.count,
                target: Some(target.position),
                cursor: before.position,
                hold: before.position.distance(target.position) <= target.radius,
            },
            measures,
            decoder_moved: output.state == OutputState::Control
                || (tick.drive == CursorDrive::Decoder && output.velocity != Velocity::default()),
            starts_segment: !self.segment_open,
        });
        self.segment_open = true;
    }

    /// Takes the rows of another session, of as many features, behind its own: no segment and no trial goes on from one to
    /// the other. Rows that find no room are refused and counted.
    pub fn append(&mut self, mut other: Self) {
        self.previous = None;
        self.trial = None;
        self.segment_open = false;
        self.refused += other.refused;
        if other.width != self.width || self.features.len() + other.features.len() > MAX_VALUES {
            self.refused += other.rows.len() as u64;
            return;
        }
        if let Some(first) = other.rows.first_mut() {
            first.starts_segment = true;
        }
        for row in &mut other.rows {
            row.task.trial += self.trials;
        }
        self.trials += other.trials;
        self.features.append(&mut other.features);
        self.rows.append(&mut other.rows);
    }

    /// What was gathered so far, for fitting.
    ///
    /// # Errors
    /// When too few rows train the measurement model.
    pub fn data(&self, zscore: bool) -> Result<CalibrationData, CalibrationError> {
        let pairs = self.lagged_pairs();
        let measurement: Vec<bool> = pairs.iter().map(|pair| self.rows[pair.features].measures).collect();
        let measurement_rows = measurement.iter().filter(|measures| **measures).count();
        if measurement_rows < FEWEST_ROWS {
            return Err(CalibrationError::TooFewRows { rows: self.rows.len(), measurement_rows });
        }
        let FeatureStatistics { mean, deviation } = FeatureStatistics::measure(&self.features, self.width);
        let zscore = zscore.then(|| ZScore { mean: mean.clone(), standard_deviation: deviation });
        let features = DMatrix::from_fn(pairs.len(), self.width, |row, column| {
            let raw = self.features[pairs[row].features * self.width + column];
            let value = if raw.is_finite() { raw } else { mean[column] };
            match &zscore {
                Some(zscore) => {
                    let deviation = zscore.standard_deviation[column];
                    (value - zscore.mean[column]) / if deviation > 0.0 { deviation } else { 1.0 }
                }
                None => value,
            }
        });
        let states =
            DMatrix::from_fn(pairs.len(), 2, |row, column| self.rows[pairs[row].label].label.0[column]);
        let segment_starts =
            pairs.iter().enumerate().filter(|(_, pair)| pair.starts_segment).map(|(row, _)| row).collect();
        let dead_features = (0..self.width)
            .filter(|&column| {
                self.features.iter().skip(column).step_by(self.width).all(|value| !value.is_finite())
            })
            .collect();
        Ok(CalibrationData {
            training: TrainingData {
                features,
                states,
                measurement: Some(measurement),
                segment_starts,
                task: Some(pairs.iter().map(|pair| self.rows[pair.label].task).collect()),
            },
            training_mean: mean,
            zscore,
            label_law: self.options.label_law,
            gathered: pairs.iter().map(|pair| pair.features).collect(),
            measurement_rows,
            decoder_moved: pairs.iter().map(|pair| self.rows[pair.label].decoder_moved).collect(),
            dead_features,
        })
    }

    /// As [`Self::data`] with a z-score, whose mean and scale follow the signal from row to row: the newest has this weight.
    ///
    /// # Errors
    /// When too few rows train the measurement model, or a feature has no usable mean.
    pub fn running_data(&self, weight: f64) -> Result<CalibrationData, CalibrationError> {
        let mut data = self.data(true)?;
        let statistics = data.zscore.as_ref().map(|zscore| FeatureStatistics {
            mean: zscore.mean.clone(),
            deviation: zscore.standard_deviation.clone(),
        });
        let mut preparation = Preparation::new(data.training_mean.clone(), statistics)?.running(Some(weight));
        let CalibrationData { gathered, training, .. } = &mut data;
        // what no label meets is in between all the same
        let mut wanted = gathered.iter().enumerate().peekable();
        preparation.over(self.features.chunks_exact(self.width), |row, features| {
            while let Some((at, _)) = wanted.next_if(|(_, gathered)| **gathered == row) {
                training.features.row_mut(at).iter_mut().zip(features).for_each(|(to, from)| *to = *from);
            }
        });
        Ok(data)
    }

    /// Rows whose features meet the label of `lag_ms` before, both in one segment.
    fn lagged_pairs(&self) -> Vec<Pair> {
        let lag = (self.options.label_law.lag_ms / self.options.bin_ms).round() as isize;
        let starts = (0..self.rows.len()).filter(|&row| self.rows[row].starts_segment);
        let ends = starts.clone().skip(1).chain([self.rows.len()]);
        let mut pairs = Vec::with_capacity(self.rows.len());
        for (start, end) in starts.zip(ends) {
            let mut starts_segment = true;
            for features in start..end {
                let label = features.checked_add_signed(-lag).filter(|row| (start..end).contains(row));
                if let Some(label) = label {
                    pairs.push(Pair { features, label, starts_segment });
                    starts_segment = false;
                }
            }
        }
        pairs
    }
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    features: usize,
    label: usize,
    starts_segment: bool,
}

impl CalibrationData {
    /// The same rows with the labels, and what the task showed, dealt out anew: a control in which nothing can be learnt.
    /// Fitted on it, a decoder has to fail; where it does not, the task is too easy or the labels leak.
    #[must_use]
    pub fn with_shuffled_labels(mut self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.training.rows()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let states = &self.training.states;
        self.training.states =
            DMatrix::from_fn(states.nrows(), states.ncols(), |row, column| states[(order[row], column)]);
        if let Some(task) = &mut self.training.task {
            *task = order.iter().map(|&row| task[row]).collect();
        }
        self
    }
}
