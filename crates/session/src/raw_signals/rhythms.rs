//! Rhythms that follow what is meant: of the scalp over the sensorimotor cortex, and of the cortex itself.

use core::f64::consts::TAU;

use kalmind_types::{Seconds, Velocity};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::{GAINS, NOISE};
use crate::participant::MAX_SPEED;

/// How far the logarithm of a rhythm's amplitude moves at full speed.
const DEPTH: f64 = 1.0;
/// Amplitudes follow what is meant with this time constant, in seconds.
const FOLLOWS_S: f64 = 0.1;
/// Centre and half width of mu, beta, alpha and high gamma, in Hz, and their root mean squares in microvolts.
const MU: [f64; 3] = [12.0, 1.0, 8.0];
const BETA: [f64; 3] = [24.0, 2.0, 4.0];
const ALPHA: [f64; 3] = [10.0, 1.0, 10.0];
const HIGH_GAMMA: [f64; 3] = [110.0, 30.0, 3.0];
/// Root mean squares of the background, in microvolts: pink, and white.
const PINK_UV: f64 = 8.0;
const WHITE_UV: f64 = 1.0;
/// Pink noise is a sum of so many first-order processes, each four times as fast as the one before.
const PINK: usize = 6;
const SLOWEST_S: f64 = 1.0;

/// The scalp's electrodes with how much each sees of the sources below C3, below C4 and at the back of the head.
const MONTAGE: [(&str, [f64; 3]); 16] = [
    ("C3", [1.0, 0.0, 0.1]),
    ("C4", [0.0, 1.0, 0.1]),
    ("FC3", [0.4, 0.0, 0.05]),
    ("FC4", [0.0, 0.4, 0.05]),
    ("CP3", [0.4, 0.0, 0.3]),
    ("CP4", [0.0, 0.4, 0.3]),
    ("C5", [0.4, 0.0, 0.1]),
    ("C6", [0.0, 0.4, 0.1]),
    ("C1", [0.4, 0.05, 0.1]),
    ("C2", [0.05, 0.4, 0.1]),
    ("Cz", [0.1, 0.1, 0.1]),
    ("FCz", [0.05, 0.05, 0.05]),
    ("CPz", [0.1, 0.1, 0.3]),
    ("Pz", [0.05, 0.05, 0.6]),
    ("O1", [0.0, 0.0, 1.0]),
    ("O2", [0.0, 0.0, 1.0]),
];

/// Where the electrodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RhythmKind {
    /// On the scalp. Mu (12 Hz) over the left hemisphere falls as the participant means to go right, over the right one as it
    /// means to go left; beta (24 Hz) over both falls as it means to go up (Wolpaw and McFarland 2004).
    Scalp,
    /// On the cortex: high gamma (80 to 140 Hz) of each electrode grows in a direction of its own.
    Cortex,
}

/// What such a signal is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct RhythmsOptions {
    /// Where the electrodes are.
    pub kind: RhythmKind,
    /// Seed of all that is random.
    pub seed: u64,
    /// Channels; of the scalp those past the sixteenth see background alone.
    pub channels: usize,
    /// Samples a second.
    pub rate_hz: f64,
    /// Width of the bins in which something is meant.
    pub bin: Seconds,
}

impl RhythmsOptions {
    /// What amplifiers give: 16 channels at 250 Hz, and 32 at 1 kHz.
    pub fn of(kind: RhythmKind) -> Self {
        let (channels, rate_hz) = match kind {
            RhythmKind::Scalp => (MONTAGE.len(), 250.0),
            RhythmKind::Cortex => (32, 1000.0),
        };
        Self { kind, seed: 1, channels, rate_hz, bin: Seconds(0.02) }
    }

    /// The names of the channels.
    pub fn labels(&self) -> Vec<String> {
        let named = |channel: usize| match (self.kind, MONTAGE.get(channel)) {
            (RhythmKind::Scalp, Some((label, _))) => (*label).to_owned(),
            (RhythmKind::Scalp, None) => format!("EEG{}", channel + 1),
            (RhythmKind::Cortex, _) => format!("grid{}", channel + 1),
        };
        (0..self.channels).map(named).collect()
    }
}

/// Rhythms in a background of pink noise, in microvolts: a deterministic function of the seed and of what was meant in each bin.
#[derive(Clone, Debug)]
pub struct Rhythms {
    options: RhythmsOptions,
    noise: ChaCha8Rng,
    sources: Vec<Source>,
    /// Of each channel, how much it sees of each source.
    sees: Vec<Vec<(usize, f64)>>,
    /// Of each channel, the processes that make its pink noise; and what each of them keeps.
    pink: Vec<[f64; PINK]>,
    keeps: [f64; PINK],
    /// How far an amplitude goes in a sample of the way to where it is due.
    follows: f64,
    bins: u64,
}

/// A rhythm: noise of a narrow band, whose amplitude follows a direction.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// Its newest value and the same a quarter of a cycle before.
    state: [f64; 2],
    keep: f64,
    turn: [f64; 2],
    scale: f64,
    /// What the logarithm of its amplitude gains per full speed to the right, and upwards.
    direction: [f64; 2],
    amplitude: f64,
}

impl Source {
    fn new([hz, half_width_hz, scale]: [f64; 3], direction: [f64; 2], rate_hz: f64) -> Self {
        let (sin, cos) = (libm::sin(TAU * hz / rate_hz), libm::cos(TAU * hz / rate_hz));
        let keep = libm::exp(-TAU * half_width_hz / rate_hz);
        Self { state: [0.0; 2], keep, turn: [cos, sin], scale, direction, amplitude: 1.0 }
    }

    /// Its next value; the amplitude goes a part of the way to where it is `due`.
    fn step(&mut self, due: f64, part: f64, mut normal: impl FnMut() -> f64) -> f64 {
        let ([re, im], [cos, sin]) = (self.state, self.turn);
        let fresh = (1.0 - self.keep * self.keep).sqrt();
        self.state = [
            self.keep * (cos * re - sin * im) + fresh * normal(),
            self.keep * (sin * re + cos * im) + fresh * normal(),
        ];
        self.amplitude += part * (due - self.amplitude);
        self.scale * self.amplitude * self.state[0]
    }
}

impl Rhythms {
    /// A signal whose first bin comes next.
    pub fn new(options: RhythmsOptions) -> Self {
        let mut noise = ChaCha8Rng::seed_from_u64(options.seed);
        let mut places = noise.clone();
        noise.set_stream(NOISE);
        places.set_stream(GAINS);
        let rate = options.rate_hz;
        let (sources, sees) = match options.kind {
            RhythmKind::Scalp => {
                let of = |band, direction| Source::new(band, direction, rate);
                let sources = vec![
                    of(MU, [-DEPTH, 0.0]),
                    of(MU, [DEPTH, 0.0]),
                    of(BETA, [0.0, -DEPTH]),
                    of(BETA, [0.0, -DEPTH]),
                    of(ALPHA, [0.0, 0.0]),
                ];
                let seen = |channel: usize| {
                    let [left, right, back] = MONTAGE.get(channel).map_or([0.0; 3], |(_, seen)| *seen);
                    vec![(0, left), (1, right), (2, left), (3, right), (4, back)]
                };
                (sources, (0..options.channels).map(seen).collect())
            }
            RhythmKind::Cortex => {
                let mut placed = |_| {
                    let angle = TAU * places.random::<f64>();
                    let depth = DEPTH * places.random::<f64>();
                    Source::new(HIGH_GAMMA, [depth * libm::cos(angle), depth * libm::sin(angle)], rate)
                };
                let sources = (0..options.channels).map(&mut placed).collect();
                (sources, (0..options.channels).map(|channel| vec![(channel, 1.0)]).collect())
            }
        };
        let keep = |process: usize| libm::exp(-libm::pow(4.0, process as f64) / (SLOWEST_S * rate));
        Self {
            noise,
            sources,
            sees,
            pink: vec![[0.0; PINK]; options.channels],
            keeps: core::array::from_fn(keep),
            follows: 1.0 - libm::exp(-1.0 / (FOLLOWS_S * rate)),
            bins: 0,
            options,
        }
    }

    /// The samples of the next bin, in which this is meant (workspace widths per second), in `rows`: one value a channel, row by
    /// row.
    pub fn bin(&mut self, intent: Velocity, rows: &mut Vec<f64>) {
        let Self { options, noise, sources, sees, pink, keeps, follows, bins } = self;
        let until = |bin: u64| (bin as f64 * options.rate_hz * options.bin.0).round() as usize;
        let length = until(*bins + 1) - until(*bins);
        *bins += 1;
        let mut normal = || -> f64 { StandardNormal.sample(noise) };
        let [x, y] = intent.0.map(|speed| speed / MAX_SPEED);
        let due = |source: &Source| libm::exp(source.direction[0] * x + source.direction[1] * y);
        let due: Vec<f64> = sources.iter().map(due).collect();
        let mut values = vec![0.0; sources.len()];
        let process_uv = PINK_UV / (PINK as f64).sqrt();
        rows.clear();
        for _ in 0..length {
            for ((value, source), due) in values.iter_mut().zip(sources.iter_mut()).zip(&due) {
                *value = source.step(*due, *follows, &mut normal);
            }
            for (pink, sees) in pink.iter_mut().zip(sees.iter()) {
                let mut sum = WHITE_UV * normal();
                for (process, keep) in pink.iter_mut().zip(keeps.iter()) {
                    *process = keep * *process + (1.0 - keep * keep).sqrt() * process_uv * normal();
                    sum += *process;
                }
                rows.push(sees.iter().fold(sum, |sum, (source, weight)| sum + weight * values[*source]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power of a channel at a frequency, while this is meant for a minute: the mean over seconds of the squared Fourier sum.
    fn power(kind: RhythmKind, channel: usize, hz: f64, intent: [f64; 2]) -> f64 {
        let options = RhythmsOptions::of(kind);
        let (rate, channels) = (options.rate_hz, options.channels);
        let mut rhythms = Rhythms::new(options);
        let (mut samples, mut rows) = (Vec::new(), Vec::new());
        for _ in 0..3000 {
            rhythms.bin(Velocity(intent), &mut rows);
            samples.extend(rows.iter().skip(channel).step_by(channels).copied());
        }
        let seconds = samples.chunks_exact(rate as usize);
        let count = seconds.len() as f64;
        let of = |second: &[f64]| {
            let sum = second.iter().enumerate().fold([0.0; 2], |[re, im], (at, value)| {
                let angle = TAU * hz * at as f64 / rate;
                [re + value * angle.cos(), im + value * angle.sin()]
            });
            sum[0] * sum[0] + sum[1] * sum[1]
        };
        seconds.map(of).sum::<f64>() / count
    }

    #[test]
    fn mu_falls_over_the_hemisphere_across_from_where_it_means_to_go() {
        let (c3, c4) = (0, 1);
        for (channel, sign) in [(c3, 1.0), (c4, -1.0)] {
            let ratio = power(RhythmKind::Scalp, channel, 12.0, [0.6 * sign, 0.0])
                / power(RhythmKind::Scalp, channel, 12.0, [-0.6 * sign, 0.0]);
            // amplitudes of e^-1 and e^1 are powers of e^-2 and e^2: e^-4, with the background e^-3 at most
            assert!((0.01..0.06).contains(&ratio), "channel {channel}: {ratio}");
        }
        let other =
            power(RhythmKind::Scalp, c3, 12.0, [0.0, 0.6]) / power(RhythmKind::Scalp, c3, 12.0, [0.0, -0.6]);
        assert!((0.8..1.25).contains(&other), "{other}");
    }

    #[test]
    fn beta_falls_over_both_as_it_means_to_go_up() {
        for channel in [0, 1] {
            let ratio = power(RhythmKind::Scalp, channel, 24.0, [0.0, 0.6])
                / power(RhythmKind::Scalp, channel, 24.0, [0.0, -0.6]);
            assert!((0.01..0.12).contains(&ratio), "channel {channel}: {ratio}");
        }
    }

    #[test]
    fn high_gamma_grows_in_a_direction_of_each_electrode() {
        let rhythms = Rhythms::new(RhythmsOptions::of(RhythmKind::Cortex));
        let steepest = |one: &f64, other: &f64| one.abs().total_cmp(&other.abs());
        let rightward: Vec<f64> = rhythms.sources.iter().map(|source| source.direction[0]).collect();
        let best = rightward.iter().copied().max_by(steepest).unwrap_or_default();
        let channel =
            rightward.iter().position(|value| value.to_bits() == best.to_bits()).unwrap_or_default();
        let ratio = power(RhythmKind::Cortex, channel, 110.0, [0.6 * best.signum(), 0.0])
            / power(RhythmKind::Cortex, channel, 110.0, [-0.6 * best.signum(), 0.0]);
        assert!(ratio > 5.0, "{ratio}");
    }

    #[test]
    fn the_same_seed_and_intents_give_the_same_bits() {
        let made = |seed| {
            let mut rhythms = Rhythms::new(RhythmsOptions { seed, ..RhythmsOptions::of(RhythmKind::Scalp) });
            let mut rows = Vec::new();
            rhythms.bin(Velocity([0.1, 0.2]), &mut rows);
            rows.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert_eq!(made(1).len(), 5 * 16);
    }
}
