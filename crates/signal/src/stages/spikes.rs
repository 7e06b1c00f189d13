//! Spikes: crossings of a threshold, counted.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::settling::Settling;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};
use super::wide::compiled_wide;
use super::windows::{LONGEST_MS, Place, Windows};

/// What counts as a spike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpikesSettings {
    /// What the threshold is a multiple of, in the unit of what comes in: the root mean square of each channel, or its median
    /// absolute deviation over 0.6745; one number for all channels, or one each. A channel with 0 has no threshold, and no
    /// valid count.
    pub scales: Vec<f64>,
    /// The multiple. Below 0, a spike is a value below the threshold after one that is not; above 0, one above it.
    #[serde(default = "multiple")]
    pub multiple: f64,
    /// For how long after a spike there is no other one, in milliseconds.
    #[serde(default = "millisecond")]
    pub refractory_ms: f64,
    /// Spikes are counted over this long, to the nearest sample, in milliseconds.
    #[serde(default = "millisecond")]
    pub output_ms: f64,
    /// Gives the mean square of each channel as well, behind the counts.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub power: bool,
}

fn multiple() -> f64 {
    -4.5
}

fn millisecond() -> f64 {
    1.0
}

/// The detector.
#[derive(Clone, Debug)]
pub(super) struct Spikes {
    signal: Signal,
    windows: Windows,
    settling: Settling,
    refractory: u64,
    /// Negative where spikes rise: they are found in what was turned over.
    sign: f64,
    /// What a value has to be below, once it was given its sign.
    thresholds: Vec<f64>,
    /// Rows since the beginning, or since it went on from a checkpoint.
    row: u64,
    /// Of each channel: whether its last value was below, whether this one is and the last was not, and the first row at which
    /// it may spike again.
    is_below: Vec<bool>,
    crosses: Vec<bool>,
    free_at: Vec<u64>,
    /// The row that is worked on: which of its values are not valid.
    invalid_row: Vec<bool>,
    /// Of the window: spikes, squares, and what was not valid.
    counts: Vec<f64>,
    squares: Vec<f64>,
    invalid: Vec<bool>,
}

impl StageKind for Spikes {
    type Settings = SpikesSettings;
    const NAME: &'static str = "spikes";
    const ABOUT: &'static str = "crossings of a threshold, counted in each millisecond";

    fn build(settings: &SpikesSettings, input: &Signal) -> Result<Self, StageError> {
        let SpikesSettings { scales, multiple, refractory_ms, output_ms, power } = settings;
        if !(multiple.is_finite() && multiple.abs() > 0.0) {
            return Err(StageError::new(format!("`multiple` is {multiple}; a number other than 0, as -4.5")));
        }
        for (name, value) in [("refractory_ms", *refractory_ms), ("output_ms", *output_ms)] {
            if !(0.0..=LONGEST_MS).contains(&value) {
                return Err(StageError::new(format!("`{name}` is {value}; a number from 0 to {LONGEST_MS}")));
            }
        }
        if scales.is_empty() || scales.iter().any(|scale| !(*scale >= 0.0 && scale.is_finite())) {
            return Err(StageError::new(
                "`scales` has to be one number for all channels or one each, none below 0",
            ));
        }
        let channels = input.outputs.len();
        if scales.len() != 1 && scales.len() != channels {
            return Err(StageError::of_signal(format!(
                "`scales` has {} numbers; one for all channels, or one each: {channels}",
                scales.len()
            )));
        }
        let windows = Windows::new(input, input.rows_in(*output_ms) as u64);
        let mut signal = windows.signal(input);
        let powers = if *power { super::power::squared(&signal.outputs) } else { Vec::new() };
        for output in &mut signal.outputs {
            output.unit = String::from("spikes");
        }
        signal.outputs.extend(powers);
        let refractory = input.rows_in(*refractory_ms) as u64;
        let all = scales.iter().cycle().take(channels);
        Ok(Self {
            signal,
            windows,
            settling: Settling::new(channels, refractory.max(1)),
            refractory,
            sign: -multiple.signum(),
            thresholds: all.map(|scale| -multiple.abs() * scale).collect(),
            row: 0,
            is_below: vec![true; channels],
            crosses: vec![false; channels],
            free_at: vec![0; channels],
            invalid_row: vec![false; channels],
            counts: vec![0.0; channels],
            squares: vec![0.0; if *power { channels } else { 0 }],
            invalid: vec![false; channels],
        })
    }

    fn summary(settings: &SpikesSettings) -> String {
        let power = if settings.power { " and power" } else { "" };
        format!("spikes {} times the scale{power}", settings.multiple)
    }

    fn example() -> SpikesSettings {
        SpikesSettings {
            scales: vec![0.2],
            multiple: -3.5,
            refractory_ms: 1.0,
            output_ms: 1.0,
            power: false,
        }
    }
}

impl Spikes {
    fn count(&mut self, values: &[f64]) {
        self.row = self.row.saturating_add(1);
        crossings(self.sign, values, &self.thresholds, &mut self.is_below, &mut self.crosses);
        // few rows have one
        if self.crosses.iter().fold(false, |any, crosses| any | crosses) {
            let state = self.counts.iter_mut().zip(&mut self.free_at);
            let crosses = self.crosses.iter().zip(&self.invalid_row);
            for ((count, free_at), (crosses, invalid)) in state.zip(crosses) {
                if *crosses && !*invalid && self.row >= *free_at {
                    *count += 1.0;
                    *free_at = self.row.saturating_add(self.refractory);
                }
            }
        }
        add_squares(values, &mut self.squares);
    }

    fn clear(&mut self) {
        self.counts.fill(0.0);
        self.squares.fill(0.0);
        self.invalid.fill(false);
    }
}

impl Stage for Spikes {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        self.settling.rows().saturating_add(self.windows.rows()).saturating_sub(1)
    }

    fn most_rows(&self, rows: usize) -> usize {
        self.windows.most(rows)
    }

    fn restart(&mut self) {
        self.windows.restart();
        self.settling.restart();
        // what is below at first has not come from above
        self.is_below.fill(true);
        self.free_at.fill(0);
        self.clear();
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            self.invalid_row.copy_from_slice(row.invalid);
            self.count(row.values);
            self.settling.step(&mut self.invalid_row);
            for (invalid, row) in self.invalid.iter_mut().zip(&self.invalid_row) {
                *invalid |= *row;
            }
            let place = self.windows.step(row.mark);
            if place == Place::Last {
                let rows = self.windows.rows() as f64;
                let (values, invalid) = output.push(row.mark);
                let squares = self.squares.iter().map(|square| square / rows);
                for (value, found) in values.iter_mut().zip(self.counts.iter().copied().chain(squares)) {
                    *value = found;
                }
                // a flat channel has no threshold
                let of_counts = self.invalid.iter().zip(&self.thresholds).map(|(bad, at)| *bad || *at >= 0.0);
                for (invalid, found) in invalid.iter_mut().zip(of_counts.chain(self.invalid.iter().copied())) {
                    *invalid = found;
                }
            }
            if place != Place::Within {
                self.clear();
            }
        }
    }

    fn state_bytes(&self) -> usize {
        let numbers = [self.free_at.len(), self.counts.len(), self.squares.len()];
        let numbers = numbers.iter().fold(0_usize, |sum, length| sum.saturating_add(*length));
        let flags = self.is_below.len().saturating_add(self.invalid.len());
        numbers
            .saturating_mul(size_of::<u64>())
            .saturating_add(flags)
            .saturating_add(Windows::STATE_BYTES)
            .saturating_add(self.settling.state_bytes())
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        self.windows.save(state);
        self.settling.save(state);
        for free_at in &self.free_at {
            state.whole(free_at.saturating_sub(self.row));
        }
        state.numbers(&self.counts);
        state.numbers(&self.squares);
        state.flags(&self.is_below);
        state.flags(&self.invalid);
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.windows.load(state)?;
        self.settling.load(state)?;
        self.row = 0;
        for free_at in &mut self.free_at {
            *free_at = state.whole()?;
        }
        state.numbers(&mut self.counts)?;
        state.numbers(&mut self.squares)?;
        state.flags(&mut self.is_below)?;
        state.flags(&mut self.invalid)
    }
}

compiled_wide! {
    /// Where a value is below its threshold, once it was given its sign, and the value before was not.
    fn crossings(sign: f64, values: &[f64], thresholds: &[f64], is_below: &mut [bool], crosses: &mut [bool]) = crossings_loop
}

#[expect(clippy::inline_always, reason = "it is compiled for each processor where it is called")]
#[inline(always)]
fn crossings_loop(sign: f64, values: &[f64], thresholds: &[f64], is_below: &mut [bool], crosses: &mut [bool]) {
    let state = is_below.iter_mut().zip(crosses);
    for ((value, threshold), (was_below, crosses)) in values.iter().zip(thresholds).zip(state) {
        let is_below = sign * value < *threshold;
        *crosses = is_below && !*was_below;
        *was_below = is_below;
    }
}

compiled_wide! {
    /// Adds the square of each value.
    fn add_squares(values: &[f64], squares: &mut [f64]) = add_squares_loop
}

#[expect(clippy::inline_always, reason = "it is compiled for each processor where it is called")]
#[inline(always)]
fn add_squares_loop(values: &[f64], squares: &mut [f64]) {
    for (square, value) in squares.iter_mut().zip(values) {
        *square += value * value;
    }
}
