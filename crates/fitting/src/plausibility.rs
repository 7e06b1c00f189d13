//! What training shows of the array as a whole: how its channels stand still, and how far its means go by themselves.

use nalgebra::DMatrix;

use kalmind_filter::array_statistics::{MEASURES, Observer, REACH, SPANS};
use kalmind_filter::{PlausibilityStatistics, TrainingData};

/// A value that makes up at least this part of a channel is its mode.
const MODE_PART: f64 = 0.05;
/// The smallest part of changes that count as none.
const TOLERANCE_PART: f64 = 0.02;
/// Values nearer than this, in standard deviations, are the same.
const SAME: f64 = 1e-9;
/// Repeated values drift where the changes above a gap are at least so many times as large as those below it, which are this part
/// of all at least. (Order statistics of values without a grid have no such gap.)
const GAP: f64 = 32.0;
const LEAST_DRIFTING: f64 = 0.05;

/// The statistics of standardised columns and of what others do not explain of each. Cost: rows * n * log(rows).
pub(crate) fn plausibility_statistics(
    data: &TrainingData,
    standardised: &DMatrix<f64>,
    residuals: &DMatrix<f64>,
) -> PlausibilityStatistics {
    let n = standardised.ncols();
    let pairs = pairs(data, standardised);
    let mut statistics = PlausibilityStatistics {
        mode: Vec::with_capacity(n),
        tolerance: Vec::with_capacity(n),
        reach: Vec::with_capacity(n),
        stay_at_mode: Vec::with_capacity(n),
        stay_elsewhere: Vec::with_capacity(n),
        stay_away: Vec::with_capacity(n),
        longest: vec![0.0; n],
        greatest_stillness: 1.0,
        greatest_still: 0.0,
        typical: vec![1.0; MEASURES],
        lowest: Vec::new(),
        highest: Vec::new(),
    };
    let mut moved = Vec::with_capacity(n);
    for column in standardised.column_iter() {
        let mut changes: Vec<f64> = pairs.iter().map(|row| (column[*row] - column[row - 1]).abs()).collect();
        changes.sort_unstable_by(f64::total_cmp);
        let drift = drift(&changes);
        let (mode, part) = mode(column.as_slice(), drift);
        let rare = changes.get((TOLERANCE_PART * changes.len() as f64) as usize).copied().unwrap_or(0.0);
        let tolerance = drift.unwrap_or(rare.max(SAME));
        let reach = drift.map_or(tolerance, |drift| REACH * drift);
        let (mut staying, mut starts) = ([0.0, 0.0], [0.0, 0.0]);
        for row in &pairs {
            let at = usize::from((column[row - 1] - mode).abs() > reach);
            starts[at] += 1.0;
            staying[at] += f64::from((column[*row] - column[row - 1]).abs() <= tolerance);
        }
        // where there is no mode, all values are alike
        if part < MODE_PART {
            (staying, starts) = ([staying[0] + staying[1]; 2], [starts[0] + starts[1]; 2]);
        }
        let away = |row: usize| (column[row] - mode).abs() > reach;
        let from = pairs.iter().filter(|row| away(**row - 1)).count() as f64;
        let to = pairs.iter().filter(|row| away(**row - 1) && away(**row)).count() as f64;
        statistics.stay_away.push(if part < MODE_PART { 1.0 } else { (to + 0.5) / (from + 1.0) });
        let stay = |at: usize| (staying[at] + 0.5) / (starts[at] + 1.0);
        statistics.mode.push(mode);
        statistics.tolerance.push(tolerance);
        statistics.reach.push(if drift.is_some() { reach } else { 0.0 });
        statistics.stay_at_mode.push(stay(0));
        statistics.stay_elsewhere.push(stay(1));
        moved.push(column.iter().any(|value| value.abs() > 0.0));
    }
    if statistics.reach.iter().all(|reach| *reach == 0.0) {
        statistics.reach.clear();
    }
    observe(data, standardised, residuals, &moved, &mut statistics);
    statistics
}

/// Rows that follow a row of their segment. Rows without features hold the mean in every channel; they tell nothing.
fn pairs(data: &TrainingData, standardised: &DMatrix<f64>) -> Vec<usize> {
    let empty = |row: usize| standardised.row(row).iter().all(|value| value.abs() < SAME);
    let follows = data.segments().into_iter().flat_map(|segment| segment.skip(1));
    follows.filter(|row| !empty(*row) && !empty(row - 1)).collect()
}

/// A change that is none where repeated values drift, as a count does that is scored by a mean that follows it: well above those
/// drifts, and far below the step from one value to the next. None where values repeat exactly, or never do. `changes` are sorted.
fn drift(changes: &[f64]) -> Option<f64> {
    let least = (LEAST_DRIFTING * changes.len() as f64).ceil() as usize;
    let pairs = changes.windows(2).skip(least.max(1) - 1);
    let step = pairs.filter(|pair| pair[0] > SAME).find(|pair| pair[1] >= GAP * pair[0]).map(|pair| pair[1]);
    step.map(|step| 0.5 * step / REACH)
}

/// The most frequent value, and its part of all; values that `drift` are the same.
fn mode(column: &[f64], drift: Option<f64>) -> (f64, f64) {
    let mut sorted = column.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let runs = sorted.chunk_by(|left, right| right - left <= drift.unwrap_or(SAME));
    let most = runs.max_by_key(|run| run.len()).unwrap_or_default();
    let place = drift.map_or(0, |_| most.len() / 2);
    (most.get(place).copied().unwrap_or(0.0), most.len() as f64 / column.len().max(1) as f64)
}

/// Runs the observer over the rows, as the monitor will.
fn observe(
    data: &TrainingData,
    standardised: &DMatrix<f64>,
    residuals: &DMatrix<f64>,
    moved: &[bool],
    statistics: &mut PlausibilityStatistics,
) {
    let n = standardised.ncols();
    let mut observer = Observer::new(statistics, |at| moved[at]);
    let weights: Vec<f64> = moved.iter().map(|moved| f64::from(u8::from(*moved))).collect();
    let (mut values, mut rest) = (vec![0.0; n], vec![0.0; n]);
    let mut segments = Vec::new();
    for segment in data.segments() {
        observer.restart();
        let mut means = Vec::with_capacity(segment.len());
        for row in segment {
            for at in 0..n {
                values[at] = standardised[(row, at)];
                rest[at] = residuals[(row, at)];
            }
            let shown = observer.observe(&values, &rest, &weights, &weights, &weights);
            let all: Option<Vec<f64>> = shown.means.into_iter().collect();
            means.extend(all);
            statistics.greatest_stillness = statistics.greatest_stillness.max(shown.stillness);
            statistics.greatest_still = statistics.greatest_still.max(shown.still);
            for (longest, run) in statistics.longest.iter_mut().zip(&observer.runs) {
                *longest = longest.max(run.abs());
            }
        }
        segments.push(means);
    }
    for measure in 0..MEASURES {
        let mut all: Vec<f64> = segments.iter().flatten().map(|means| means[measure]).collect();
        // many means of few channels are skewed: their mean is what running means come to
        let typical = all.iter().sum::<f64>() / all.len().max(1) as f64;
        all.clear();
        statistics.typical[measure] = typical;
        for span in SPANS {
            let (mut lowest, mut highest) = (typical, typical);
            for means in &segments {
                let mut running = typical;
                for shown in means {
                    running += (shown[measure] - running) / span as f64;
                    lowest = lowest.min(running);
                    highest = highest.max(running);
                }
            }
            statistics.lowest.push(lowest);
            statistics.highest.push(highest);
        }
    }
}

/// The same with wider ranges: running means of squares, and surprises.
pub(crate) fn wider_array(statistics: PlausibilityStatistics, factor: f64) -> PlausibilityStatistics {
    let PlausibilityStatistics { mut lowest, mut highest, typical, .. } = statistics;
    for (measure, typical) in typical.iter().enumerate() {
        for at in measure * SPANS.len()..(measure + 1) * SPANS.len() {
            // the monitor goes by the distance above the typical value, and by the square of the ratio below
            highest[at] = typical + factor * (highest[at] - typical).max(*typical);
            lowest[at] = lowest[at].min(typical / 2.0) / factor;
        }
    }
    PlausibilityStatistics {
        lowest,
        highest,
        typical,
        longest: statistics.longest.iter().map(|longest| factor * longest).collect(),
        greatest_stillness: 1.0 + factor * (statistics.greatest_stillness - 1.0),
        greatest_still: factor * statistics.greatest_still,
        ..statistics
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, Poisson};

    use super::*;

    const UNITS: usize = 12;
    const RATE: f64 = 0.3;
    /// The weight of a bin of 20 ms in a mean over 300 s.
    const WEIGHT: f64 = 6.7e-5;

    /// Counts of 0.3 a bin, scored by a mean and a variance that follow them, and these as they are at the end.
    fn counts(rows: usize, seed: u64, mut mean: Vec<f64>) -> (DMatrix<f64>, Vec<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let poisson = Poisson::new(RATE).unwrap();
        let mut scored = DMatrix::zeros(rows, UNITS);
        for row in 0..rows {
            for (unit, mean) in mean.iter_mut().enumerate() {
                let count: f64 = poisson.sample(&mut random);
                scored[(row, unit)] = (count - *mean) / RATE.sqrt();
                *mean += WEIGHT * (count - *mean);
            }
        }
        (scored, mean)
    }

    fn statistics(rows: &DMatrix<f64>) -> PlausibilityStatistics {
        let states = DMatrix::from_fn(rows.nrows(), 1, |row, _| libm::sin(row as f64 * 0.1));
        plausibility_statistics(&TrainingData::new(rows.clone(), states), rows, rows)
    }

    #[test]
    fn counts_whose_mean_is_followed_stay_at_zero_as_often_as_counts_do() {
        let (rows, mean) = counts(3000, 1, vec![0.35; UNITS]);
        let statistics = statistics(&rows);
        for (unit, stay) in statistics.stay_at_mode.iter().enumerate() {
            assert!((stay - libm::exp(-RATE)).abs() < 0.03, "unit {unit}: {stay}");
            assert!((statistics.mode[unit] + 0.35 / RATE.sqrt()).abs() < 0.1, "{}", statistics.mode[unit]);
        }
        // so it does where the mean has gone elsewhere, and where it stands still
        let weights = vec![1.0; UNITS];
        let mut observer = Observer::new(&statistics, |_| true);
        let (on, _) = counts(20_000, 2, mean);
        let most = |observer: &mut Observer, rows: &DMatrix<f64>| {
            rows.row_iter().fold(0.0_f64, |most, row| {
                let values: Vec<f64> = row.iter().copied().collect();
                most.max(observer.observe(&values, &values, &weights, &weights, &weights).stillness)
            })
        };
        let moving = most(&mut observer, &on);
        let still = DMatrix::from_fn(2000, UNITS, |row, unit| {
            let count = (on[(row, unit)] * RATE.sqrt() + 0.3).round();
            (count - 0.3) / RATE.sqrt()
        });
        let standing = most(&mut observer, &still);
        let dead = most(&mut observer, &DMatrix::from_element(100, UNITS, -0.3 / RATE.sqrt()));
        assert!(
            moving < 2.0 * statistics.greatest_stillness && standing < 2.0 * statistics.greatest_stillness
        );
        assert!(dead > 5.0, "units that say nothing at all surprise: {dead}");
    }

    #[test]
    fn values_without_a_grid_do_not_drift_and_exact_ones_neither() {
        let smooth: Vec<f64> = (1..1000).map(|at| f64::from(at) * 1e-3).collect();
        assert_eq!(drift(&smooth), None);
        let mut exact = vec![0.0; 500];
        exact.extend([1.0; 500]);
        assert_eq!(drift(&exact), None);
        let mut drifting: Vec<f64> = (1..=500).map(|at| f64::from(at) * 1e-6).collect();
        drifting.extend([1.6; 500]);
        assert_eq!(drift(&drifting), Some(0.1));
    }
}
