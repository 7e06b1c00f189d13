//! The figures of held-out means: how good a decoder is, by rows that it was not fitted to.

use kalmind_filter::{AgainstChance, FitQuality, TrainingData};
use nalgebra::DMatrix;

use crate::correlation::of_centred;
use crate::{HeldOut, accuracy};

/// The figures of held-out rows.
#[must_use]
pub fn held_out_quality(data: &TrainingData, held: &HeldOut, chance: AgainstChance) -> FitQuality {
    let truth = data.states.select_rows(&held.rows);
    let error = (&truth - &held.means).norm_squared();
    let about_mean: f64 =
        truth.column_iter().map(|column| column.add_scalar(-column.mean()).norm_squared()).sum();
    let power = truth.norm_squared();
    FitQuality {
        held_out: held.folds,
        rows: held.rows.len(),
        nrmse: (error / power).sqrt(),
        nrmse_of_mean: (about_mean / power).sqrt(),
        r2: 1.0 - error / about_mean,
        correlation: (0..truth.ncols()).map(|column| correlation(&truth, &held.means, column)).collect(),
        maae: (truth.ncols() > 1).then(|| mean_angle(&truth, &held.means)).filter(|angle| angle.is_finite()),
        steps: held.steps,
        fallback_steps: held.fallback_steps,
        chance,
        of_earlier_fit: false,
    }
}

fn rows(matrix: &DMatrix<f64>) -> impl Iterator<Item = Vec<f64>> {
    matrix.row_iter().map(|row| row.iter().copied().collect())
}

/// Pearson's correlation of one column; none where one side never moves.
fn correlation(truth: &DMatrix<f64>, means: &DMatrix<f64>, column: usize) -> Option<f64> {
    let centred = |matrix: &DMatrix<f64>| {
        let column = matrix.column(column);
        column.add_scalar(-column.mean())
    };
    let (truth, means) = (centred(truth), centred(means));
    Some(of_centred(&truth, &means)).filter(|correlation| correlation.is_finite())
}

fn mean_angle(truth: &DMatrix<f64>, means: &DMatrix<f64>) -> f64 {
    let angles: Vec<f64> =
        rows(truth).zip(rows(means)).filter_map(|(truth, mean)| accuracy::angle(&truth, &mean)).collect();
    angles.iter().sum::<f64>() / angles.len() as f64
}
