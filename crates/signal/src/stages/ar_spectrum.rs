//! Power in bands, from the spectrum of an autoregressive model (the maximum entropy method).

use kalmind_types::StreamOutput;
use serde::{Deserialize, Serialize};

use super::burg::{Burg, LANES, Lanes, each};
use super::rows::{Mark, Rows};
use super::settling::Settling;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};
use super::windows::{LONGEST_MS, Place, Windows};

/// The highest order of a model.
const HIGHEST_ORDER: u32 = 100;
/// The most samples that a model is fitted to, and the most frequencies that it is evaluated at, all bands together.
const MOST_SAMPLES: f64 = 10_000.0;
const MOST_FREQUENCIES: f64 = 4096.0;

/// Which bands are measured, and of what model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArSpectrumSettings {
    /// The bands, each `[lower, upper]` in Hz. One value each of every channel: all channels of the first band, then of the next.
    pub bands_hz: Vec<[f64; 2]>,
    /// How many samples back the model looks.
    #[serde(default = "sixteen")]
    pub order: u32,
    /// The model is that of the last so many milliseconds.
    #[serde(default = "window_ms")]
    pub over_ms: f64,
    /// A value comes out this often, to the nearest sample, in milliseconds.
    #[serde(default = "output_ms")]
    pub output_ms: f64,
    /// The spectrum is evaluated in the middle of steps this wide, or a little less, in Hz.
    #[serde(default = "step_hz")]
    pub step_hz: f64,
    /// Gives the natural logarithm; of no power at all there is none.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub log: bool,
}

fn sixteen() -> u32 {
    16
}

fn window_ms() -> f64 {
    400.0
}

fn output_ms() -> f64 {
    5.0
}

fn step_hz() -> f64 {
    0.2
}

impl ArSpectrumSettings {
    fn check(&self) -> Result<(), StageError> {
        let Self { bands_hz, order, over_ms, output_ms, step_hz, .. } = self;
        if !(1..=HIGHEST_ORDER).contains(order) {
            return Err(StageError::new(format!("`order` is {order}; from 1 to {HIGHEST_ORDER}")));
        }
        for (name, value) in [("over_ms", *over_ms), ("output_ms", *output_ms)] {
            if !(value > 0.0 && value <= LONGEST_MS) {
                let problem = format!("`{name}` is {value}; a number above 0, at most {LONGEST_MS}");
                return Err(StageError::new(problem));
            }
        }
        if !(*step_hz > 0.0 && step_hz.is_finite()) {
            return Err(StageError::new(format!("`step_hz` is {step_hz}; a number above 0, as 0.2")));
        }
        let is_band = |[low, high]: &[f64; 2]| *low >= 0.0 && low < high && high.is_finite();
        if bands_hz.is_empty() || !bands_hz.iter().all(is_band) {
            return Err(StageError::new("`bands_hz` has to be `[[lower, upper], ..]` in Hz, as [[8, 13], [18, 26]]"));
        }
        let frequencies: f64 = bands_hz.iter().map(|band| steps(*band, *step_hz)).sum();
        if frequencies > MOST_FREQUENCIES {
            return Err(StageError::new(format!(
                "`bands_hz` come to {frequencies} frequencies, `step_hz` apart; at most {MOST_FREQUENCIES}: a larger `step_hz` will do"
            )));
        }
        Ok(())
    }
}

/// How many steps a band has.
fn steps([low, high]: [f64; 2], step_hz: f64) -> f64 {
    ((high - low) / step_hz).ceil().max(1.0)
}

/// A band, as the model is evaluated in it.
#[derive(Clone, Debug)]
struct Band {
    /// Cosine and sine of each lag, frequency by frequency.
    turns: Vec<[f64; 2]>,
    /// What stands for each frequency: twice its step over the rate, since there is as much below 0 Hz.
    weight: f64,
}

impl Band {
    fn new(band: [f64; 2], settings: &ArSpectrumSettings, rate_hz: f64) -> Self {
        let ([low, high], steps) = (band, steps(band, settings.step_hz));
        let step = (high - low) / steps;
        let turn = |at: u32, lag: u32| {
            let hz = low + (f64::from(at) + 0.5) * step;
            let angle = 2.0 * core::f64::consts::PI * hz * f64::from(lag) / rate_hz;
            [libm::cos(angle), libm::sin(angle)]
        };
        let at = |at| (1..=settings.order).map(move |lag| turn(at, lag));
        Self { turns: (0..steps as u32).flat_map(at).collect(), weight: 2.0 * step / rate_hz }
    }
}

/// What powers in bands are called.
fn outputs(input: &Signal, settings: &ArSpectrumSettings) -> Vec<StreamOutput> {
    let of = |[low, high]: &[f64; 2]| {
        let mut outputs = super::power::squared(&input.outputs);
        for (output, input) in outputs.iter_mut().zip(&input.outputs) {
            output.name = format!("{} {low}..{high} Hz power", input.name);
            if settings.log {
                output.unit.clear();
            }
        }
        outputs
    };
    settings.bands_hz.iter().flat_map(of).collect()
}

/// The measurement.
#[derive(Clone, Debug)]
pub(super) struct ArSpectrum {
    signal: Signal,
    windows: Windows,
    settling: Settling,
    channels: usize,
    order: usize,
    bands: Vec<Band>,
    log: bool,
    burg: Burg,
    /// The last rows of the first channels that are worked on together, then of the next ones; how many rows these are, and which
    /// is the next to be written.
    kept: Vec<Lanes>,
    samples: usize,
    next: usize,
    /// Which channels are not valid in the last row.
    invalid: Vec<bool>,
}

impl StageKind for ArSpectrum {
    type Settings = ArSpectrumSettings;
    const NAME: &'static str = "ar_spectrum";
    const ABOUT: &'static str = "the power in bands, from an autoregressive model of the last samples";

    fn build(settings: &ArSpectrumSettings, input: &Signal) -> Result<Self, StageError> {
        settings.check()?;
        let half = input.rate_hz / 2.0;
        if let Some([low, high]) = settings.bands_hz.iter().find(|[_, high]| *high > half) {
            return Err(StageError::of_signal(format!(
                "[{low}, {high}] of `bands_hz` ends above half the rate, {half} Hz"
            )));
        }
        let (samples, order) = (input.rows_in(settings.over_ms), settings.order);
        if samples <= f64::from(order) || samples > MOST_SAMPLES {
            return Err(StageError::of_signal(format!(
                "`over_ms` holds {samples} samples at {} Hz; more than `order`, {order}, and at most {MOST_SAMPLES}",
                input.rate_hz
            )));
        }
        let channels = input.outputs.len();
        let windows = Windows::new(input, input.rows_in(settings.output_ms) as u64);
        let mut signal = windows.signal(input);
        signal.outputs = outputs(input, settings);
        let (samples, order) = (samples as usize, order as usize);
        let band = |band: &[f64; 2]| Band::new(*band, settings, input.rate_hz);
        Ok(Self {
            signal,
            windows,
            settling: Settling::new(channels, (samples as u64).saturating_sub(1)),
            channels,
            order,
            bands: settings.bands_hz.iter().map(band).collect(),
            log: settings.log,
            burg: Burg::new(order, samples),
            kept: vec![[0.0; LANES]; samples.saturating_mul(channels.div_ceil(LANES))],
            samples,
            next: 0,
            invalid: vec![false; channels],
        })
    }

    fn summary(settings: &ArSpectrumSettings) -> String {
        let log = if settings.log { "log of " } else { "" };
        let bands: Vec<String> = settings.bands_hz.iter().map(|[low, high]| format!("{low}..{high}")).collect();
        let ArSpectrumSettings { order, over_ms, .. } = settings;
        format!("{log}power at {} Hz over {over_ms} ms (autoregressive, order {order})", bands.join(" and "))
    }

    fn example() -> ArSpectrumSettings {
        ArSpectrumSettings {
            bands_hz: vec![[1.0, 4.0]],
            order: 4,
            over_ms: 200.0,
            output_ms: 2.0,
            step_hz: step_hz(),
            log: false,
        }
    }
}

impl ArSpectrum {
    /// Appends the powers of the rows that are kept; the newest was just written.
    fn give(&mut self, mark: Mark, output: &mut Rows) {
        let (channels, order) = (self.channels.max(1), self.order.max(1));
        let (values, invalid) = output.push(mark);
        for (group, kept) in self.kept.chunks_exact(self.samples.max(1)).enumerate() {
            // from the oldest on: the same order wherever the ring begins
            let (newer, older) = kept.split_at(self.next.min(kept.len()));
            self.burg.fit(older, newer);
            for (values, band) in values.chunks_exact_mut(channels).zip(&self.bands) {
                let add = |sum, turns| each(sum, &self.burg.density(turns), |sum, density| sum + density);
                let sum = band.turns.chunks_exact(order).fold([0.0; LANES], add);
                for (value, sum) in values.chunks_mut(LANES).nth(group).into_iter().flatten().zip(sum) {
                    *value = sum * band.weight;
                }
            }
        }
        let channels = values.chunks_exact_mut(channels).zip(invalid.chunks_exact_mut(channels));
        for (values, invalid) in channels {
            for ((value, invalid), own) in values.iter_mut().zip(invalid).zip(&self.invalid) {
                let is_usable = value.is_finite() && (*value > 0.0 || !self.log);
                let given = if self.log { libm::log(*value) } else { *value };
                *value = if is_usable { given } else { 0.0 };
                *invalid = *own || !is_usable;
            }
        }
    }
}

impl Stage for ArSpectrum {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        self.settling.rows()
    }

    fn most_rows(&self, rows: usize) -> usize {
        self.windows.most(rows)
    }

    fn restart(&mut self) {
        self.windows.restart();
        self.settling.restart();
        self.kept.fill([0.0; LANES]);
        self.next = 0;
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            let groups = self.kept.chunks_exact_mut(self.samples.max(1)).zip(row.values.chunks(LANES));
            for (kept, values) in groups {
                let row = kept.get_mut(self.next).into_iter().flatten();
                for (kept, value) in row.zip(values) {
                    *kept = *value;
                }
            }
            self.next = self.next.saturating_add(1).checked_rem(self.samples).unwrap_or(0);
            self.invalid.copy_from_slice(row.invalid);
            self.settling.step(&mut self.invalid);
            if self.windows.step(row.mark) == Place::Last {
                self.give(row.mark, output);
            }
        }
    }

    fn state_bytes(&self) -> usize {
        size_of_val(self.kept.as_slice())
            .saturating_add(size_of::<u64>())
            .saturating_add(Windows::STATE_BYTES)
            .saturating_add(self.settling.state_bytes())
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        self.windows.save(state);
        self.settling.save(state);
        state.whole(self.next as u64);
        state.numbers(self.kept.as_flattened());
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.windows.load(state)?;
        self.settling.load(state)?;
        let next = usize::try_from(state.whole()?).unwrap_or(usize::MAX);
        if next >= self.samples {
            return Err(StateError);
        }
        self.next = next;
        state.numbers(self.kept.as_flattened_mut())
    }
}
