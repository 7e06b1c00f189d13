//! The windows of features that a decoder with lags would have seen at each row, and blocked folds over them.

use core::ops::Range;

use nalgebra::DMatrix;

use crate::TrainingData;

/// How many blocks cross-fitting makes of the rows.
pub(crate) const FOLDS: usize = 5;

/// The mean of every feature column.
pub(crate) fn column_means(features: &DMatrix<f64>) -> Vec<f64> {
    features.column_iter().map(|column| column.iter().sum::<f64>() / features.nrows() as f64).collect()
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
    use super::*;

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
}
