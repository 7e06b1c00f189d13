//! What training shows of the array as a whole: how its channels stand still, and how far its means go by themselves.

use nalgebra::DMatrix;

use kalmind_filter::array_statistics::{MEASURES, Observer, SPANS};
use kalmind_filter::{PlausibilityStatistics, TrainingData};

/// A value that makes up at least this part of a channel is its mode.
const MODE_PART: f64 = 0.05;
/// The smallest part of changes that count as none.
const TOLERANCE_PART: f64 = 0.02;
/// Values nearer than this, in standard deviations, are the same.
const SAME: f64 = 1e-9;

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
        let (mode, part) = mode(column.as_slice());
        let mut changes: Vec<f64> = pairs.iter().map(|row| (column[*row] - column[row - 1]).abs()).collect();
        changes.sort_unstable_by(f64::total_cmp);
        let tolerance =
            changes.get((TOLERANCE_PART * changes.len() as f64) as usize).copied().unwrap_or(0.0).max(SAME);
        let (mut staying, mut starts) = ([0.0, 0.0], [0.0, 0.0]);
        for row in &pairs {
            let at = usize::from((column[row - 1] - mode).abs() > tolerance);
            starts[at] += 1.0;
            staying[at] += f64::from((column[*row] - column[row - 1]).abs() <= tolerance);
        }
        // where there is no mode, all values are alike
        if part < MODE_PART {
            (staying, starts) = ([staying[0] + staying[1]; 2], [starts[0] + starts[1]; 2]);
        }
        let away = |row: usize| (column[row] - mode).abs() > tolerance;
        let from = pairs.iter().filter(|row| away(**row - 1)).count() as f64;
        let to = pairs.iter().filter(|row| away(**row - 1) && away(**row)).count() as f64;
        statistics.stay_away.push(if part < MODE_PART { 1.0 } else { (to + 0.5) / (from + 1.0) });
        let stay = |at: usize| (staying[at] + 0.5) / (starts[at] + 1.0);
        statistics.mode.push(mode);
        statistics.tolerance.push(tolerance);
        statistics.stay_at_mode.push(stay(0));
        statistics.stay_elsewhere.push(stay(1));
        moved.push(column.iter().any(|value| value.abs() > 0.0));
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

/// The most frequent value, and its part of all.
fn mode(column: &[f64]) -> (f64, f64) {
    let mut sorted = column.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let runs = sorted.chunk_by(|left, right| right - left <= SAME);
    let most = runs.max_by_key(|run| run.len()).unwrap_or_default();
    (most.first().copied().unwrap_or(0.0), most.len() as f64 / column.len().max(1) as f64)
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
