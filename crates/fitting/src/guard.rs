//! What training shows of every channel, for the guard: its range, and how far its running means drift by themselves.

use nalgebra::{DMatrix, DVectorView};

use crate::few_rows::widened_for_few;
use crate::matrix_product::{plain, product, transposed};
use crate::plausibility::plausibility_statistics;
use crate::windows::{column_means, deviations, second_moment};
use kalmind_filter::cholesky::Cholesky;
use kalmind_filter::factors::{FACTORS, Factors};
use kalmind_filter::guard::{CHANGE_SPAN, squared_change};
use kalmind_filter::{GuardStatistics, TrainingData};

/// Bins in the running means, as far as the rows are at least so many spans.
const SPANS: [usize; 4] = [4, 16, 64, 256];
const ROWS_A_SPAN: usize = 20;
/// A combination of states that adds less than this part of its variance follows from the others.
const COLLINEAR: f64 = 1e-10;
/// Bins in the running means that the factor model is of.
const FACTOR_SPAN: f64 = 16.0;
/// Steps of the factor model, and of the search for its start.
const STEPS: usize = 50;
/// No channel follows from others better than this, as a part of its variance.
const LEAST_UNIQUENESS: f64 = 0.01;

/// The statistics of the feature columns. Cost: rows * n * (k + d + the number of spans), and n^2 k for each step of the
/// factor model.
pub(crate) fn guard_statistics(data: &TrainingData) -> GuardStatistics {
    let rows = data.rows();
    let first = SPANS.len().min(1);
    let spans: Vec<usize> = SPANS
        .into_iter()
        .enumerate()
        .filter(|(at, span)| *at < first || ROWS_A_SPAN * span <= rows)
        .map(|(_, span)| span)
        .collect();
    let mean = column_means(&data.features);
    let mut standardised = data.features.clone();
    let standard_deviation = deviations(&data.features);
    for ((mut column, mean), deviation) in standardised.column_iter_mut().zip(&mean).zip(&standard_deviation)
    {
        column.add_scalar_mut(-mean);
        column /= if *deviation > 0.0 { *deviation } else { 1.0 };
    }
    let (loadings, uniqueness) = factors_of_means(data, &standardised);
    let residuals = residuals(&standardised, &loadings, &uniqueness);
    let (lowest_mean, highest_mean) = mean_ranges(data, &standardised, &spans);
    let (lowest_residual, highest_residual) = mean_ranges(data, &residuals, &spans);
    let column_extremes = |column: DVectorView<'_, f64>| extremes(column.iter().copied());
    let (least, greatest) = data.features.column_iter().map(column_extremes).unzip();
    let (lowest_change, highest_change) =
        standardised.column_iter().map(|column| change_extremes(data, column.as_slice())).unzip();
    let plausibility = plausibility_statistics(data, &standardised, &residuals);
    let statistics = GuardStatistics {
        mean,
        standard_deviation,
        least,
        greatest,
        spans,
        lowest_mean,
        highest_mean,
        loadings,
        uniqueness,
        lowest_residual,
        highest_residual,
        lowest_change,
        highest_change,
        plausibility: Some(plausibility),
    };
    widened_for_few(statistics, data, &standardised)
}

/// The lowest and highest running mean of each column, spans x n: that of the rows, or what an intent that is held and the
/// rest of the column could add up to, if farther out.
fn mean_ranges(data: &TrainingData, columns: &DMatrix<f64>, spans: &[usize]) -> (DMatrix<f64>, DMatrix<f64>) {
    let tuned = tuned_part(data, columns);
    let mut lowest = DMatrix::zeros(spans.len(), columns.ncols());
    let mut highest = lowest.clone();
    for (channel, (column, tuned)) in columns.column_iter().zip(tuned.column_iter()).enumerate() {
        let rest: Vec<f64> = column.iter().zip(&tuned).map(|(value, tuned)| value - tuned).collect();
        let held = mean_extremes(data, tuned.as_slice(), spans[0]);
        for (at, &span) in spans.iter().enumerate() {
            let whole = mean_extremes(data, column.as_slice(), span);
            let rest = mean_extremes(data, &rest, span);
            lowest[(at, channel)] = whole.0.min(held.0 + rest.0);
            highest[(at, channel)] = whole.1.max(held.1 + rest.1);
        }
    }
    (lowest, highest)
}

/// What the intent explains of each column, by least squares on its components, their squares and products (rates are not
/// linear in it); zero where these are collinear.
fn tuned_part(data: &TrainingData, columns: &DMatrix<f64>) -> DMatrix<f64> {
    let d = data.states.ncols();
    let pairs = (0..d).flat_map(|left| (0..=left).map(move |right| (left, right)));
    let terms: Vec<(usize, Option<usize>)> = (0..d)
        .map(|component| (component, None))
        .chain(pairs.map(|(left, right)| (left, Some(right))))
        .collect();
    // about their means and in units of their own: squares far from zero would repeat the components
    let mut states = data.states.clone();
    for mut column in states.column_iter_mut() {
        column.add_scalar_mut(-column.mean());
        let size = column.amax();
        column /= if size > 0.0 { size } else { 1.0 };
    }
    let mut design = DMatrix::from_fn(data.rows(), terms.len(), |row, column| {
        let (left, right) = terms[column];
        states[(row, left)] * right.map_or(1.0, |right| states[(row, right)])
    });
    for mut column in design.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    match Cholesky::new(&second_moment(&design), COLLINEAR) {
        Ok(factor) => {
            let moments = product(transposed(&design), plain(columns)) / data.rows() as f64;
            product(plain(&design), plain(&factor.solve_columns(&moments)))
        }
        Err(_column) => columns * 0.0,
    }
}

/// The factor model of running means, over which an intent shows above the noise of single bins: what is left of a channel
/// then depends little on the intent.
fn factors_of_means(data: &TrainingData, standardised: &DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>) {
    let mut smoothed = standardised.clone();
    for mut column in smoothed.column_iter_mut() {
        for segment in data.segments() {
            let mut mean = 0.0;
            for row in segment {
                mean += (column[row] - mean) / FACTOR_SPAN;
                column[row] = mean;
            }
        }
    }
    let mut deviations = Vec::with_capacity(smoothed.ncols());
    for mut column in smoothed.column_iter_mut() {
        let deviation = (column.norm_squared() / data.rows() as f64).sqrt();
        // a channel that never moved follows from nothing
        deviations.push(if deviation > 0.0 { deviation } else { 1.0 });
        column /= if deviation > 0.0 { deviation } else { 1.0 };
    }
    let (mut loadings, mut uniqueness) = factor_model(&smoothed);
    for ((mut row, variance), deviation) in loadings.row_iter_mut().zip(&mut uniqueness).zip(&deviations) {
        row *= *deviation;
        *variance *= deviation * deviation;
    }
    (loadings, uniqueness)
}

/// Loadings and variances of the noise, by expectation maximisation from the leading principal axes (Rubin and Thayer
/// 1982, eqs. 5 to 8).
fn factor_model(standardised: &DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>) {
    let (rows, n) = standardised.shape();
    let k = FACTORS.min(n.saturating_sub(1) / 2);
    let mut correlation = product(transposed(standardised), plain(standardised)) / rows as f64;
    for channel in 0..n {
        // a channel that never moved
        if correlation[(channel, channel)] == 0.0 {
            correlation[(channel, channel)] = 1.0;
        }
    }
    let mut loadings = principal_axes(&correlation, k);
    let mut uniqueness: Vec<f64> =
        loadings.row_iter().map(|row| (1.0 - row.norm_squared()).max(LEAST_UNIQUENESS)).collect();
    for _step in 0..STEPS {
        let mut weighted = loadings.clone();
        for (mut row, variance) in weighted.row_iter_mut().zip(&uniqueness) {
            row /= *variance;
        }
        let precision = DMatrix::identity(k, k) + loadings.tr_mul(&weighted);
        let Some(posterior) = precision.cholesky() else { break };
        // beta' = psi^-1 L M, n x k
        let regression = posterior.solve(&weighted.transpose()).transpose();
        let moments = product(plain(&correlation), plain(&regression));
        let second = DMatrix::identity(k, k) - regression.tr_mul(&loadings) + regression.tr_mul(&moments);
        let Some(second) = second.cholesky() else { break };
        loadings = second.solve(&moments.transpose()).transpose();
        for (channel, variance) in uniqueness.iter_mut().enumerate() {
            let explained = loadings.row(channel).dot(&moments.row(channel));
            *variance = (correlation[(channel, channel)] - explained).max(LEAST_UNIQUENESS);
        }
    }
    (loadings, uniqueness)
}

/// The `k` leading eigenvectors, each as long as the root of its eigenvalue, less one for noise, by subspace iteration.
fn principal_axes(correlation: &DMatrix<f64>, k: usize) -> DMatrix<f64> {
    let n = correlation.nrows();
    let mut axes = DMatrix::from_fn(n, k, |row, column| {
        libm::cos(core::f64::consts::PI * (row as f64 + 0.5) * column as f64 / n as f64 + row as f64)
    });
    let mut sizes = vec![0.0; k];
    for _step in 0..STEPS {
        axes = product(plain(correlation), plain(&axes));
        for (column, size) in sizes.iter_mut().enumerate() {
            for before in 0..column {
                let along = axes.column(before).dot(&axes.column(column));
                let axis = axes.column(before).into_owned();
                axes.column_mut(column).axpy(-along, &axis, 1.0);
            }
            *size = axes.column(column).norm();
            if *size > 0.0 {
                axes.column_mut(column).unscale_mut(*size);
            }
        }
    }
    for (mut axis, size) in axes.column_iter_mut().zip(&sizes) {
        axis *= (size - 1.0).max(0.01).sqrt();
    }
    axes
}

/// What the other channels do not explain of each.
fn residuals(standardised: &DMatrix<f64>, loadings: &DMatrix<f64>, uniqueness: &[f64]) -> DMatrix<f64> {
    let n = standardised.ncols();
    let mut factors = Factors::new(loadings, uniqueness);
    let (mut values, mut predicted) = (vec![0.0; n], vec![0.0; n]);
    let mut residuals = standardised.clone();
    for mut row in residuals.row_iter_mut() {
        for (to, from) in values.iter_mut().zip(row.iter()) {
            *to = *from;
        }
        factors.predict(&values, &mut predicted);
        for (value, predicted) in row.iter_mut().zip(&predicted) {
            *value -= predicted;
        }
    }
    residuals
}

/// Least and greatest running mean, zero before every segment as at row one.
fn mean_extremes(data: &TrainingData, values: &[f64], span: usize) -> (f64, f64) {
    let gain = 1.0 / span as f64;
    extremes(data.segments().into_iter().flat_map(|segment| {
        values[segment].iter().scan(0.0, move |mean, value| {
            *mean += gain * (value - *mean);
            Some(*mean)
        })
    }))
}

/// Least and greatest running mean of squared changes; each segment starts at the mean of all.
fn change_extremes(data: &TrainingData, values: &[f64]) -> (f64, f64) {
    let changes: Vec<Vec<f64>> = data
        .segments()
        .into_iter()
        .map(|segment| values[segment].windows(2).map(|pair| squared_change(pair[1], pair[0])).collect())
        .collect();
    let count = changes.iter().map(Vec::len).sum::<usize>().max(1);
    let typical = changes.iter().flatten().sum::<f64>() / count as f64;
    extremes(changes.into_iter().flat_map(|changes| {
        changes.into_iter().scan(typical, |mean, change| {
            *mean += (change - *mean) / CHANGE_SPAN;
            Some(*mean)
        })
    }))
}

/// Least and greatest of the values; zeros without any.
fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, greatest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    });
    if least <= greatest { (least, greatest) } else { (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use kalmind_filter::ChannelCondition;
    use kalmind_filter::guard::Guard;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;

    /// Four channels about 5 with a common part; the last never moves.
    fn rows(count: usize, seed: u64) -> DMatrix<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut common = 0.0;
        let mut rows = DMatrix::from_element(count, 5, 3.0);
        for row in 0..count {
            common = 0.9 * common + 0.4 * normal();
            for column in 0..4 {
                rows[(row, column)] = 5.0 + 2.0 * (common + normal());
            }
        }
        rows
    }

    fn statistics() -> GuardStatistics {
        let states = DMatrix::from_fn(3000, 1, |row, _| libm::sin(row as f64 * 0.1));
        guard_statistics(&TrainingData::new(rows(3000, 1), states))
    }

    /// What the guard makes of rows.
    fn cleaned(guard: &mut Guard, rows: &DMatrix<f64>) -> (DMatrix<f64>, Vec<Vec<ChannelCondition>>) {
        let mut all = rows.clone();
        let mut conditions = Vec::new();
        for mut row in all.row_iter_mut() {
            let values: Vec<f64> = row.iter().copied().collect();
            row.copy_from_slice(guard.clean(&values).unwrap());
            conditions.push(guard.conditions().to_vec());
        }
        (all, conditions)
    }

    #[test]
    fn training_rows_pass_unchanged() {
        let rows = rows(3000, 1);
        let (cleaned, conditions) = cleaned(&mut Guard::new(&statistics()), &rows);
        assert_eq!(cleaned, rows);
        assert!(conditions.iter().flatten().all(|condition| *condition == ChannelCondition::Healthy));
    }

    #[test]
    fn an_offset_is_found_subtracted_and_dropped_when_it_is_over() {
        let clean = rows(3000, 2);
        let mut shifted = clean.clone();
        for row in 500..1500 {
            shifted[(row, 2)] -= 12.0;
        }
        let (cleaned, conditions) = cleaned(&mut Guard::new(&statistics()), &shifted);
        let first = conditions.iter().position(|now| now[2] == ChannelCondition::Shifted).unwrap();
        assert!((500..510).contains(&first), "{first}");
        let error = |range: core::ops::Range<usize>| {
            range.clone().map(|row| cleaned[(row, 2)] - clean[(row, 2)]).sum::<f64>() / range.len() as f64
        };
        assert!(error(600..1500).abs() < 0.8, "{}", error(600..1500));
        assert!(error(1600..3000).abs() < 0.8);
        assert_eq!(conditions[2999][2], ChannelCondition::Healthy);
        // a rare excursion of a healthy channel may be taken for a shift
        let others = conditions.iter().flat_map(|now| [now[0], now[1], now[3]]);
        let wrong = others.filter(|condition| *condition != ChannelCondition::Healthy).count();
        assert!(wrong < 9000 / 20, "{wrong}");
    }

    #[test]
    fn silent_and_noisy_channels_are_masked_until_they_are_well() {
        let mut rows = rows(4000, 3);
        let mut random = ChaCha8Rng::seed_from_u64(4);
        for row in 1000..2000 {
            rows[(row, 0)] = 0.0;
            let noise: f64 = StandardNormal.sample(&mut random);
            rows[(row, 1)] += 16.0 * noise;
        }
        let statistics = statistics();
        let (cleaned, conditions) = cleaned(&mut Guard::new(&statistics), &rows);
        for (row, now) in conditions.iter().enumerate().take(2000).skip(1300) {
            assert_eq!(now[..2], [ChannelCondition::Silent, ChannelCondition::Noisy], "{row}");
            assert_eq!(
                cleaned.row(row).columns(0, 2).iter().copied().collect::<Vec<_>>(),
                statistics.mean[..2]
            );
        }
        assert!(conditions[3999].iter().all(|condition| *condition == ChannelCondition::Healthy));
    }

    #[test]
    fn numbers_of_any_size_stay_within_the_training_range_and_leave_no_trace() {
        let statistics = statistics();
        let mut guard = Guard::new(&statistics);
        for (row, value) in [1e59, -1e59, 1e30, 0.0, 1e12].into_iter().cycle().take(500).enumerate() {
            let values = [value, 5.0 + (row % 3) as f64, 5.0, 5.0, value];
            let cleaned = guard.clean(&values).unwrap();
            for (channel, value) in cleaned.iter().enumerate() {
                assert!(*value >= statistics.least[channel] && *value <= statistics.greatest[channel]);
            }
        }
        let (_, conditions) = cleaned(&mut guard, &rows(3000, 5));
        assert!(conditions[2999].iter().all(|condition| *condition == ChannelCondition::Healthy));
        assert!(guard.clean(&[1.0; 4]).is_none() && guard.clean(&[f64::NAN; 5]).is_none());
        assert!(guard.clean(&[1e300; 5]).is_none());
    }

    #[test]
    fn after_a_restart_it_is_as_new() {
        let mut guard = Guard::new(&statistics());
        let mut shifted = rows(500, 6);
        shifted.column_mut(1).add_scalar_mut(10.0);
        let first = cleaned(&mut guard, &shifted);
        guard.restart();
        assert_eq!(cleaned(&mut guard, &shifted), first);
    }

    #[test]
    fn few_rows_and_one_channel_have_statistics() {
        for (count, n) in [(1, 1), (2, 1), (30, 3), (30, 60)] {
            let features = DMatrix::from_fn(count, n, |row, column| ((row * 7 + column * 3) % 11) as f64);
            let states = DMatrix::from_fn(count, 2, |row, _| row as f64);
            let statistics = guard_statistics(&TrainingData::new(features, states));
            let mut guard = Guard::new(&statistics);
            assert!(guard.clean(&vec![4.0; n]).unwrap().iter().all(|value| value.is_finite()));
        }
    }

    /// Band powers over 400 ms every 50 ms, as of four channels of EEG: slow, and in three seconds of them nearly nothing is seen.
    #[test]
    fn three_seconds_of_a_slow_signal_condemn_nothing_of_what_follows_and_a_minute_does() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut slow = [0.0; 4];
        let rows = DMatrix::from_fn(4000, 4, |_, channel| {
            slow[channel] = 0.93 * slow[channel] + 0.37 * normal();
            3.0 + 0.2 * slow[channel]
        });
        // (columns are filled one after the other)
        let fitted = |count: usize| {
            let states = DMatrix::from_fn(count, 1, |row, _| libm::sin(row as f64 * 0.1));
            guard_statistics(&TrainingData::new(rows.rows(0, count).into_owned(), states))
        };
        let bad = |statistics: &GuardStatistics, rows: &DMatrix<f64>| {
            let (_, conditions) = cleaned(&mut Guard::new(statistics), rows);
            let all = conditions.iter().flatten();
            all.filter(|condition| **condition != ChannelCondition::Healthy).count()
        };
        let rest = rows.rows(2000, 2000).into_owned();
        assert_eq!(bad(&fitted(55), &rest), 0, "of 3 s");
        let mut dead = rest.clone();
        dead.column_mut(1).fill(3.0);
        assert!(bad(&fitted(1200), &dead) > 1500, "a dead one is found by what a minute showed");
        assert!(bad(&fitted(1200), &rest) < 40, "{}", bad(&fitted(1200), &rest));
    }
}
