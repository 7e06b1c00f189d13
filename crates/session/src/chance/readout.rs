//! The direction of each trial, decoded by ridge regression on the other trials: linear in the directions.

use nalgebra::DMatrix;

use super::trials::Trials;

/// The matrix that takes the directions of all trials to those decoded from the others.
#[derive(Clone, Debug)]
pub(super) struct Readout {
    /// Trials x trials, zero on the diagonal.
    decodes: DMatrix<f64>,
}

impl Readout {
    pub(super) fn of(trials: &Trials) -> Self {
        let features = &trials.features;
        let count = features.nrows();
        let mut products = features * features.transpose();
        let ridge = (products.trace() / count.max(1) as f64).max(f64::MIN_POSITIVE);
        let gram = products.clone();
        for at in 0..count {
            products[(at, at)] += ridge;
        }
        // (G + r I)^-1 G
        let hat =
            products.cholesky().map_or_else(|| DMatrix::zeros(count, count), |factor| factor.solve(&gram));
        let decodes = DMatrix::from_fn(count, count, |row, column| {
            if row == column { 0.0 } else { hat[(row, column)] / (1.0 - hat[(row, row)]) }
        });
        Self { decodes }
    }

    /// Decoded and true direction, multiplied and summed over trials. Cost: 2 trials^2 multiplications.
    pub(super) fn statistic(&self, directions: &[[f64; 2]]) -> f64 {
        let directions = centred(directions);
        self.decoded(&directions)
            .iter()
            .zip(&directions)
            .map(|(decoded, direction)| dot(*decoded, *direction))
            .sum()
    }

    /// Mean cosine between decoded and true direction.
    pub(super) fn mean_cosine(&self, directions: &[[f64; 2]]) -> f64 {
        let decoded = self.decoded(&centred(directions));
        let cosines = decoded.iter().zip(directions).filter_map(|(decoded, direction)| {
            let norms = dot(*decoded, *decoded).sqrt() * dot(*direction, *direction).sqrt();
            (norms > 0.0).then(|| dot(*decoded, *direction) / norms)
        });
        let (sum, count) = cosines.fold((0.0, 0), |(sum, count), cosine| (sum + cosine, count + 1));
        if count > 0 { sum / f64::from(count) } else { 0.0 }
    }

    fn decoded(&self, directions: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let mut decoded = vec![[0.0; 2]; directions.len()];
        for (column, direction) in self.decodes.column_iter().zip(directions) {
            for (decoded, weight) in decoded.iter_mut().zip(column.iter()) {
                decoded[0] += weight * direction[0];
                decoded[1] += weight * direction[1];
            }
        }
        decoded
    }
}

fn centred(directions: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let count = directions.len().max(1) as f64;
    let mean = [0, 1].map(|axis| directions.iter().map(|direction| direction[axis]).sum::<f64>() / count);
    directions.iter().map(|direction| [direction[0] - mean[0], direction[1] - mean[1]]).collect()
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}
