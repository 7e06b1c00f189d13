//! A guard in front of any decoder: channels that shift, die or turn to noise are corrected before they are decoded.
//!
//! A decoder trusts that its channels mean what they meant in training. An electrode that moves or breaks adds an offset
//! of several standard deviations, and a linear decoder errs in proportion to it (Brandman, Burkhart et al., Neural
//! Computation 30, 2018). The guard compares every channel with what training showed of it ([`GuardStatistics`]):
//!
//! - *Shift.* Running means over 4 to 256 bins have to stay where those of the training rows were, widened by a margin
//!   and by what an intent that is held for long could do. From the bin on in which one does not, the mean of the values
//!   since then is subtracted: at first that hides the channel, then it becomes an estimate of the offset that keeps what
//!   the channel says of the intent. It goes on following slowly, and is dropped when training's own range would do.
//! - *Noise and silence.* A running mean of squared changes from bin to bin (von Neumann et al., Annals of Mathematical
//!   Statistics 12, 1941; a shift changes it once alone) far above or below all of training masks the channel: it is
//!   replaced by its training mean.
//! - *Saturation.* Whatever is left is limited to the range that the channel had in training.
//!
//! Thresholds come from the training rows' own drift, so that clean data pass nearly unchanged, and an offset that the
//! recording itself has is not taken for a fault. What it cannot see: a shift no larger than that drift. When not to use
//! it: with features whose means are meant to change by whole standard deviations, as in stimulation.
//!
//! Cost: about 10 multiplications a channel and running mean in every bin; no allocation.

use kalmind_types::{Intent, Position};

use crate::{Decoder, FilterState, GuardStatistics, StepReport};

/// Running means may leave the training range by this part of its width.
const MARGIN: f64 = 0.25;
/// Values count at most this far from the mean, in standard deviations, so that sums stay finite.
const FARTHEST: f64 = 1e4;
/// A squared change counts at most so much: a step of any size is no noise.
const LARGEST_SQUARED_CHANGE: f64 = 36.0;
/// Bins in the running mean of squared changes.
pub(crate) const CHANGE_SPAN: f64 = 64.0;
/// A channel is noise where its squared changes exceed the most in training by this factor, and silent where they fall
/// below the least in training by the other.
const NOISY: f64 = 2.5;
const SILENT: f64 = 0.2;
/// Bins over which an offset, once found, is averaged.
const OFFSET_SPAN: f64 = 1000.0;
/// Bins after which an offset may be found to be none.
const TRIAL: f64 = 64.0;

/// What the guard takes a channel for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelCondition {
    /// As in training.
    #[default]
    Healthy,
    /// Its mean is elsewhere than in training; the difference is subtracted.
    Shifted,
    /// It changes from bin to bin far more than in training; it is replaced by its mean.
    Noisy,
    /// It hardly changes any more; it is replaced by its mean.
    Silent,
}

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
    fn features(&self) -> usize {
        self.decoder.features()
    }

    fn dimension(&self) -> usize {
        self.decoder.dimension()
    }

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

    fn unfiltered(&self) -> Option<&[f64]> {
        self.decoder.unfiltered()
    }

    fn channel_conditions(&self) -> &[ChannelCondition] {
        &self.guard.conditions
    }

    fn takes_cursor(&self) -> bool {
        self.decoder.takes_cursor()
    }

    fn observe_cursor(&mut self, cursor: Position) {
        self.decoder.observe_cursor(cursor);
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.decoder.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.decoder.adopt(state)
    }
}

/// A channel's running means and where they may be.
#[derive(Clone, Copy, Debug)]
struct Running {
    gain: f64,
    lowest: f64,
    highest: f64,
    mean: f64,
}

/// A channel under watch; values in standard deviations from its training mean.
#[derive(Clone, Debug)]
struct Channel {
    mean: f64,
    /// One over the standard deviation; zero where it never moved.
    scale: f64,
    deviation: f64,
    least: f64,
    greatest: f64,
    running: Vec<Running>,
    /// What is subtracted, and from how many values it is known (0: none).
    offset: f64,
    known_from: f64,
    last: Option<f64>,
    change: f64,
    least_change: f64,
    greatest_change: f64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Guard {
    channels: Vec<Channel>,
    conditions: Vec<ChannelCondition>,
    cleaned: Vec<f64>,
    /// Channels corrected or masked in the newest bin.
    guarded: u16,
}

impl Guard {
    pub(crate) fn new(statistics: &GuardStatistics) -> Self {
        let channels: Vec<Channel> =
            (0..statistics.mean.len()).map(|channel| Channel::new(statistics, channel)).collect();
        Self {
            conditions: vec![ChannelCondition::Healthy; channels.len()],
            cleaned: vec![0.0; channels.len()],
            channels,
            guarded: 0,
        }
    }

    fn restart(&mut self) {
        for channel in &mut self.channels {
            channel.restart();
        }
        self.conditions.fill(ChannelCondition::Healthy);
        self.guarded = 0;
    }

    /// The features as the decoder should see them; `None` where the decoder refuses them anyway, since their number is
    /// wrong or one is not finite. Real-time.
    fn clean(&mut self, features: &[f64]) -> Option<&[f64]> {
        if features.len() != self.channels.len() || !features.iter().all(|value| value.is_finite()) {
            return None;
        }
        for (((channel, value), cleaned), condition) in
            self.channels.iter_mut().zip(features).zip(&mut self.cleaned).zip(&mut self.conditions)
        {
            (*cleaned, *condition) = channel.clean(*value);
            self.guarded = self.guarded.saturating_add(u16::from(*condition != ChannelCondition::Healthy));
        }
        Some(&self.cleaned)
    }
}

impl Channel {
    fn new(statistics: &GuardStatistics, channel: usize) -> Self {
        let deviation = statistics.standard_deviation[channel];
        let running = statistics
            .spans
            .iter()
            .enumerate()
            .map(|(at, span)| {
                let (lowest, highest) =
                    (statistics.lowest_mean[(at, channel)], statistics.highest_mean[(at, channel)]);
                let margin = MARGIN * (highest - lowest);
                Running {
                    gain: 1.0 / *span as f64,
                    lowest: lowest - margin,
                    highest: highest + margin,
                    mean: 0.0,
                }
            })
            .collect();
        let (least_change, greatest_change) =
            (SILENT * statistics.lowest_change[channel], NOISY * statistics.highest_change[channel]);
        Self {
            mean: statistics.mean[channel],
            scale: if deviation > 0.0 { 1.0 / deviation } else { 0.0 },
            deviation,
            least: statistics.least[channel],
            greatest: statistics.greatest[channel],
            running,
            offset: 0.0,
            known_from: 0.0,
            last: None,
            change: 0.5 * (least_change / SILENT + greatest_change / NOISY),
            least_change,
            greatest_change,
        }
    }

    fn restart(&mut self) {
        for running in &mut self.running {
            running.mean = 0.0;
        }
        self.offset = 0.0;
        self.known_from = 0.0;
        self.last = None;
        self.change = 0.5 * (self.least_change / SILENT + self.greatest_change / NOISY);
    }

    /// The value to decode, and what the channel is taken for.
    fn clean(&mut self, value: f64) -> (f64, ChannelCondition) {
        let (least, greatest) = (self.least, self.greatest);
        let saturated = |value: f64| value.max(least).min(greatest);
        if self.scale == 0.0 {
            // a channel that never moved in training says nothing, whatever it does now
            return (self.mean, ChannelCondition::Healthy);
        }
        let deviations = ((value - self.mean) * self.scale).max(-FARTHEST).min(FARTHEST);
        if let Some(last) = self.last.replace(deviations) {
            self.change += (squared_change(deviations, last) - self.change) / CHANGE_SPAN;
        }
        if self.known_from > 0.0 {
            self.known_from = (self.known_from + 1.0).min(OFFSET_SPAN);
            self.offset += (deviations - self.offset) / self.known_from;
        }
        let mut within = true;
        for running in &mut self.running {
            running.mean += running.gain * (deviations - self.offset - running.mean);
            within &= running.mean >= running.lowest && running.mean <= running.highest;
        }
        if !within {
            // a shift begins, or another one
            self.known_from = 1.0;
            self.offset = deviations;
            self.forget_means();
        } else if self.known_from >= TRIAL && self.is_within_training(self.offset) {
            self.known_from = 0.0;
            self.offset = 0.0;
            self.forget_means();
        }
        if self.change > self.greatest_change {
            (self.mean, ChannelCondition::Noisy)
        } else if self.change < self.least_change {
            (self.mean, ChannelCondition::Silent)
        } else if self.known_from > 0.0 {
            (saturated(self.mean + self.deviation * (deviations - self.offset)), ChannelCondition::Shifted)
        } else {
            (saturated(value), ChannelCondition::Healthy)
        }
    }

    fn forget_means(&mut self) {
        for running in &mut self.running {
            running.mean = 0.0;
        }
    }

    /// Whether an offset is one that the longest running mean could have had in training, about: half of where it would
    /// be corrected, so that no channel goes to and fro.
    fn is_within_training(&self, offset: f64) -> bool {
        self.running
            .last()
            .is_none_or(|longest| offset > 0.5 * longest.lowest && offset < 0.5 * longest.highest)
    }
}

/// Half the squared difference of two values that follow each other: the variance, of white noise.
pub(crate) fn squared_change(value: f64, last: f64) -> f64 {
    (0.5 * (value - last) * (value - last)).min(LARGEST_SQUARED_CHANGE)
}
