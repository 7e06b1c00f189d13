//! How the intent moves by itself: tensors that every filter has.

use nalgebra::{DMatrix, DVector};

use crate::model_error::ModelError;
use crate::options::StationarySource;
use crate::tensors::{ParametersError, Source, TensorWriter, factor};
use crate::validate::{as_column, covariance, out_of_range, shape};

/// How the intent moves by itself: `z_t = A_1 z_{t-1} + .. + A_p z_{t-p} + noise`, noise ~ N(0, G), where z is the intent
/// less its [mean](Self::mean).
#[derive(Clone, Debug, PartialEq)]
pub struct StateModel {
    /// Order p >= 1 of the autoregression.
    pub order: usize,
    /// `[A_1 .. A_p]`, d x (d p).
    pub transition: DMatrix<f64>,
    /// G, d x d.
    pub process_noise: DMatrix<f64>,
    /// Covariance of the stacked state `[z_t, .., z_{t-p+1}]`, (d p) x (d p); its leading d x d block is S.
    pub stationary_covariance: DMatrix<f64>,
    /// Where the stationary covariance comes from.
    pub stationary_source: StationarySource,
    /// The intent's mean, d: every other tensor of a decoder is of the intent less this, and it is added to what the decoder
    /// publishes. `None` for zeros.
    pub mean: Option<DVector<f64>>,
}

impl StateModel {
    /// Intent components d.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.process_noise.nrows()
    }

    /// S, the d x d covariance of one state.
    #[must_use]
    pub fn marginal_covariance(&self) -> DMatrix<f64> {
        let d = self.dimension();
        self.stationary_covariance.view((0, 0), (d, d)).into_owned()
    }

    /// Checks them for `dimension` components.
    pub(crate) fn validate(&self, dimension: usize) -> Result<(), ModelError> {
        if !(1..=10).contains(&self.order) {
            return out_of_range("state order", self.order as f64, "1 to 10");
        }
        let stacked = dimension * self.order;
        shape("transition", &self.transition, dimension, stacked)?;
        covariance("process_noise", &self.process_noise, dimension, false)?;
        if let Some(mean) = &self.mean {
            shape("state_mean", &as_column(mean.as_slice()), dimension, 1)?;
        }
        covariance("stationary_covariance", &self.stationary_covariance, stacked, false)
    }

    /// The same where the order has to be 1.
    pub(crate) fn validate_first_order(&self, dimension: usize) -> Result<(), ModelError> {
        self.validate(dimension)?;
        if self.order == 1 {
            Ok(())
        } else {
            out_of_range("state order", self.order as f64, "1 with this decoder")
        }
    }

    pub(crate) fn write(&self, writer: &mut dyn TensorWriter) {
        writer.matrix("transition", &self.transition);
        writer.matrix("process_noise", &self.process_noise);
        writer.matrix("stationary_covariance", &self.stationary_covariance);
        if let Some(mean) = &self.mean {
            writer.vector("state_mean", mean.as_slice());
        }
    }

    pub(crate) fn read(
        order: usize,
        stationary_source: StationarySource,
        source: &mut Source<'_>,
    ) -> Result<Self, ParametersError> {
        let d = source.dimension;
        let stacked = d * factor("state_order", order)?;
        let state = Self {
            order,
            transition: source.tensors.matrix("transition", d, stacked)?,
            process_noise: source.tensors.matrix("process_noise", d, d)?,
            stationary_covariance: source.tensors.matrix("stationary_covariance", stacked, stacked)?,
            stationary_source,
            mean: source.tensors.optional_vector("state_mean", d)?.map(DVector::from_vec),
        };
        let radius = spectral_radius(&state.transition);
        if radius >= 1.0 {
            return Err(ParametersError::Unstable { radius });
        }
        Ok(state)
    }
}

/// The spectral radius of `z_t = A_1 z_{t-1} + .. + A_p z_{t-p}`, given `[A_1 .. A_p]`: the limit of |C^k|^(1/k) for the
/// companion matrix C, by repeated squaring, which no matrix can keep from ending. NaN entries give NaN.
fn spectral_radius(transition: &DMatrix<f64>) -> f64 {
    const SQUARINGS: i32 = 48;
    let (d, stacked) = transition.shape();
    let mut power = DMatrix::zeros(stacked, stacked);
    power.rows_mut(0, d).copy_from(transition);
    for row in d..stacked {
        power[(row, row - d)] = 1.0;
    }
    let mut log_norm = 0.0;
    for _ in 0..SQUARINGS {
        let norm = power.norm();
        if norm == 0.0 {
            return 0.0;
        }
        power /= norm;
        power = &power * &power;
        log_norm = 2.0 * (log_norm + norm.ln());
    }
    ((log_norm + power.norm().ln()) / 2.0_f64.powi(SQUARINGS)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectral_radii_of_known_matrices_come_out() {
        let radius = |rows: usize, values: &[f64]| {
            spectral_radius(&DMatrix::from_row_slice(rows, values.len() / rows, values))
        };
        assert!((radius(1, &[0.95]) - 0.95).abs() < 1e-12);
        // 0.9 times a rotation
        let (sin, cos) = 0.3_f64.sin_cos();
        assert!((radius(2, &[0.9 * cos, -0.9 * sin, 0.9 * sin, 0.9 * cos]) - 0.9).abs() < 1e-12);
        // not normal: norm far above one, radius 0.5
        assert!((radius(2, &[0.5, 1e6, 0.0, 0.5]) - 0.5).abs() < 1e-9);
        // z_t = 1.2 z_{t-1} - 0.35 z_{t-2} has the roots 0.7 and 0.5
        assert!((radius(1, &[1.2, -0.35]) - 0.7).abs() < 1e-12);
        assert!((radius(1, &[-1.01]) - 1.01).abs() < 1e-12);
        assert!(radius(2, &[0.0; 4]) < f64::MIN_POSITIVE);
        assert!(radius(1, &[f64::NAN]).is_nan());
    }
}
