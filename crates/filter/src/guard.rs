//! A guard in front of any decoder: channels that shift, die or turn to noise are corrected before they are decoded.
//!
//! A decoder trusts that its channels mean what they meant in training. An electrode that moves or breaks adds an offset
//! of several standard deviations, and a linear decoder errs in proportion to it (Brandman, Burkhart et al., Neural
//! Computation 30, 2018). The guard compares every channel with what training showed of it ([`GuardStatistics`]):
//!
//! - *Shift.* Running means over 4 to 256 bins have to stay where those of the training rows were, widened by a margin
//!   and by what an intent that is held for long could do. So have those of what the other channels do not explain of a
//!   channel, which vary less, so that smaller shifts show (of several that leave their range in a bin, the one that leaves
//!   it farthest is taken, since one bad channel drags along what others seem to say). From the bin on in which one does
//!   not, the mean of the difference to what the other channels say is subtracted: at first that hides the channel, then it
//!   becomes an estimate of the offset that keeps what the channel says of the intent. It goes on following slowly, and is
//!   dropped when it is one that needs no correction.
//! - *Noise and silence.* A running mean of squared changes from bin to bin (von Neumann et al., Annals of Mathematical
//!   Statistics 12, 1941; a shift changes it once alone) far above or below all of training masks the channel: it is
//!   replaced by its training mean.
//! - *Saturation.* Whatever is left is limited to the range that the channel had in training.
//!
//! Thresholds come from the training rows' own drift, so that clean data pass nearly unchanged, and an offset that the
//! recording itself has is not taken for a fault. What it cannot see: a shift no larger than that drift. When not to use
//! it: with features whose means are meant to change by whole standard deviations, as in stimulation.
//!
//! Cost: about 2 k + 40 multiplications a channel in every bin, k <= 8 factors; no allocation.

use kalmind_types::Intent;

use crate::checked::usable;
use crate::decoder::forward;
use crate::factors::Factors;
use crate::{ChannelCondition, Decoder, GuardStatistics, LookBack, StepReport};

/// Running means may leave the training range by this part of its width.
const MARGIN: f64 = 0.25;
/// Values count at most this far from the mean, in standard deviations, so that sums stay finite.
const FARTHEST: f64 = 1e4;
/// A squared change counts at most so much: a step of any size is no noise.
const LARGEST_SQUARED_CHANGE: f64 = 36.0;
/// Bins in the running mean of squared changes.
pub const CHANGE_SPAN: f64 = 64.0;
/// A channel is noise where its squared changes exceed the most in training by this factor, and silent where they fall
/// below the least in training by the other.
const NOISY: f64 = 2.5;
const SILENT: f64 = 0.2;
/// Bins over which an offset, once found, is averaged.
const OFFSET_SPAN: f64 = 1000.0;
/// Bins after which an offset is known well enough for the rest of the channel to say something.
const HIDDEN: f64 = 4.0;
/// Bins after which an offset may be found to need no correction.
const TRIAL: f64 = 64.0;

/// A decoder behind a guard. Real-time wherever the decoder is.
#[derive(Debug)]
pub struct Guarded {
    decoder: Box<dyn Decoder>,
    guard: Guard,
}

impl Guarded {
    /// Puts a guard in front of `decoder`; the statistics are of as many features.
    #[must_use]
    pub fn new(decoder: Box<dyn Decoder>, statistics: &GuardStatistics) -> Self {
        Self { decoder, guard: Guard::new(statistics) }
    }
}

impl Decoder for Guarded {
    forward!(decoder: features, dimension, left_out, unfiltered, takes_cursor, observe_cursor, state, adopt);

    fn restart(&mut self) {
        self.guard.restart();
        self.decoder.restart();
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        self.guard.guarded = 0;
        let cleaned = features.map(|features| self.guard.clean(features).unwrap_or(features));
        let report = self.decoder.step(cleaned, intent);
        StepReport { guarded_channels: self.guard.guarded, ..report }
    }

    fn look_back(&self) -> LookBack {
        LookBack { fades: true, ..self.decoder.look_back() }
    }

    fn channel_conditions(&self) -> &[ChannelCondition] {
        &self.guard.conditions
    }
}

/// A running mean and where it may be.
#[derive(Clone, Copy, Debug)]
struct Running {
    gain: f64,
    lowest: f64,
    highest: f64,
    mean: f64,
}

impl Running {
    fn new(span: usize, lowest: f64, highest: f64) -> Self {
        let margin = MARGIN * (highest - lowest);
        Self { gain: 1.0 / span as f64, lowest: lowest - margin, highest: highest + margin, mean: 0.0 }
    }

    /// Takes a value in, and tells how far out of its range the mean is: 1 is the end of the range.
    fn excess(&mut self, value: f64) -> f64 {
        self.mean += self.gain * (value - self.mean);
        let end = if self.mean > 0.0 { self.highest } else { self.lowest };
        if end == 0.0 { 0.0 } else { self.mean / end }
    }
}

/// A channel under watch; values in standard deviations from its training mean.
#[derive(Clone, Debug)]
struct Channel {
    mean: f64,
    /// One over the standard deviation; zero where it never moved.
    scale: f64,
    deviation: f64,
    /// The training range.
    least: f64,
    greatest: f64,
    means: Vec<Running>,
    residuals: Vec<Running>,
    /// What is subtracted, and from how many values it is known (0: none).
    offset: f64,
    known_from: f64,
    newest: f64,
    last: Option<f64>,
    change: f64,
    least_change: f64,
    greatest_change: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Guard {
    channels: Vec<Channel>,
    conditions: Vec<ChannelCondition>,
    factors: Factors,
    /// Corrected values, in standard deviations, and what the others say of each.
    corrected: Vec<f64>,
    predicted: Vec<f64>,
    cleaned: Vec<f64>,
    /// Channels corrected or masked in the newest bin.
    guarded: u16,
}

impl Guard {
    /// At the first bin.
    #[must_use]
    pub fn new(statistics: &GuardStatistics) -> Self {
        let channels: Vec<Channel> =
            (0..statistics.mean.len()).map(|channel| Channel::new(statistics, channel)).collect();
        let n = channels.len();
        Self {
            conditions: vec![ChannelCondition::Healthy; n],
            factors: Factors::new(&statistics.loadings, &statistics.uniqueness),
            corrected: vec![0.0; n],
            predicted: vec![0.0; n],
            cleaned: vec![0.0; n],
            channels,
            guarded: 0,
        }
    }

    /// Back to the first bin.
    pub fn restart(&mut self) {
        for channel in &mut self.channels {
            channel.restart();
        }
        self.conditions.fill(ChannelCondition::Healthy);
        self.factors.include_all();
        self.guarded = 0;
    }

    /// What each channel is taken for.
    #[must_use]
    pub fn conditions(&self) -> &[ChannelCondition] {
        &self.conditions
    }

    /// Whether nothing of the channel's newest value reaches the decoder: it is masked, or its offset is not known yet.
    pub(crate) fn hides(&self, channel: usize) -> bool {
        match self.conditions[channel] {
            ChannelCondition::Healthy => false,
            ChannelCondition::Noisy | ChannelCondition::Silent => true,
            ChannelCondition::Shifted => self.channels[channel].known_from < HIDDEN,
        }
    }

    /// The features as the decoder should see them; `None` where the decoder refuses them anyway, since their number is
    /// wrong or one is not finite or too large. Real-time.
    pub fn clean(&mut self, features: &[f64]) -> Option<&[f64]> {
        self.guarded = 0;
        if features.len() != self.channels.len() || !usable(features) {
            return None;
        }
        for (at, (channel, value)) in self.channels.iter_mut().zip(features).enumerate() {
            self.corrected[at] = channel.observe(*value);
            self.factors.include(at, !channel.is_masked());
        }
        self.factors.predict(&self.corrected, &mut self.predicted);
        let mut farthest: Option<(usize, f64)> = None;
        for (at, channel) in self.channels.iter_mut().enumerate() {
            let excess = channel.compare(self.corrected[at], self.predicted[at]);
            if excess > farthest.map_or(1.0, |(_, most)| most) {
                farthest = Some((at, excess));
            }
        }
        if let Some((at, _)) = farthest {
            self.channels[at].begin_shift(self.predicted[at]);
        }
        for (at, channel) in self.channels.iter().enumerate() {
            (self.cleaned[at], self.conditions[at]) = channel.cleaned(features[at]);
            let guarded = self.conditions[at] != ChannelCondition::Healthy;
            self.guarded = self.guarded.saturating_add(u16::from(guarded));
        }
        Some(&self.cleaned)
    }
}

impl Channel {
    fn new(statistics: &GuardStatistics, channel: usize) -> Self {
        let deviation = statistics.standard_deviation[channel];
        let running = |lowest: &nalgebra::DMatrix<f64>, highest: &nalgebra::DMatrix<f64>| {
            let spans = statistics.spans.iter().enumerate();
            spans
                .map(|(at, span)| Running::new(*span, lowest[(at, channel)], highest[(at, channel)]))
                .collect()
        };
        let mut channel = Self {
            mean: statistics.mean[channel],
            scale: if deviation > 0.0 { 1.0 / deviation } else { 0.0 },
            deviation,
            least: statistics.least[channel],
            greatest: statistics.greatest[channel],
            means: running(&statistics.lowest_mean, &statistics.highest_mean),
            residuals: running(&statistics.lowest_residual, &statistics.highest_residual),
            offset: 0.0,
            known_from: 0.0,
            newest: 0.0,
            last: None,
            change: 0.0,
            least_change: SILENT * statistics.lowest_change[channel],
            greatest_change: NOISY * statistics.highest_change[channel],
        };
        channel.restart();
        channel
    }

    fn restart(&mut self) {
        self.offset = 0.0;
        self.known_from = 0.0;
        self.last = None;
        self.change = 0.5 * (self.least_change / SILENT + self.greatest_change / NOISY);
        self.forget_means();
    }

    /// Takes a value in; gives it corrected, in standard deviations, limited to the training range.
    fn observe(&mut self, value: f64) -> f64 {
        self.newest = ((value - self.mean) * self.scale).clamp(-FARTHEST, FARTHEST);
        if let Some(last) = self.last.replace(self.newest) {
            self.change += (squared_change(self.newest, last) - self.change) / CHANGE_SPAN;
        }
        let (least, greatest) =
            ((self.least - self.mean) * self.scale, (self.greatest - self.mean) * self.scale);
        (self.newest - self.offset).max(least).min(greatest)
    }

    fn is_masked(&self) -> bool {
        self.change > self.greatest_change || self.change < self.least_change
    }

    /// Compares the newest value with training and with what the others say; how far out of its range what others do not
    /// explain is.
    fn compare(&mut self, corrected: f64, predicted: f64) -> f64 {
        if self.known_from > 0.0 {
            self.known_from = (self.known_from + 1.0).min(OFFSET_SPAN);
            self.offset += (self.newest - predicted - self.offset) / self.known_from;
        }
        let unlimited = self.newest - self.offset;
        let mut within = true;
        for running in &mut self.means {
            within &= running.excess(unlimited) <= 1.0;
        }
        let mut excess = 0.0_f64;
        for running in &mut self.residuals {
            excess = excess.max(running.excess(corrected - predicted));
        }
        if !within {
            self.begin_shift(predicted);
            return 0.0;
        }
        if self.known_from >= TRIAL && self.needs_no_correction() {
            self.known_from = 0.0;
            self.offset = 0.0;
            self.forget_means();
        }
        if self.is_masked() { 0.0 } else { excess }
    }

    /// A shift begins, or another one.
    fn begin_shift(&mut self, predicted: f64) {
        self.known_from = 1.0;
        self.offset = self.newest - predicted;
        self.forget_means();
    }

    fn forget_means(&mut self) {
        for running in self.means.iter_mut().chain(&mut self.residuals) {
            running.mean = 0.0;
        }
    }

    /// Whether the offset is half of one that would be found: less, so that no channel goes to and fro.
    fn needs_no_correction(&self) -> bool {
        [&self.means, &self.residuals].into_iter().all(|running| {
            running.last().is_none_or(|longest| {
                self.offset > 0.5 * longest.lowest && self.offset < 0.5 * longest.highest
            })
        })
    }

    /// The value to decode, and what the channel is taken for.
    fn cleaned(&self, value: f64) -> (f64, ChannelCondition) {
        let limited = |value: f64| value.max(self.least).min(self.greatest);
        if self.scale == 0.0 {
            // a channel that never moved in training says nothing, whatever it does now
            (self.mean, ChannelCondition::Healthy)
        } else if self.change > self.greatest_change {
            (self.mean, ChannelCondition::Noisy)
        } else if self.change < self.least_change {
            (self.mean, ChannelCondition::Silent)
        } else if self.known_from > 0.0 {
            (limited(self.mean + self.deviation * (self.newest - self.offset)), ChannelCondition::Shifted)
        } else {
            (limited(value), ChannelCondition::Healthy)
        }
    }
}

/// Half the squared difference of two values that follow each other: the variance, of white noise.
pub fn squared_change(value: f64, last: f64) -> f64 {
    (0.5 * (value - last) * (value - last)).min(LARGEST_SQUARED_CHANGE)
}
