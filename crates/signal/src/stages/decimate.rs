//! Fewer samples a second, behind the low-pass that this needs.

use serde::{Deserialize, Serialize};

use super::filter::{FilterKind, FilterSettings, Frequencies};
use super::iir::Iir;
use super::rows::Rows;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};
use super::windows::{Place, Windows};

/// How much is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecimateSettings {
    /// One sample in so many is kept.
    pub factor: u64,
    /// The edge of the low-pass before that, in Hz. What lies above half the new rate would come out as something slower; so
    /// the edge has to be below that, and there is no decimation without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_pass_hz: Option<f64>,
    /// Its order.
    #[serde(default = "eight")]
    pub order: u32,
}

fn eight() -> u32 {
    8
}

/// Larger factors are refused.
const LARGEST_FACTOR: u64 = 10_000;

/// The filter, and which of its values are kept.
#[derive(Clone, Debug)]
pub(super) struct Decimate {
    signal: Signal,
    low_pass: Iir,
    windows: Windows,
    filtered: Rows,
}

impl StageKind for Decimate {
    type Settings = DecimateSettings;
    const NAME: &'static str = "decimate";
    const ABOUT: &'static str = "one sample in so many, behind a low-pass";

    fn build(settings: &DecimateSettings, input: &Signal) -> Result<Self, StageError> {
        let DecimateSettings { factor, low_pass_hz, order } = *settings;
        if !(2..=LARGEST_FACTOR).contains(&factor) {
            return Err(StageError::new(format!("`factor` is {factor}; a number from 2 to {LARGEST_FACTOR}")));
        }
        let windows = Windows::new(input, factor);
        let signal = windows.signal(input);
        let half = signal.rate_hz / 2.0;
        let Some(hz) = low_pass_hz else {
            return Err(StageError::of_signal(format!(
                "`low_pass_hz` is missing: what lies above half the new rate, {half} Hz, has to be filtered out; \
                 an edge at {} Hz or below does that",
                half * 0.8
            )));
        };
        let low_pass = FilterSettings {
            kind: FilterKind::LowPass,
            hz: Frequencies::One(hz),
            order,
            quality: 30.0,
            harmonics: 1,
            zero_phase_ms: None,
        };
        // wrong whatever the signal, before what does not fit this one
        low_pass.sections(f64::MAX)?;
        if hz >= half {
            return Err(StageError::of_signal(format!(
                "`low_pass_hz` is {hz}; it has to be below half the new rate, {half} Hz"
            )));
        }
        let low_pass = Iir::of(&low_pass.sections(input.rate_hz)?, input)
            .map_err(|error| StageError::of_signal(format!("at {} Hz, {error}", input.rate_hz)))?;
        let filtered = Rows::with_capacity(input.outputs.len(), 1);
        Ok(Self { signal, low_pass, windows, filtered })
    }

    fn example() -> DecimateSettings {
        DecimateSettings { factor: 2, low_pass_hz: Some(20.0), order: 2 }
    }
}

impl Stage for Decimate {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        self.low_pass.settling()
    }

    fn most_rows(&self, rows: usize) -> usize {
        self.windows.most(rows)
    }

    fn restart(&mut self) {
        self.low_pass.restart();
        self.windows.restart();
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            self.filtered.clear();
            self.low_pass.take(row, &mut self.filtered);
            if self.windows.step(row.mark) != Place::Within {
                for row in self.filtered.iter() {
                    output.push_like(row);
                }
            }
        }
    }

    fn state_bytes(&self) -> usize {
        self.low_pass.state_bytes().saturating_add(Windows::STATE_BYTES)
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        self.low_pass.save(state);
        self.windows.save(state);
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.low_pass.load(state)?;
        self.windows.load(state)
    }
}
