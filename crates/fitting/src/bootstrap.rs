//! How sure a figure is: the stationary bootstrap over rows that depend on each other.
//!
//! Neighbouring rows of a recording have similar errors, so rows drawn one by one would make every interval far too
//! short. The stationary bootstrap (Politis and Romano, J. Amer. Statist. Assoc. 89, 1994) draws blocks of rows instead:
//! each starts anywhere, has a geometric length, and continues at the first row past the last one. The mean length comes
//! from the errors' own autocorrelation ([`block_length`]). All decoders see the same rows in each resample, so
//! differences between them are paired. The intervals hold for these fits on rows like these; they say nothing of what
//! another training set would have given.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::scores::{Figures, RowScore};

/// How to resample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many times.
    pub resamples: u32,
    /// Mean length of a block in rows, >= 1.
    pub block_rows: f64,
    /// The same seed draws the same rows.
    pub seed: u64,
}

/// One fit at work on one set of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredRun {
    /// Which set of test rows; runs of the same set have the same rows.
    pub split: usize,
    /// Every row in time order.
    pub rows: Vec<RowScore>,
}

/// Where a figure lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// For each resample, the figures of every decoder: the mean over its runs. `splits` are the numbers of rows of each set
/// of test rows; `dimension` is that of the states. Runs on all cores; the result does not depend on their number.
#[must_use]
pub fn resampled_figures(
    decoders: &[Vec<ScoredRun>],
    splits: &[usize],
    dimension: usize,
    settings: &Bootstrap,
) -> Vec<Vec<Figures>> {
    let limits = crate::scores::coverage_limits(dimension);
    (0..settings.resamples)
        .into_par_iter()
        .map(|resample| {
            let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
            random.set_stream(u64::from(resample));
            let drawn: Vec<Vec<usize>> =
                splits.iter().map(|&rows| draw_rows(rows, settings.block_rows, &mut random)).collect();
            decoders
                .iter()
                .map(|runs| {
                    let figures: Vec<Figures> = runs
                        .iter()
                        .map(|run| {
                            let rows = drawn[run.split].iter().filter_map(|&row| run.rows.get(row).copied());
                            Figures::of(rows, dimension, &limits)
                        })
                        .collect();
                    Figures::mean(&figures)
                })
                .collect()
        })
        .collect()
}

/// As many rows as there are, in blocks of geometric length that wrap around at the end.
fn draw_rows(rows: usize, block_rows: f64, random: &mut ChaCha8Rng) -> Vec<usize> {
    let ends = 1.0 / block_rows.max(1.0);
    let mut drawn: Vec<usize> = Vec::with_capacity(rows);
    for _ in 0..rows {
        let row = match drawn.last() {
            Some(&last) if random.random::<f64>() >= ends => (last + 1) % rows,
            _ => random.random_range(0..rows),
        };
        drawn.push(row);
    }
    drawn
}

/// The interval that holds the middle part `level` of the values (percentile interval); NaN without finite values.
#[must_use]
pub fn percentile_interval(values: &[f64], level: f64) -> Interval {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let tail = 0.5 * (1.0 - level);
    Interval {
        low: crate::accuracy::quantile(&mut sorted, tail),
        high: crate::accuracy::quantile(&mut sorted, 1.0 - tail),
    }
}

/// The mean block length of the stationary bootstrap that suits a series, in rows: Politis and White (Econometric
/// Reviews 23, 2004) with the correction of Patton, Politis and White (Econometric Reviews 28, 2009). At least 1, at most
/// a third of the rows and 3 times their root. 1 for a series that never moves.
#[must_use]
pub fn block_length(series: &[f64]) -> f64 {
    let rows = series.len();
    if rows < 10 {
        return 1.0;
    }
    let count = rows as f64;
    let mean = series.iter().sum::<f64>() / count;
    let covariance = |lag: usize| {
        series.iter().zip(&series[lag..]).map(|(now, later)| (now - mean) * (later - mean)).sum::<f64>()
            / count
    };
    let variance = covariance(0);
    if !(variance > 0.0 && variance.is_finite()) {
        return 1.0;
    }
    // the least lag after which `quiet` correlations in a row are no larger than chance
    let quiet = 5.max(libm::log10(count).sqrt().ceil() as usize);
    let most = count.sqrt().ceil() as usize + quiet;
    let chance = 2.0 * (libm::log10(count) / count).sqrt();
    let covariances: Vec<f64> = (0..=(2 * most).min(rows - 1)).map(covariance).collect();
    let small =
        |lag: usize| covariances.get(lag).is_none_or(|covariance| (covariance / variance).abs() < chance);
    let reach = (0..=most - quiet).find(|&lag| (lag + 1..=lag + quiet).all(small));
    let window = reach.map_or(most, |reach| 2 * reach.max(1)).min(most);
    let (mut slope, mut spectrum) = (0.0, variance);
    for (lag, covariance) in covariances.iter().enumerate().skip(1).take(window) {
        let part = lag as f64 / window as f64;
        let weight = if part <= 0.5 { 1.0 } else { 2.0 * (1.0 - part) };
        slope += 2.0 * weight * lag as f64 * covariance;
        spectrum += 2.0 * weight * covariance;
    }
    let length = libm::cbrt(slope * slope / (spectrum * spectrum) * count);
    let longest = (3.0 * count.sqrt()).min(count / 3.0).ceil();
    if length.is_finite() { length.clamp(1.0, longest) } else { longest }
}

/// The block length for a comparison: the longest that the squared errors, angles or squared distances of any run ask for,
/// so that no interval is too short.
#[must_use]
pub fn common_block_length(decoders: &[Vec<ScoredRun>]) -> f64 {
    let mut longest = 1.0_f64;
    for run in decoders.iter().flatten() {
        let errors: Vec<f64> = run.rows.iter().map(|row| row.squared_error).collect();
        let angles: Vec<f64> = run.rows.iter().filter_map(|row| row.angle).collect();
        let distances: Vec<f64> = run.rows.iter().map(|row| row.squared_distance).collect();
        for series in [errors, angles, distances] {
            longest = longest.max(block_length(&series));
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x_t = memory x_{t-1} + u_t`, u uniform on -0.5..0.5 from a linear congruential generator.
    fn series(rows: usize, memory: f64) -> Vec<f64> {
        let (mut seed, mut value) = (1_u64, 0.0);
        (0..rows)
            .map(|_| {
                seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
                value = memory * value + seed as f64 / f64::from(1_u32 << 31) - 0.5;
                value
            })
            .collect()
    }

    fn run(values: &[f64]) -> ScoredRun {
        let row = |value: &f64| RowScore {
            squared_error: 1.0 + value,
            power: 2.0,
            angle: Some(0.5 + 0.1 * value),
            squared_distance: 2.0 + value,
            log_score: *value,
        };
        ScoredRun { split: 0, rows: values.iter().map(row).collect() }
    }

    fn standard_deviation(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn block_lengths_are_those_of_the_paper() {
        // numpy, from the formulas of Politis and White 2004 and Patton et al. 2009 (`arch.bootstrap`'s
        // optimal_block_length, which normalises correlations a little differently, gives 19.49, 1.967 and 23.76)
        for (rows, memory, expected) in
            [(1000, 0.8, 19.580_235_114), (1000, 0.0, 1.966_589_312_98), (300, 0.95, 23.757_658_814_3)]
        {
            let length = block_length(&series(rows, memory));
            assert!((length / expected - 1.0).abs() < 1e-9, "{rows} {memory}: {length}");
        }
        assert!((block_length(&[2.5; 100]) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [2.5, 97.5])
        let interval =
            percentile_interval(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, f64::NAN], 0.95);
        assert!((interval.low - 1.0).abs() < 1e-12 && (interval.high - 8.25).abs() < 1e-12, "{interval:?}");
    }

    #[test]
    fn the_spread_of_a_mean_is_that_of_rows_that_depend_on_each_other() {
        let rows = 4000;
        let values = series(rows, 0.8);
        let spread = |block_rows| {
            let settings = Bootstrap { resamples: 1000, block_rows, seed: 3 };
            let figures = resampled_figures(&[vec![run(&values)]], &[rows], 2, &settings);
            standard_deviation(&figures.iter().map(|figures| figures[0].log_score).collect::<Vec<_>>())
        };
        // the mean of an autoregression of order 1: sd = sd(u) / ((1 - memory) sqrt(rows)), u uniform
        let expected = (1.0_f64 / 12.0).sqrt() / (0.2 * (rows as f64).sqrt());
        let found = spread(block_length(&values));
        assert!((found / expected - 1.0).abs() < 0.2, "{found} instead of {expected}");
        assert!(spread(1.0) < 0.5 * expected, "rows drawn one by one pretend to know more");
    }

    #[test]
    fn decoders_see_the_same_rows_so_equal_ones_never_differ() {
        let values = series(200, 0.5);
        let settings = Bootstrap { resamples: 50, block_rows: 8.0, seed: 1 };
        let better: Vec<f64> = values.iter().map(|value| value - 0.25).collect();
        let figures = resampled_figures(
            &[vec![run(&values)], vec![run(&values)], vec![run(&better)]],
            &[200],
            2,
            &settings,
        );
        for figures in &figures {
            assert_eq!(figures[0], figures[1]);
            assert!((figures[0].nees - figures[2].nees - 0.125).abs() < 1e-12);
        }
        assert_eq!(
            figures,
            resampled_figures(
                &[vec![run(&values)], vec![run(&values)], vec![run(&better)]],
                &[200],
                2,
                &settings
            )
        );
        let other = Bootstrap { seed: 2, ..settings };
        assert_ne!(figures[0][0], resampled_figures(&[vec![run(&values)]], &[200], 2, &other)[0][0]);
    }

    #[test]
    fn blocks_have_the_mean_length_asked_for() {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let drawn = draw_rows(50_000, 12.0, &mut random);
        let blocks = 1 + drawn.windows(2).filter(|pair| pair[1] != (pair[0] + 1) % 50_000).count();
        let mean = drawn.len() as f64 / blocks as f64;
        assert!((mean / 12.0 - 1.0).abs() < 0.05, "{mean}");
    }
}
