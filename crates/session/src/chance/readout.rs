//! The direction of each trial, decoded by ridge regression on the other trials: linear in the directions.

use nalgebra::DMatrix;

/// The matrix that takes the directions of all trials to those decoded from the others.
///
/// With features X (trials x features) and r the mean squared length of a trial's, `S = (X X' + r I)^-1 X X'` takes directions
/// to fitted ones. Those of a trial by a fit to the others are `sum over the others of S_ij d_j / (1 - S_ii)`,
/// exactly.
/// Cost: trials^2 features + trials^3 / 3, and then 2 trials^2 for each order of targets.
#[derive(Clone, Debug)]
pub(super) struct Readout {
    /// Trials x trials, zero on the diagonal.
    decodes: DMatrix<f64>,
    directions: Vec<[f64; 2]>,
    decoded: Vec<[f64; 2]>,
}

impl Readout {
    pub(super) fn of(features: &DMatrix<f64>) -> Self {
        let trials = features.nrows();
        let products = features * features.transpose();
        let ridge = products.trace() / trials.max(1) as f64;
        let mut ridged = products.clone();
        for trial in 0..trials {
            ridged[(trial, trial)] += ridge.max(f64::MIN_POSITIVE);
        }
        let zero = || DMatrix::zeros(trials, trials);
        let fitted = ridged.cholesky().map_or_else(zero, |factor| factor.solve(&products));
        let decodes = DMatrix::from_fn(trials, trials, |row, column| {
            if row == column { 0.0 } else { fitted[(row, column)] / (1.0 - fitted[(row, row)]) }
        });
        Self { decodes, directions: Vec::with_capacity(trials), decoded: vec![[0.0; 2]; trials] }
    }

    /// How well decoded and true directions agree: the sum over trials of their products. The mean direction, which takes no
    /// features to know, is taken off.
    pub(super) fn agreement(&mut self, directions: impl Iterator<Item = [f64; 2]>) -> f64 {
        self.decode(directions);
        self.decoded.iter().zip(&self.directions).map(|(decoded, direction)| dot(*decoded, *direction)).sum()
    }

    /// The mean over trials of the cosine of the angle between decoded and true direction.
    pub(super) fn mean_cosine(&mut self, directions: impl Iterator<Item = [f64; 2]>) -> f64 {
        self.decode(directions);
        let cosines = self.decoded.iter().zip(&self.directions).filter_map(|(decoded, direction)| {
            let norms = (dot(*decoded, *decoded) * dot(*direction, *direction)).sqrt();
            (norms > 0.0).then(|| dot(*decoded, *direction) / norms)
        });
        let (sum, count) = cosines.fold((0.0, 0), |(sum, count), cosine| (sum + cosine, count + 1));
        sum / f64::from(count.max(1))
    }

    fn decode(&mut self, directions: impl Iterator<Item = [f64; 2]>) {
        self.directions.clear();
        self.directions.extend(directions);
        let count = self.directions.len().max(1) as f64;
        let mean =
            [0, 1].map(|axis| self.directions.iter().map(|direction| direction[axis]).sum::<f64>() / count);
        self.decoded.fill([0.0; 2]);
        for (weights, direction) in self.decodes.column_iter().zip(&mut self.directions) {
            *direction = [direction[0] - mean[0], direction[1] - mean[1]];
            for (decoded, weight) in self.decoded.iter_mut().zip(weights.iter()) {
                decoded[0] += weight * direction[0];
                decoded[1] += weight * direction[1];
            }
        }
    }
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

#[cfg(test)]
mod tests {
    use nalgebra::{Matrix2, dmatrix};

    use super::*;

    #[test]
    fn a_trial_is_decoded_as_by_a_fit_to_the_others() {
        let features = dmatrix![1.0, 0.2; -0.5, 2.0; 0.3, -1.1; 2.0, 0.4; -1.0, -0.7];
        let directions = [[0.6, 0.8], [-1.0, 0.0], [0.0, 1.0], [0.8, -0.6], [0.28, 0.96]];
        let mut readout = Readout::of(&features);
        readout.decode(directions.into_iter());
        let ridge = features.norm_squared() / 5.0;
        let mean = [0, 1].map(|axis| directions.iter().map(|direction| direction[axis]).sum::<f64>() / 5.0);
        for held in 0..5 {
            // the normal equations of ridge regression on the four others
            let mut moments = Matrix2::identity() * ridge;
            let mut products = Matrix2::zeros();
            for (trial, direction) in directions.iter().enumerate().filter(|(trial, _)| *trial != held) {
                let row = features.row(trial).transpose();
                moments += &row * row.transpose();
                products += row * nalgebra::RowVector2::new(direction[0] - mean[0], direction[1] - mean[1]);
            }
            let expected = features.row(held) * moments.try_inverse().unwrap() * products;
            let [x, y] = readout.decoded[held];
            assert!((x - expected[0]).abs() < 1e-12 && (y - expected[1]).abs() < 1e-12, "{held}");
        }
    }

    #[test]
    fn features_that_are_the_direction_agree_with_it() {
        let directions = [
            [1.0, 0.0],
            [0.0, 1.0],
            [-1.0, 0.0],
            [0.0, -1.0],
            [1.0, 0.0],
            [0.0, 1.0],
            [-1.0, 0.0],
            [0.0, -1.0],
        ];
        let features = DMatrix::from_fn(8, 2, |row, column| directions[row][column]);
        let mut readout = Readout::of(&features);
        assert!((readout.mean_cosine(directions.into_iter()) - 1.0).abs() < 1e-12);
        assert!(readout.agreement(directions.into_iter()) > 0.0);
        let other = [1, 0, 2, 3, 4, 5, 6, 7].map(|trial: usize| directions[trial]);
        assert!(readout.agreement(other.into_iter()) < readout.agreement(directions.into_iter()));
    }
}
