//! Broadband as the electrodes of an array give it: spikes in noise.

use kalmind_types::Seconds;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::{GAINS, NOISE, spike_times::SpikeTimes};

/// The band in which noise is stated: what spikes are looked for in.
const BAND_HZ: [f64; 2] = [250.0, 5000.0];
/// Channels of an array: they share a noise.
const ARRAY: usize = 96;
/// How much of the common noise a channel has, at least and at most.
const COMMON_GAINS: [f64; 2] = [0.5, 1.5];

/// A waveform: a trough, and a slower and smaller hump after it. Their times after the beginning and their widths (standard
/// deviations) are in seconds; it ends after so many.
const TROUGH_S: [f64; 2] = [0.25e-3, 0.08e-3];
const HUMP_S: [f64; 2] = [0.65e-3, 0.2e-3];
const HUMP: f64 = 0.3;
const WAVEFORM_S: f64 = 1.4e-3;

/// What a broadband signal is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadbandOptions {
    /// Seed of noise and spike times; with the participant's own, one seed names both.
    pub seed: u64,
    /// Channels, with a unit each.
    pub channels: usize,
    /// Samples a second.
    pub rate_hz: f64,
    /// Width of the bins whose counts are given.
    pub bin: Seconds,
    /// Each channel's own noise, white: its root mean square between 250 and 5000 Hz, in microvolts.
    pub noise_uv: f64,
    /// Noise that the channels of an array of 96 share, stated in the same way; each has 0.5 to 1.5 times as much of it.
    pub common_uv: f64,
    /// Depth of a spike's trough, in standard deviations of the channel's own noise before any filter.
    pub snr: f64,
}

impl Default for BroadbandOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            channels: 96,
            rate_hz: 30_000.0,
            bin: Seconds(0.02),
            noise_uv: 10.0,
            common_uv: 0.0,
            snr: 5.0,
        }
    }
}

/// Why there is no such signal.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{setting} is {value}; {expected}")]
pub struct BroadbandError {
    /// Which setting.
    pub setting: &'static str,
    /// Its value.
    pub value: f64,
    /// What would be right.
    pub expected: &'static str,
}

/// Broadband of an array, in microvolts: the spikes of each unit's counts at random times of their bin, with one waveform, in
/// Gaussian noise. There are no other spikes.
///
/// A deterministic function of the seed and of the counts: one bin after the other is made whole, so that how it is cut into
/// chunks on its way changes nothing, and the noise is the same whatever the counts are.
#[derive(Clone, Debug)]
pub struct Broadband {
    options: BroadbandOptions,
    times: SpikeTimes,
    noise: ChaCha8Rng,
    /// Standard deviations per sample: of each channel's own noise, and of what it has of its array's.
    own: f64,
    common: Vec<f64>,
    waveform: Vec<f64>,
    /// Waveforms that reach beyond the bin that they began in: rows of all channels.
    begun: Vec<f64>,
    bins: u64,
    spikes: Vec<(usize, usize)>,
}

impl Broadband {
    /// A signal whose first bin comes next.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(options: BroadbandOptions) -> Result<Self, BroadbandError> {
        check(&options)?;
        let seeded = |stream| {
            let mut generator = ChaCha8Rng::seed_from_u64(options.seed);
            generator.set_stream(stream);
            generator
        };
        // white noise has as much in a band as that is of all frequencies
        let per_sample = (options.rate_hz / 2.0 / (BAND_HZ[1] - BAND_HZ[0])).sqrt();
        let own = options.noise_uv * per_sample;
        let mut gains = seeded(GAINS);
        let mut gain = || COMMON_GAINS[0] + (COMMON_GAINS[1] - COMMON_GAINS[0]) * gains.random::<f64>();
        let common = (0..options.channels).map(|_| gain() * options.common_uv * per_sample).collect();
        let waveform = waveform(options.rate_hz, options.snr * own);
        Ok(Self {
            times: SpikeTimes::new(options.seed, options.channels, options.bin),
            noise: seeded(NOISE),
            own,
            common,
            begun: vec![0.0; waveform.len() * options.channels],
            waveform,
            bins: 0,
            spikes: Vec::new(),
            options,
        })
    }

    /// What it is made of.
    pub fn options(&self) -> &BroadbandOptions {
        &self.options
    }

    /// The samples of the next bin, whose units spike so often, in `rows`: one value a channel, row by row.
    pub fn bin(&mut self, counts: &[f64], rows: &mut Vec<f64>) {
        let Self { options, times, noise, own, common, waveform, begun, bins, spikes } = self;
        let (channels, samples) = (options.channels, options.rate_hz * options.bin.0);
        let until = |bin: u64| (bin as f64 * samples).round() as usize;
        let length = until(*bins + 1) - until(*bins);
        *bins += 1;
        // the bin, and what its last waveforms reach into
        rows.clear();
        rows.resize((length + waveform.len()) * channels, 0.0);
        rows[..begun.len()].copy_from_slice(begun);
        spikes.clear();
        for (time, unit) in times.place(counts) {
            let sample = ((time * options.rate_hz) as usize).min(length.saturating_sub(1));
            spikes.push((sample, *unit));
            let column = rows[sample * channels + unit..].iter_mut().step_by(channels);
            for (value, shape) in column.zip(waveform.iter()) {
                *value += shape;
            }
        }
        begun.copy_from_slice(&rows[length * channels..]);
        rows.truncate(length * channels);
        let mut normal = || -> f64 { StandardNormal.sample(noise) };
        for row in rows.chunks_exact_mut(channels) {
            for (array, gains) in row.chunks_mut(ARRAY).zip(common.chunks(ARRAY)) {
                let shared = if options.common_uv > 0.0 { normal() } else { 0.0 };
                for (value, gain) in array.iter_mut().zip(gains) {
                    *value += *own * normal() + gain * shared;
                }
            }
        }
    }

    /// The spikes of the newest bin, in order: at which of its samples their waveforms begin, and of which unit they are.
    pub fn spikes(&self) -> &[(usize, usize)] {
        &self.spikes
    }

    /// Spikes that were left out because no more fit into their bins, 2 ms apart.
    pub fn unplaced(&self) -> u64 {
        self.times.unplaced()
    }
}

/// A spike's waveform with a trough of this depth.
fn waveform(rate_hz: f64, depth: f64) -> Vec<f64> {
    let bell = |time: f64, [center, width]: [f64; 2]| {
        let deviations = (time - center) / width;
        libm::exp(-0.5 * deviations * deviations)
    };
    let at = |sample: usize| {
        let time = sample as f64 / rate_hz;
        depth * (HUMP * bell(time, HUMP_S) - bell(time, TROUGH_S))
    };
    (0..(WAVEFORM_S * rate_hz).ceil() as usize).map(at).collect()
}

fn check(options: &BroadbandOptions) -> Result<(), BroadbandError> {
    let within = |setting, value: f64, least: f64, most: f64, expected| {
        if value >= least && value <= most {
            Ok(())
        } else {
            Err(BroadbandError { setting, value, expected })
        }
    };
    within("channels", options.channels as f64, 1.0, 1024.0, "from 1 to 1024 is possible")?;
    within("rate_hz", options.rate_hz, 10_000.0, 50_000.0, "from 10000 to 50000 is possible")?;
    within("bin", options.bin.0, 5e-3, 0.2, "a bin is 0.005 to 0.2 s wide")?;
    within("noise_uv", options.noise_uv, 0.0, 1e4, "from 0 to 10000 is possible")?;
    within("common_uv", options.common_uv, 0.0, 1e4, "from 0 to 10000 is possible")?;
    within("snr", options.snr, 0.0, 1000.0, "from 0 to 1000 is possible")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broadband(options: BroadbandOptions) -> Broadband {
        Broadband::new(options).expect("possible settings")
    }

    fn column(rows: &[f64], channels: usize, channel: usize) -> Vec<f64> {
        rows.iter().skip(channel).step_by(channels).copied().collect()
    }

    #[test]
    fn troughs_are_where_the_spikes_are_and_nowhere_else() {
        let mut broadband =
            broadband(BroadbandOptions { channels: 3, snr: 50.0, ..BroadbandOptions::default() });
        let depth = 50.0 * broadband.own;
        let (mut samples, mut rows) = (Vec::new(), Vec::new());
        let mut truth = Vec::new();
        for bin in 0..100_u32 {
            broadband.bin(&[f64::from(bin % 4), 1.0, 0.0], &mut rows);
            truth.extend(broadband.spikes().iter().map(|(at, unit)| (bin as usize * 600 + at, *unit)));
            samples.extend_from_slice(&rows);
        }
        let trough = (TROUGH_S[0] * 30_000.0).round() as usize;
        for unit in 0..3 {
            let column = column(&samples, 3, unit);
            let is_least = |at: &usize| {
                let around = &column[at.saturating_sub(20)..(at + 21).min(column.len())];
                column[*at] < -0.5 * depth && around.iter().all(|value| *value >= column[*at])
            };
            let found: Vec<usize> = (0..column.len()).filter(is_least).collect();
            let ours = truth.iter().filter(|(_, of)| *of == unit).map(|(at, _)| at + trough);
            let expected: Vec<usize> = ours.filter(|at| *at < column.len()).collect();
            assert_eq!(found.len(), expected.len(), "unit {unit}");
            // noise and the sampling of the waveform may move the least value by a sample
            assert!(found.iter().zip(&expected).all(|(found, at)| found.abs_diff(*at) <= 1), "unit {unit}");
        }
        assert_eq!(truth.len(), 250);
    }

    #[test]
    fn the_noise_is_as_stated_and_shared_by_the_channels_of_an_array() {
        let options = BroadbandOptions { channels: 98, common_uv: 20.0, ..BroadbandOptions::default() };
        let mut broadband = broadband(options);
        let (mut samples, mut rows) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            broadband.bin(&[0.0; 98], &mut rows);
            samples.extend_from_slice(&rows);
        }
        let mean_product = |one: &[f64], other: &[f64]| {
            one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>() / one.len() as f64
        };
        let columns: Vec<Vec<f64>> = (0..98).map(|channel| column(&samples, 98, channel)).collect();
        // a band of 4750 of 15000 Hz
        let per_sample = 15_000.0 / 4750.0;
        for (channel, gain) in broadband.common.iter().enumerate() {
            let expected = 100.0 * per_sample + gain * gain;
            let found = mean_product(&columns[channel], &columns[channel]);
            assert!((found / expected - 1.0).abs() < 0.08, "channel {channel}: {found} and {expected}");
        }
        let correlation = |one: usize, other: usize| {
            mean_product(&columns[one], &columns[other])
                / (mean_product(&columns[one], &columns[one])
                    * mean_product(&columns[other], &columns[other]))
                .sqrt()
        };
        assert!(correlation(0, 95) > 0.4 && correlation(96, 97) > 0.4);
        assert!(correlation(0, 96).abs() < 0.05);
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_and_the_noise_does_not_follow_the_counts() {
        let options = BroadbandOptions { channels: 4, rate_hz: 24_414.062_5, ..BroadbandOptions::default() };
        let made = |seed, count: f64| {
            let mut broadband = broadband(BroadbandOptions { seed, ..options.clone() });
            let (mut samples, mut rows) = (Vec::new(), Vec::new());
            for _ in 0..7 {
                broadband.bin(&[count, 0.0, 0.0, 0.0], &mut rows);
                samples.extend(rows.iter().map(|value| value.to_bits()));
            }
            samples
        };
        let first = made(1, 2.0);
        assert_eq!(first, made(1, 2.0));
        assert_ne!(first, made(2, 2.0));
        // 7 x 20 ms at this rate, whole samples
        assert_eq!(first.len(), 4 * 3418);
        let quiet = made(1, 0.0);
        let of_others =
            |samples: &[u64]| samples.chunks(4).flat_map(|row| row[1..].to_vec()).collect::<Vec<_>>();
        assert_eq!(of_others(&first), of_others(&quiet));
        assert_ne!(first, quiet);
    }
}
