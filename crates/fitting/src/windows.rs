//! The windows of features that a decoder with lags would have seen at each row, and blocked folds over them.

use core::ops::Range;

use nalgebra::{DMatrix, DVectorView};

use kalmind_filter::{FoldsOf, TrainingData};

/// How many blocks cross-fitting makes of the rows.
pub(crate) const FOLDS: usize = 5;

/// Standard deviations below this part of the mean are rounding.
pub(crate) const ROUNDING: f64 = 1e-12;

/// The mean of every column; exactly the value of one that is constant.
pub(crate) fn column_means(matrix: &DMatrix<f64>) -> Vec<f64> {
    let mean = |column: DVectorView<'_, f64>| {
        if column.iter().all(|value| value.to_bits() == column[0].to_bits()) {
            return column.get(0).copied().unwrap_or(f64::NAN);
        }
        column.iter().sum::<f64>() / matrix.nrows() as f64
    };
    matrix.column_iter().map(mean).collect()
}

/// The standard deviation of every column; exactly zero of one that is constant but for rounding.
pub(crate) fn deviations(matrix: &DMatrix<f64>) -> Vec<f64> {
    let deviation = |(column, mean): (DVectorView<'_, f64>, f64)| {
        let squares: f64 = column.iter().map(|value| (value - mean) * (value - mean)).sum();
        let deviation = (squares / matrix.nrows() as f64).sqrt();
        if deviation > ROUNDING * mean.abs() { deviation } else { 0.0 }
    };
    matrix.column_iter().zip(column_means(matrix)).map(deviation).collect()
}

/// One over the standard deviation of every column, so that features in any unit count alike; zero of a constant one, which
/// says nothing.
pub(crate) fn unit_scales(matrix: &DMatrix<f64>) -> Vec<f64> {
    let scale = |deviation: f64| if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    deviations(matrix).into_iter().map(scale).collect()
}

/// Windows `[x_t, .., x_{t-l+1}]` at `rows`, one a row; bins before a segment hold the background, as at row one.
pub(crate) fn windows(data: &TrainingData, rows: &[usize], lags: usize, background: &[f64]) -> DMatrix<f64> {
    let n = data.features.ncols();
    let mut first_of = vec![0; data.rows()];
    for segment in data.segments() {
        first_of[segment.clone()].fill(segment.start);
    }
    DMatrix::from_fn(rows.len(), n * lags, |at, column| {
        let (lag, feature) = (column / n, column % n);
        let row = rows[at];
        if row >= first_of[row] + lag { data.features[(row - lag, feature)] } else { background[feature] }
    })
}

/// The states at `rows`.
pub(crate) fn states_at(data: &TrainingData, rows: &[usize]) -> DMatrix<f64> {
    data.states.select_rows(rows)
}

/// `count` items in [`FOLDS`] contiguous blocks: cross-fitting over a time series never splits at random.
pub(crate) fn folds(count: usize) -> Vec<Range<usize>> {
    (0..FOLDS).map(|fold| fold * count / FOLDS..(fold + 1) * count / FOLDS).collect()
}

/// `rows`, ascending, in up to [`FOLDS`] contiguous blocks of whole trials where a task was shown, of rows that follow each
/// other where none was; ranges of places in `rows`. A trial in two folds would be known from its other half.
pub(crate) fn folds_of(data: &TrainingData, rows: &[usize]) -> (FoldsOf, Vec<Range<usize>>) {
    let trial =
        |place: usize| data.task.as_ref().and_then(|task| task.get(rows[place])).map(|task| task.trial);
    let starts: Vec<usize> =
        (0..rows.len()).filter(|&place| place == 0 || trial(place) != trial(place - 1)).collect();
    if data.task.is_none() || starts.len() < FOLDS {
        return (FoldsOf::Rows, folds(rows.len()));
    }
    // the start of a trial that is nearest to where equal parts would end
    let mut ends: Vec<usize> = (1..FOLDS)
        .filter_map(|fold| {
            let wanted = fold * rows.len() / FOLDS;
            starts.iter().copied().filter(|&start| start > 0).min_by_key(|start| start.abs_diff(wanted))
        })
        .chain([rows.len()])
        .collect();
    ends.dedup();
    let blocks = core::iter::once(0).chain(ends.clone()).zip(ends).map(|(start, end)| start..end);
    (FoldsOf::Trials, blocks.collect())
}

/// The items outside a fold.
pub(crate) fn outside(fold: &Range<usize>, count: usize) -> Vec<usize> {
    (0..count).filter(|item| !fold.contains(item)).collect()
}

/// The mean outer product of the rows, exactly symmetric.
pub(crate) fn second_moment(rows: &DMatrix<f64>) -> DMatrix<f64> {
    let mut moment = rows.tr_mul(rows) / rows.nrows() as f64;
    moment.fill_lower_triangle_with_upper_triangle();
    moment
}

#[cfg(test)]
mod tests {
    use kalmind_types::Position;

    use super::*;
    use kalmind_filter::TaskSample;

    #[test]
    fn windows_do_not_reach_across_a_gap() {
        let data = TrainingData {
            segment_starts: vec![2],
            ..TrainingData::new(DMatrix::from_column_slice(4, 1, &[1.0, 2.0, 3.0, 4.0]), DMatrix::zeros(4, 1))
        };
        let windows = windows(&data, &[0, 1, 2, 3], 2, &[9.0]);
        assert_eq!(windows, DMatrix::from_row_slice(4, 2, &[1.0, 9.0, 2.0, 1.0, 3.0, 9.0, 4.0, 3.0]));
    }

    #[test]
    fn folds_cover_every_row_once() {
        let folds = folds(17);
        assert_eq!(folds.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..17).collect::<Vec<_>>());
        assert_eq!(outside(&folds[0], 17).len(), 14);
    }

    #[test]
    fn no_trial_is_in_two_folds() {
        let sample = |trial| TaskSample { trial, target: None, cursor: Position([0.5; 2]), hold: false };
        // trials of 1, 2, .., 12 rows
        let task: Vec<TaskSample> =
            (1..=12).flat_map(|trial| (0..trial).map(move |_| sample(trial))).collect();
        let count = task.len();
        let mut data = TrainingData::new(DMatrix::zeros(count, 1), DMatrix::zeros(count, 1));
        data.task = Some(task.clone());
        let rows: Vec<usize> = (0..count).filter(|row| row % 7 != 3).collect();
        let (of, folds) = folds_of(&data, &rows);
        assert_eq!((of, folds.len()), (FoldsOf::Trials, FOLDS));
        assert_eq!(
            folds.iter().flat_map(Clone::clone).collect::<Vec<_>>(),
            (0..rows.len()).collect::<Vec<_>>()
        );
        for pair in folds.windows(2) {
            let (last, first) = (rows[pair[0].end - 1], rows[pair[1].start]);
            assert_ne!(task[last].trial, task[first].trial, "{folds:?}");
        }
        // of one long trial every block is a part
        data.task = Some(vec![sample(1); count]);
        assert_eq!(folds_of(&data, &rows), (FoldsOf::Rows, super::folds(rows.len())));
    }
}
