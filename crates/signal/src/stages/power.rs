//! Power: the mean square, as it is, relative to a reference, or its logarithm.

use kalmind_types::StreamOutput;
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::settling::Settling;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};
use super::windows::{LONGEST_MS, Place, Windows};

/// How power is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerSettings {
    /// A value comes out this often, to the nearest sample, in milliseconds.
    #[serde(default = "millisecond")]
    pub output_ms: f64,
    /// It is the mean square over the last so many milliseconds, to the nearest whole number of `output_ms`; those since the last
    /// one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_ms: Option<f64>,
    /// Power is divided by these: one number for all channels, or one each. A channel with 0 has no valid power.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relative_to: Vec<f64>,
    /// Gives the natural logarithm; of no power at all there is none.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub log: bool,
}

fn millisecond() -> f64 {
    1.0
}

/// A window that is longer or shorter by more than this part than what is asked for is said to be.
const SAID: f64 = 0.02;

/// What has to be said where the window is of another length than the settings say, since it is made of whole values.
fn other_length(over_ms: Option<f64>, windows: f64, every_ms: f64) -> Option<String> {
    let (over_ms, made_ms) = (over_ms?, windows * every_ms);
    ((made_ms - over_ms).abs() > SAID * over_ms).then(|| {
        format!(
            "`over_ms` is {over_ms}, and the window is {made_ms:.1} ms long: it is made of whole values, which come every {every_ms:.1} \
             ms (`output_ms`)"
        )
    })
}

/// What the mean squares of values are called.
pub(super) fn squared(outputs: &[StreamOutput]) -> Vec<StreamOutput> {
    let of = |output: &StreamOutput| StreamOutput {
        name: format!("{} power", output.name),
        unit: if output.unit.is_empty() { String::new() } else { format!("{}^2", output.unit) },
        ..output.clone()
    };
    outputs.iter().map(of).collect()
}

/// The measurement.
#[derive(Clone, Debug)]
pub(super) struct Power {
    signal: Signal,
    windows: Windows,
    settling: Settling,
    /// One each where power is relative.
    relative_to: Vec<f64>,
    log: bool,
    /// Sums of squares, a row of channels for each of the last windows, and which of the rows is the next to be written.
    sums: Vec<f64>,
    next: usize,
    /// How many windows these are.
    kept: usize,
    /// Whether they are as long as what was asked for.
    warning: Option<String>,
    /// Of the window: squares, and what was not valid.
    squares: Vec<f64>,
    invalid: Vec<bool>,
}

impl StageKind for Power {
    type Settings = PowerSettings;
    const NAME: &'static str = "power";
    const ABOUT: &'static str = "the mean square, as it is, relative to a reference, or its logarithm";

    fn build(settings: &PowerSettings, input: &Signal) -> Result<Self, StageError> {
        let PowerSettings { output_ms, over_ms, relative_to, log } = settings;
        for (name, value) in [("output_ms", *output_ms), ("over_ms", over_ms.unwrap_or(*output_ms))] {
            if !(value > 0.0 && value <= LONGEST_MS) {
                let problem = format!("`{name}` is {value}; a number above 0, at most {LONGEST_MS}");
                return Err(StageError::new(problem));
            }
        }
        if relative_to.iter().any(|power| !(*power >= 0.0 && power.is_finite())) {
            return Err(StageError::new("`relative_to` holds what is below 0 or no number"));
        }
        let channels = input.outputs.len();
        if relative_to.len() > 1 && relative_to.len() != channels {
            return Err(StageError::of_signal(format!(
                "`relative_to` has {} numbers; one for all channels, or one each: {channels}",
                relative_to.len()
            )));
        }
        let windows = Windows::new(input, input.rows_in(*output_ms) as u64);
        let mut signal = windows.signal(input);
        let kept = signal.rows_in(over_ms.unwrap_or(0.0)).max(1.0) as usize;
        let warning = other_length(*over_ms, kept as f64, 1e3 / signal.rate_hz);
        signal.outputs = squared(&input.outputs);
        for output in signal.outputs.iter_mut().filter(|_| *log || !relative_to.is_empty()) {
            output.unit.clear();
        }
        Ok(Self {
            signal,
            windows,
            settling: Settling::new(channels, (kept as u64).saturating_sub(1)),
            relative_to: relative_to.iter().copied().cycle().take(channels).collect(),
            log: *log,
            sums: vec![0.0; kept.saturating_mul(channels)],
            next: 0,
            kept,
            warning,
            squares: vec![0.0; channels],
            invalid: vec![false; channels],
        })
    }

    fn summary(settings: &PowerSettings) -> String {
        let log = if settings.log { "log of " } else { "" };
        let relative = if settings.relative_to.is_empty() { "" } else { "relative " };
        let over = settings.over_ms.unwrap_or(settings.output_ms);
        format!("{log}{relative}power over {over} ms")
    }

    fn example() -> PowerSettings {
        PowerSettings { output_ms: 4.0, over_ms: Some(20.0), relative_to: vec![0.5], log: false }
    }
}

impl Power {
    /// Appends the power of the windows that are kept; the newest was just written.
    fn give(&mut self, mark: super::rows::Mark, output: &mut Rows) {
        let channels = self.squares.len().max(1);
        let (values, invalid) = output.push(mark);
        // from the oldest on: the same order wherever the ring begins
        let (newer, older) = self.sums.split_at(self.next.saturating_mul(channels).min(self.sums.len()));
        for sums in older.chunks_exact(channels).chain(newer.chunks_exact(channels)) {
            for (value, sum) in values.iter_mut().zip(sums) {
                *value += sum;
            }
        }
        let rows = self.windows.rows() as f64 * self.kept as f64;
        invalid.copy_from_slice(&self.invalid);
        self.settling.step(invalid);
        for value in values.iter_mut() {
            *value /= rows;
        }
        for ((value, reference), invalid) in values.iter_mut().zip(&self.relative_to).zip(invalid.iter_mut()) {
            let is_usable = *reference > 0.0;
            *value = if is_usable { *value / reference } else { 0.0 };
            *invalid |= !is_usable;
        }
        if self.log {
            for (value, invalid) in values.iter_mut().zip(invalid) {
                let is_usable = *value > 0.0;
                *value = if is_usable { libm::log(*value) } else { 0.0 };
                *invalid |= !is_usable;
            }
        }
    }

    fn clear(&mut self) {
        self.squares.fill(0.0);
        self.invalid.fill(false);
    }
}

impl Stage for Power {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        self.windows.rows().saturating_mul(self.kept as u64).saturating_sub(1)
    }

    fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    fn most_rows(&self, rows: usize) -> usize {
        self.windows.most(rows)
    }

    fn restart(&mut self) {
        self.windows.restart();
        self.settling.restart();
        self.sums.fill(0.0);
        self.next = 0;
        self.clear();
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        let channels = self.squares.len();
        for row in input.iter() {
            for (square, value) in self.squares.iter_mut().zip(row.values) {
                *square += value * value;
            }
            for (invalid, row) in self.invalid.iter_mut().zip(row.invalid) {
                *invalid |= *row;
            }
            let place = self.windows.step(row.mark);
            if place == Place::Last {
                let first = self.next.saturating_mul(channels);
                let written = self.sums.iter_mut().skip(first).take(channels);
                for (sum, square) in written.zip(&self.squares) {
                    *sum = *square;
                }
                self.next = self.next.saturating_add(1).checked_rem(self.kept).unwrap_or(0);
                self.give(row.mark, output);
            }
            if place != Place::Within {
                self.clear();
            }
        }
    }

    fn state_bytes(&self) -> usize {
        let numbers = self.sums.len().saturating_add(self.squares.len()).saturating_add(1);
        numbers
            .saturating_mul(size_of::<u64>())
            .saturating_add(self.invalid.len())
            .saturating_add(Windows::STATE_BYTES)
            .saturating_add(self.settling.state_bytes())
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        self.windows.save(state);
        self.settling.save(state);
        state.whole(self.next as u64);
        state.numbers(&self.sums);
        state.numbers(&self.squares);
        state.flags(&self.invalid);
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.windows.load(state)?;
        self.settling.load(state)?;
        let next = usize::try_from(state.whole()?).unwrap_or(usize::MAX);
        if next >= self.kept {
            return Err(StateError);
        }
        self.next = next;
        state.numbers(&mut self.sums)?;
        state.numbers(&mut self.squares)?;
        state.flags(&mut self.invalid)
    }
}
