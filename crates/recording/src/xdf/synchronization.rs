//! Stamps of a stream on the recorder's clock, and without jitter: for analysis after the session.
//!
//! Replay uses none of this: it reads the offsets that were in force. The results agree with those of pyxdf, which is what
//! most people read such files with; the thresholds are its defaults.
//!
//! Sources: the clock model of XDF (github.com/sccn/xdf/wiki/Specifications); for the robust line, Boyd, Parikh, Chu,
//! Peleato and Eckstein (2011), Distributed optimization and statistical learning via ADMM, section 6.1 (Huber fitting).

use core::ops::Range;

use super::recording::RecordedStream;

/// A clock was reset where the time between two measurements is this far from usual, in median deviations and seconds,
const TIME_GLITCH: (f64, f64) = (5.0, 5.0);
/// and the offset changed by this much more than it usually does.
const OFFSET_GLITCH: (f64, f64) = (10.0, 1.0);
/// Residuals beyond this count linearly in the fit, in seconds.
const HUBER: f64 = 1e-4;
/// Rounds of the fit.
const ROUNDS: usize = 1000;
/// A regular stream has a break where stamps differ by more than this time,
const BREAK_SECONDS: f64 = 1.0;
/// and by more than so many periods.
const BREAK_SAMPLES: f64 = 500.0;
/// Beside another stream samples count as lost where the step from one to the next is off by more than this time,
const LOST_SECONDS: f64 = 0.1;
/// and by more than so many periods.
const LOST_SAMPLES: f64 = 5.0;

/// The line by which stamps of a range of clock offsets are corrected: `stamp + intercept + slope * stamp`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    intercept: f64,
    slope: f64,
}

/// What brings a stream's stamps to the recorder's clock, asked for each of them in the order of the file: by a line through
/// the clock offsets, one for each stretch between resets of the sender's clock.
#[derive(Clone, Debug)]
pub struct ClockCorrections {
    /// Lines, with the times of their stretch's last measurement and of the next one's first.
    lines: Vec<(Line, Option<(f64, f64)>)>,
    current: usize,
}

impl ClockCorrections {
    /// By a stream's clock offsets, in the order of the file.
    #[must_use]
    pub fn of(offsets: &[(f64, f64)]) -> Self {
        let bounds = |stretch: &Range<usize>| {
            Some((offsets.get(stretch.end.checked_sub(1)?)?.0, offsets.get(stretch.end)?.0))
        };
        let stretches = if offsets.is_empty() { Vec::new() } else { stretches(offsets) };
        let lines = stretches.iter().map(|range| (line(&offsets[range.clone()]), bounds(range)));
        Self { lines: lines.collect(), current: 0 }
    }

    /// What has to be added to the stamp that comes next; nothing where there are no clock offsets.
    pub fn at(&mut self, stamp: f64) -> f64 {
        // up to the first stamp that is nearer to the next stretch
        while let Some((_, Some((last, next)))) = self.lines.get(self.current) {
            let is_nearer = (stamp - last).abs() < (stamp - next).abs();
            if is_nearer {
                break;
            }
            self.current += 1;
        }
        self.lines.get(self.current).map_or(0.0, |(line, _)| line.intercept + line.slope * stamp)
    }
}

impl RecordedStream {
    /// Stamps on the recorder's clock: corrected by a line through the clock offsets, one for each stretch between resets
    /// of the sender's clock. Without clock offsets they are as they were sent.
    #[must_use]
    pub fn synchronized_stamps(&self) -> Vec<f64> {
        let mut corrections = ClockCorrections::of(&self.clock_offsets);
        self.stamps.iter().map(|stamp| stamp + corrections.at(*stamp)).collect()
    }

    /// Stamps as [`Self::synchronized_stamps`] gives them, without jitter: between breaks those of a regular stream lie on
    /// a straight line. Streams that are irregular, or that say that they drop samples, are left as they are.
    #[must_use]
    pub fn dejittered_stamps(&self) -> Vec<f64> {
        self.without_jitter(|step, period| step.abs() > BREAK_SECONDS.max(BREAK_SAMPLES * period))
    }

    /// The same with a break at every few lost samples, so that each sample is where it belongs beside another stream. (The
    /// line of [`Self::dejittered_stamps`] goes through losses of up to a second and shifts all that is around them.)
    #[must_use]
    pub fn stamps_beside_others(&self) -> Vec<f64> {
        self.without_jitter(|step, period| (step - period).abs() > LOST_SECONDS.max(LOST_SAMPLES * period))
    }

    fn without_jitter(&self, is_break: impl Fn(f64, f64) -> bool) -> Vec<f64> {
        let mut stamps = self.synchronized_stamps();
        let rate_hz = self.header.nominal_rate_hz;
        if rate_hz <= 0.0 || self.header.can_drop_samples {
            return stamps;
        }
        let breaks = stamps.windows(2).map(|pair| is_break(pair[1] - pair[0], rate_hz.recip()));
        for range in ranges(breaks, stamps.len()) {
            straighten(&mut stamps[range]);
        }
        stamps
    }
}

/// Puts stamps on the straight line that fits them best; those that are no numbers stay as they are.
fn straighten(stamps: &mut [f64]) {
    let numbers = |stamps: &[f64]| -> Vec<(usize, f64)> {
        stamps.iter().copied().enumerate().filter(|(_, stamp)| stamp.is_finite()).collect()
    };
    let known = numbers(stamps);
    let count = known.len() as f64;
    let Some(&(_, first)) = known.first() else { return };
    let middle = known.iter().map(|(index, _)| *index as f64).sum::<f64>() / count;
    // about the middle and the first stamp, so that nothing large is subtracted from something large
    let mean = known.iter().map(|(_, stamp)| stamp - first).sum::<f64>() / count;
    let (mut product, mut square) = (0.0, 0.0);
    for (index, stamp) in &known {
        let from_middle = *index as f64 - middle;
        product += from_middle * (stamp - first - mean);
        square += from_middle * from_middle;
    }
    let slope = if square > 0.0 { product / square } else { 0.0 };
    for (index, _) in known {
        stamps[index] = first + mean + slope * (index as f64 - middle);
    }
}

/// Ranges of `count` things between breaks; `breaks` says of each pair of neighbours whether there is one.
fn ranges(breaks: impl Iterator<Item = bool>, count: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut begin = 0;
    for (index, _) in breaks.enumerate().filter(|(_, breaks)| *breaks) {
        ranges.push(begin..index + 1);
        begin = index + 1;
    }
    ranges.push(begin..count);
    ranges
}

/// Stretches of clock offsets between resets of the clock: where time runs backwards, or where both the time between two
/// measurements and the change of the offset are out of the ordinary.
fn stretches(offsets: &[(f64, f64)]) -> Vec<Range<usize>> {
    let pairs = || offsets.windows(2);
    let times: Vec<f64> = pairs().map(|pair| pair[1].0 - pair[0].0).collect();
    let values: Vec<f64> = pairs().map(|pair| pair[1].1 - pair[0].1).collect();
    let (time_glitches, value_glitches) = (glitches(&times, TIME_GLITCH), glitches(&values, OFFSET_GLITCH));
    let reset = times.iter().zip(time_glitches.iter().zip(&value_glitches));
    ranges(reset.map(|(time, (by_time, by_value))| *time < 0.0 || (*by_time && *by_value)), offsets.len())
}

/// Which values are far from the median, both in median absolute deviations and in seconds.
fn glitches(values: &[f64], (deviations, seconds): (f64, f64)) -> Vec<bool> {
    let middle = median(values.to_vec());
    let distance: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let spread = median(distance.clone()) + f64::EPSILON;
    distance.iter().map(|distance| distance / spread > deviations && *distance > seconds).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    match (values.get(count / 2), values.get(count.wrapping_sub(1) / 2)) {
        (Some(upper), Some(lower)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

/// The line through clock offsets that outliers hardly move: a Huber fit by ADMM, on times and offsets in units of the
/// threshold. One offset alone is a constant; offsets that were all measured at one time say nothing.
fn line(offsets: &[(f64, f64)]) -> Line {
    if let [(_, value)] = offsets {
        return Line { intercept: *value, slope: 0.0 };
    }
    let origin = offsets.iter().map(|(time, _)| time / HUBER).fold(f64::INFINITY, f64::min);
    let points: Vec<(f64, f64)> =
        offsets.iter().map(|(time, value)| (time / HUBER - origin, value / HUBER)).collect();
    // the normal matrix [n, sum x; sum x, sum x^2] by its Cholesky factor
    let count = points.len() as f64;
    let sum: f64 = points.iter().map(|(x, _)| x).sum();
    let square: f64 = points.iter().map(|(x, _)| x * x).sum();
    let first = count.sqrt();
    let below = sum / first;
    let rest = square - below * below;
    if rest <= 0.0 || !rest.is_finite() {
        return Line { intercept: 0.0, slope: 0.0 };
    }
    let second = rest.sqrt();
    let solve = |right: [f64; 2]| {
        let forward = right[0] / first;
        let slope = (right[1] - below * forward) / second / second;
        [(forward - below * slope) / first, slope]
    };
    let (mut near, mut dual) = (vec![0.0; points.len()], vec![0.0; points.len()]);
    let mut fit = [0.0; 2];
    for _ in 0..ROUNDS {
        let mut right = [0.0; 2];
        for ((x, y), (near, dual)) in points.iter().zip(near.iter().zip(&dual)) {
            let target = y + near - dual;
            right[0] += target;
            right[1] += x * target;
        }
        fit = solve(right);
        for ((x, y), (near, dual)) in points.iter().zip(near.iter_mut().zip(&mut dual)) {
            let distance = fit[0] + fit[1] * x - y + *dual;
            let shrunk = if distance == 0.0 { 0.0 } else { (1.0 - 2.0 / distance.abs()).max(0.0) * distance };
            *near = f64::midpoint(distance, shrunk);
            *dual = distance - *near;
        }
    }
    Line { intercept: (fit[0] - fit[1] * origin) * HUBER, slope: fit[1] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdf::{header::StreamHeader, samples::Values};

    #[test]
    fn an_outlier_hardly_moves_the_line() {
        let mut offsets: Vec<(f64, f64)> =
            (0..100).map(|index| (5.0 * f64::from(index), 3.0 + 5e-5 * f64::from(index))).collect();
        offsets[40].1 += 0.5;
        let line = line(&offsets);
        assert!((line.slope - 1e-5).abs() < 1e-8, "{line:?}");
        assert!((line.intercept - 3.0).abs() < 1e-5, "{line:?}");
    }

    #[test]
    fn a_reset_begins_a_new_stretch() {
        let mut offsets: Vec<(f64, f64)> = (0..20).map(|index| (5.0 * f64::from(index), 1.0)).collect();
        assert_eq!(stretches(&offsets).len(), 1);
        offsets.extend((0..20).map(|index| (5.0 * f64::from(index), 200.0)));
        assert_eq!(stretches(&offsets), [0..20, 20..40], "time ran backwards");
        let later: Vec<(f64, f64)> = offsets
            .iter()
            .enumerate()
            .map(|(at, (time, value))| (time + if at < 20 { 0.0 } else { 1000.0 }, *value))
            .collect();
        assert_eq!(stretches(&later), [0..20, 20..40], "a long pause and another offset");
    }

    #[test]
    fn beside_another_stream_lost_samples_shift_nothing() {
        // 50 Hz, of which twenty samples were lost
        let sent: Vec<f64> =
            (0..600).filter(|at| !(200..220).contains(at)).map(|at| 10.0 + 0.02 * f64::from(at)).collect();
        let mut jittered = sent.clone();
        for (at, stamp) in jittered.iter_mut().enumerate() {
            *stamp += 0.002 * f64::from(at as u32 % 3) - 0.002;
        }
        jittered[300] = f64::NAN;
        let stream = RecordedStream {
            id: 1,
            header: StreamHeader { nominal_rate_hz: 50.0, ..StreamHeader::default() },
            stamps: jittered,
            values: Values::Texts(Vec::new()),
            clock_offsets: Vec::new(),
            footer: None,
        };
        for (at, (found, sent)) in stream.stamps_beside_others().iter().zip(&sent).enumerate() {
            assert!(
                if at == 300 { found.is_nan() } else { (found - sent).abs() < 2e-4 },
                "{at}: {found} {sent}"
            );
        }
        // as pyxdf has it, the line goes through
        assert!((stream.dejittered_stamps()[199] - sent[199]).abs() > 0.05);
    }

    #[test]
    fn stamps_of_a_regular_stream_lie_on_a_line() {
        let mut stamps = [1e9, 1e9 + 1.1, 1e9 + 1.9, 1e9 + 3.0];
        straighten(&mut stamps);
        // least squares by hand: mean 1.5, slope 0.98
        for (index, stamp) in stamps.iter().enumerate() {
            assert!((stamp - 1e9 - (1.5 + 0.98 * (index as f64 - 1.5))).abs() < 1e-6, "{stamps:?}");
        }
    }
}
