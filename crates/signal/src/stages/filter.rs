//! Butterworth filters and notches, designed for the stream's rate from frequencies in Hz; causal, or without a shift of phase.

use serde::{Deserialize, Serialize};

use super::butterworth::{Pass, butterworth, notch, prewarped};
use super::iir::Iir;
use super::iir_backward::IirBackward;
use super::rows::Rows;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};

/// What a filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    /// Lets through what is below a frequency.
    LowPass,
    /// Lets through what is above a frequency.
    HighPass,
    /// Lets through what is between two frequencies.
    BandPass,
    /// Takes out what is between two frequencies.
    BandStop,
    /// Takes out one frequency, and its harmonics.
    Notch,
}

/// One frequency, or the two edges of a band, in Hz.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a frequency in Hz, or `[lower, upper]` of a band")]
pub enum Frequencies {
    /// One.
    One(f64),
    /// The lower and the upper edge.
    Band([f64; 2]),
}

/// What a filter is designed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSettings {
    /// What it does.
    pub kind: FilterKind,
    /// Where, in Hz: the edges (half the power is let through there), or the frequency of the notch.
    pub hz: Frequencies,
    /// Order of a Butterworth filter's low-pass prototype, as scipy's: a band has twice as many poles.
    #[serde(default = "two")]
    pub order: u32,
    /// Of a notch: its frequency over the width of what it takes out.
    #[serde(default = "thirty")]
    pub quality: f64,
    /// Of a notch: how many multiples of its frequency are taken out, the frequency itself included; all equally wide.
    #[serde(default = "one")]
    pub harmonics: u32,
    /// Runs the filter back over blocks as well, so that it shifts no phase and attenuates twice; length of a block, and of the
    /// look-ahead behind it, in milliseconds. Causal where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_phase_ms: Option<f64>,
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

fn thirty() -> f64 {
    30.0
}

/// Higher orders are refused: their poles lie too close to one another for 64-bit numbers.
const HIGHEST_ORDER: u32 = 12;

impl FilterSettings {
    /// What is set and counts for nothing in this kind of filter.
    fn unused(&self) -> Option<String> {
        let is_notch = self.kind == FilterKind::Notch;
        if is_notch && self.order != two() {
            return Some("`order` counts for nothing: a notch has none, and is as wide as `quality` says".to_owned());
        }
        let of_notch = self.quality.to_bits() != thirty().to_bits() || self.harmonics != one();
        (!is_notch && of_notch).then(|| "`quality` and `harmonics` count for nothing: they are of a notch".to_owned())
    }

    /// Its sections at a rate.
    pub(super) fn sections(&self, rate_hz: f64) -> Result<Vec<[f64; 6]>, StageError> {
        let Self { kind, hz, order, quality, harmonics, .. } = *self;
        if !(1..=HIGHEST_ORDER).contains(&order) {
            return Err(StageError::new(format!("`order` is {order}; a number from 1 to {HIGHEST_ORDER}")));
        }
        if !(quality > 0.0 && quality.is_finite()) {
            return Err(StageError::new(format!("`quality` is {quality}; a number above 0")));
        }
        if !(1..=100).contains(&harmonics) {
            return Err(StageError::new(format!("`harmonics` is {harmonics}; a number from 1 to 100")));
        }
        let (low, high) = match (kind, hz) {
            (FilterKind::BandPass | FilterKind::BandStop, Frequencies::Band([low, high])) => (low, high),
            (FilterKind::BandPass | FilterKind::BandStop, Frequencies::One(_)) => {
                return Err(StageError::new("`hz` is one number; a band has two: `hz = [lower, upper]`"));
            }
            (_, Frequencies::One(hz)) => (hz, hz),
            (_, Frequencies::Band(_)) => {
                return Err(StageError::new("`hz` is two numbers; this kind of filter has one"));
            }
        };
        let is_band = matches!(hz, Frequencies::Band(_));
        if !(low > 0.0 && high.is_finite() && (!is_band || low < high)) {
            return Err(StageError::new("`hz` has to be above 0, and the lower edge of a band comes first"));
        }
        let highest = if kind == FilterKind::Notch { f64::from(harmonics) * high } else { high };
        if highest >= rate_hz / 2.0 {
            return Err(StageError::of_signal(format!(
                "{highest} Hz cannot be told from other frequencies in what comes in at {rate_hz} Hz; `hz`{} has to \
                 be below {} Hz",
                if kind == FilterKind::Notch { " times `harmonics`" } else { "" },
                rate_hz / 2.0
            )));
        }
        let warped = |hz| prewarped(hz, rate_hz);
        Ok(match kind {
            FilterKind::LowPass => butterworth(order, Pass::Low(warped(low))),
            FilterKind::HighPass => butterworth(order, Pass::High(warped(low))),
            FilterKind::BandPass => butterworth(order, Pass::Between(warped(low), warped(high))),
            FilterKind::BandStop => butterworth(order, Pass::Outside(warped(low), warped(high))),
            FilterKind::Notch => (1..=harmonics)
                .map(|number| notch(f64::from(number) * low, f64::from(number) * quality, rate_hz))
                .collect(),
        })
    }
}

/// The filter, and the one that runs back behind it, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    forward: Iir,
    backward: Option<IirBackward>,
    unused: Option<String>,
}

impl StageKind for Filter {
    type Settings = FilterSettings;
    const NAME: &'static str = "filter";
    const ABOUT: &'static str = "a Butterworth filter or a notch, designed from frequencies in Hz";

    fn build(settings: &FilterSettings, input: &Signal) -> Result<Self, StageError> {
        let zero_phase = settings.zero_phase_ms;
        if zero_phase.is_some_and(|milliseconds| !(milliseconds > 0.0 && milliseconds <= 60_000.0)) {
            return Err(StageError::new("`zero_phase_ms` has to be above 0, and at most 60000"));
        }
        let sections = settings.sections(input.rate_hz)?;
        let unfit = |error: StageError| StageError::of_signal(format!("at {} Hz, {error}", input.rate_hz));
        let backward = |milliseconds| {
            IirBackward::of(&sections, input.rows_in(milliseconds).max(1.0) as usize, input).map_err(unfit)
        };
        let backward = zero_phase.map(backward).transpose()?;
        Ok(Self { forward: Iir::of(&sections, input).map_err(unfit)?, backward, unused: settings.unused() })
    }

    fn summary(settings: &FilterSettings) -> String {
        let FilterSettings { kind, hz, harmonics, zero_phase_ms, .. } = settings;
        let what = match (kind, hz) {
            (_, Frequencies::Band([low, high])) => format!("{low}..{high} Hz"),
            (FilterKind::LowPass, Frequencies::One(hz)) => format!("below {hz} Hz"),
            (FilterKind::HighPass, Frequencies::One(hz)) => format!("above {hz} Hz"),
            (_, Frequencies::One(hz)) if *harmonics > 1 => format!("without {hz} Hz and harmonics"),
            (_, Frequencies::One(hz)) => format!("without {hz} Hz"),
        };
        let without = if *kind == FilterKind::BandStop { "without " } else { "" };
        let phase = if zero_phase_ms.is_some() { "zero-phase" } else { "causal" };
        format!("{without}{what} {phase}")
    }

    fn example() -> FilterSettings {
        FilterSettings {
            kind: FilterKind::HighPass,
            hz: Frequencies::One(10.0),
            order: 2,
            quality: thirty(),
            harmonics: 1,
            zero_phase_ms: None,
        }
    }
}

impl Stage for Filter {
    fn signal(&self) -> &Signal {
        self.forward.signal()
    }

    fn delay(&self) -> u64 {
        self.backward.as_ref().map_or(0, Stage::delay)
    }

    fn settling(&self) -> u64 {
        self.forward.settling()
    }

    fn warning(&self) -> Option<String> {
        let backward = self.backward.as_ref().and_then(Stage::warning);
        let said: Vec<String> = self.unused.clone().into_iter().chain(backward).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    fn most_rows(&self, rows: usize) -> usize {
        self.backward.as_ref().map_or(rows, |backward| backward.most_rows(rows))
    }

    fn restart(&mut self) {
        self.forward.restart();
        if let Some(backward) = &mut self.backward {
            backward.restart();
        }
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        let Self { forward, backward, .. } = self;
        for row in input.iter() {
            match backward {
                Some(backward) => backward.take(|pending| forward.take(row, pending), output),
                None => forward.take(row, output),
            }
        }
    }

    fn state_bytes(&self) -> usize {
        let backward = self.backward.as_ref().map_or(0, Stage::state_bytes);
        self.forward.state_bytes().saturating_add(backward)
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        self.forward.save(state);
        if let Some(backward) = &self.backward {
            backward.save(state);
        }
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.forward.load(state)?;
        self.backward.as_mut().map_or(Ok(()), |backward| backward.load(state))
    }
}
