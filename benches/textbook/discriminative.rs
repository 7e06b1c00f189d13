//! The discriminative Kalman filter (Neural Computation 2020, eq. 2.7) and Nadaraya-Watson regression as their formulas
//! stand, with dense matrices and explicit inverses: what the fast ones are held against.

use kalmind_filter::StateModel;
use nalgebra::DMatrix;

/// The kernel mean of the rows of `values` at `x`, `sum k_i v_i / sum k_i` with
/// `k_i = exp(-|x - x_i|^2 / (2 bandwidth^2))`, and the effective number of points, `(sum k)^2 / sum k^2`.
pub(crate) fn nadaraya_watson(
    points: &DMatrix<f64>,
    values: &DMatrix<f64>,
    bandwidth: f64,
    x: &[f64],
) -> (Vec<f64>, f64) {
    let logs: Vec<f64> = points
        .row_iter()
        .map(|point| {
            let squared: f64 = point.iter().zip(x).map(|(p, x)| (x - p) * (x - p)).sum();
            -squared / (2.0 * bandwidth * bandwidth)
        })
        .collect();
    let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - greatest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let mean = values
        .column_iter()
        .map(|column| column.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>() / sum)
        .collect();
    (mean, sum * sum / squares)
}

/// A symmetric matrix from its lower triangle, row by row.
pub(crate) fn symmetric(triangle: &[f64], d: usize) -> DMatrix<f64> {
    DMatrix::from_fn(d, d, |row, column| triangle[kalmind_types::lower_triangle_index(row, column)])
}

/// The filter in its standard form, started by the prior N(0, S). A state of order p is stacked p times.
#[derive(Debug)]
pub(crate) struct TextbookDkf {
    transition: DMatrix<f64>,
    process_noise: DMatrix<f64>,
    /// S^-1 of one state.
    marginal_precision: DMatrix<f64>,
    started: bool,
    /// Of the stacked state, newest first.
    pub(crate) mean: DMatrix<f64>,
    /// Of the stacked state.
    pub(crate) covariance: DMatrix<f64>,
}

impl TextbookDkf {
    /// Before row one. `None` where S has no inverse.
    pub(crate) fn new(state: &StateModel) -> Option<Self> {
        let (d, stacked) = (state.dimension(), state.dimension() * state.order);
        let mut transition = DMatrix::zeros(stacked, stacked);
        transition.view_mut((0, 0), (d, stacked)).copy_from(&state.transition);
        for older in d..stacked {
            transition[(older, older - d)] = 1.0;
        }
        let mut process_noise = DMatrix::zeros(stacked, stacked);
        process_noise.view_mut((0, 0), (d, d)).copy_from(&state.process_noise);
        Some(Self {
            transition,
            process_noise,
            marginal_precision: state.marginal_covariance().try_inverse()?,
            started: false,
            mean: DMatrix::zeros(stacked, 1),
            covariance: state.stationary_covariance.clone(),
        })
    }

    /// One step with `z | x ~ N(f, Q)`. `None` where a matrix has no inverse, or `Q^-1 - S^-1` is not positive definite.
    pub(crate) fn step(&mut self, f: &[f64], q: &DMatrix<f64>) -> Option<()> {
        if self.started {
            self.mean = &self.transition * &self.mean;
            self.covariance =
                &self.transition * &self.covariance * self.transition.transpose() + &self.process_noise;
        }
        self.started = true;
        let (d, stacked) = (f.len(), self.mean.nrows());
        let precision = q.clone().try_inverse()?;
        let mut information = DMatrix::zeros(stacked, stacked);
        information.view_mut((0, 0), (d, d)).copy_from(&(&precision - &self.marginal_precision));
        nalgebra::Cholesky::new(information.view((0, 0), (d, d)).into_owned())?;
        let mut pull = DMatrix::zeros(stacked, 1);
        pull.view_mut((0, 0), (d, 1)).copy_from(&(precision * DMatrix::from_column_slice(d, 1, f)));
        let prior = self.covariance.clone().try_inverse()?;
        self.covariance = (information + &prior).try_inverse()?;
        self.mean = &self.covariance * (pull + prior * &self.mean);
        Some(())
    }
}
