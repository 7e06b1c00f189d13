//! What a window says of a channel, against what is usual.

use kalmind_types::ChannelFault;

use super::measures::Measures;

/// Windows after which what is usual is known: a second.
const KNOWN_AFTER: u32 = 10;
/// Windows over which it is a mean: 30 s, longer than what a participant does at once, shorter than an electrode dries.
const MEAN_OVER: u32 = 300;
/// Fewer channels than this are no others to compare with.
const FEWEST_OTHERS: usize = 4;

/// Parts of a window. No numbers, or standing still: a quarter, so that a channel that comes and goes is found as well.
/// At its highest or lowest value: a quarter; of a living channel's values it is a few in a thousand.
const UNUSABLE: f64 = 0.25;
const STILL: f64 = 0.25;
const AT_ENDS: f64 = 0.25;
/// An amplifier's ends are further apart than what is usual, this many times.
const ENDS_APART: f64 = 2.0;
/// What stands still this many usual spreads from the usual mean does so at an end.
const AT_AN_END: f64 = 3.0;
/// So many times as large as usual, and as the others usually are, is no brain's: a clenched jaw is ten times the EEG.
const LARGE: f64 = 20.0;
const LARGE_FOR_OTHERS: f64 = 5.0;
/// Where nothing is known yet: so many times as large as the others are now, or as small. Gains and electrodes differ by less.
const LARGE_AT_FIRST: f64 = 100.0;
/// So much smaller than usual, and than the others are now.
const SMALL: f64 = 0.1;
/// Line noise: this part of the variance, and this many times the deviation that is usual, or that the others have.
const LINE: f64 = 0.7;
const LINE_LARGE: f64 = 5.0;
const LINE_LARGE_AT_FIRST: f64 = 10.0;
/// Spikes a second, and as a multiple of what the others have: the fastest neurons reach some hundred for a moment only.
const SPIKES_HZ: f64 = 400.0;
const SPIKES_FOR_OTHERS: f64 = 5.0;

/// What a channel is like while it is healthy: means over windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    windows: u32,
    pub(super) noise: f64,
    pub(super) spread: f64,
    deviation: f64,
    mean: f64,
}

impl Usual {
    pub(super) fn is_known(&self) -> bool {
        self.windows >= KNOWN_AFTER
    }

    /// A healthy window.
    pub(super) fn follow(&mut self, now: &Measures) {
        self.windows = self.windows.saturating_add(1).min(MEAN_OVER);
        let part = 1.0 / f64::from(self.windows);
        for (usual, now) in [
            (&mut self.noise, now.noise),
            (&mut self.spread, now.spread),
            (&mut self.deviation, now.deviation),
            (&mut self.mean, now.mean),
        ] {
            *usual += part * (now - *usual);
        }
    }
}

/// Medians over the healthy channels: as they are now, and as they usually are; none where there are too few.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others {
    pub(super) noise: Option<f64>,
    pub(super) spread: Option<f64>,
    pub(super) deviation: Option<f64>,
    pub(super) spikes: Option<f64>,
    pub(super) usual_noise: Option<f64>,
    pub(super) usual_spread: Option<f64>,
}

/// The upper median; none of too few.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().filter(|_| values.len() >= FEWEST_OTHERS)
}

/// What is wrong with a channel in a window of so many seconds.
pub(super) fn judge(
    now: &Measures,
    usual: &Usual,
    others: &Others,
    judges_sizes: bool,
    window: f64,
) -> Option<ChannelFault> {
    let spikes_hz = now.spikes / window;
    let has_too_many = |others: f64| spikes_hz > SPIKES_FOR_OTHERS * others / window;
    if now.unusable >= UNUSABLE {
        Some(ChannelFault::Nan)
    } else if now.still >= STILL {
        let distance = (now.last - usual.mean).abs();
        let is_at_an_end = usual.is_known() && now.last != 0.0 && distance > AT_AN_END * usual.spread;
        Some(if is_at_an_end { ChannelFault::Saturated } else { ChannelFault::Flat })
    } else if judges_sizes && is_at_ends(now, usual, others) {
        Some(ChannelFault::Saturated)
    } else if judges_sizes && is_line(now, usual, others) {
        Some(ChannelFault::LineNoise)
    } else if judges_sizes && is_unlike(now, usual, others) {
        Some(ChannelFault::Disconnected)
    } else if spikes_hz >= SPIKES_HZ && others.spikes.is_some_and(has_too_many) {
        Some(ChannelFault::RateOutlier)
    } else {
        None
    }
}

fn is_at_ends(now: &Measures, usual: &Usual, others: &Others) -> bool {
    let spread = if usual.is_known() { Some(usual.spread) } else { others.spread };
    now.at_ends >= AT_ENDS && spread.is_some_and(|spread| now.spread > ENDS_APART * spread)
}

fn is_line(now: &Measures, usual: &Usual, others: &Others) -> bool {
    let limit = if usual.is_known() {
        Some(LINE_LARGE * usual.deviation)
    } else {
        others.deviation.map(|deviation| LINE_LARGE_AT_FIRST * deviation)
    };
    now.line >= LINE && limit.is_some_and(|limit| now.deviation > limit)
}

fn is_unlike(now: &Measures, usual: &Usual, others: &Others) -> bool {
    let exceeds =
        |now: f64, times: f64, others: Option<f64>| others.is_none_or(|others| now > times * others);
    if usual.is_known() {
        (now.noise > LARGE * usual.noise && exceeds(now.noise, LARGE_FOR_OTHERS, others.usual_noise))
            || (now.spread > LARGE * usual.spread
                && exceeds(now.spread, LARGE_FOR_OTHERS, others.usual_spread))
            || (now.noise < SMALL * usual.noise
                && others.noise.is_none_or(|others| now.noise < SMALL * others))
    } else {
        let is_far = |now: f64, others: f64| now > LARGE_AT_FIRST * others || LARGE_AT_FIRST * now < others;
        others.noise.is_some_and(|others| is_far(now.noise, others))
            || others.spread.is_some_and(|others| is_far(now.spread, others))
    }
}
