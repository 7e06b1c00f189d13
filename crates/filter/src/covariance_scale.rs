//! The factor on the covariance that a decoder publishes, and whether that covariance says anything.

use kalmind_types::CovarianceKind;
use nalgebra::DMatrix;

use crate::{Noise, Parameters};

/// The factor between what the filter believes and the covariance that is published, so that its ellipsoids hold what
/// they say. How far a filter errs depends on what is going on, so its logarithm is a linear function (Harvey 1976) of
/// the published mean's size, of what the newest measurement said that the filter did not follow, and of the features:
///
/// ```text
/// log c = bias + size a + size_squared a^2 + surprise b + window' w          within limits
/// a = log(sqrt(mu' S^-1 mu / d) + 0.05)    b = log(sqrt((f - mu)' S^-1 (f - mu) / d) + 0.01)
/// ```
///
/// S is the covariance of one state; f the measurement of a discriminative filter and, of the other decoders, the mean of the
/// bin before. A bin without features keeps the factor of the one before; of a decoder without a state model, whose
/// covariance is then that of the states, it has none.
#[derive(Clone, Debug, PartialEq)]
pub struct CovarianceScale {
    /// log c where the others are zero.
    pub bias: f64,
    /// Of a.
    pub size: f64,
    /// Of a squared.
    pub size_squared: f64,
    /// Of b.
    pub surprise: f64,
    /// Of each entry of w, the newest k bins as the decoder sees them, n k values; k may be 0 or more than l.
    pub window: Vec<f64>,
    /// The least and the greatest log c.
    pub limits: [f64; 2],
}

impl CovarianceScale {
    /// The same factor > 0 everywhere.
    #[must_use]
    pub fn constant(factor: f64) -> Self {
        let bias = libm::log(factor);
        Self { bias, size: 0.0, size_squared: 0.0, surprise: 0.0, window: Vec::new(), limits: [bias; 2] }
    }

    /// Whether the factor depends on anything.
    #[must_use]
    pub fn varies(&self) -> bool {
        let [least, greatest] = self.limits;
        let coefficients = [self.size, self.size_squared, self.surprise];
        least < greatest && coefficients.iter().chain(&self.window).any(|coefficient| *coefficient != 0.0)
    }

    /// Whether the factor is one, so that nothing has to be done.
    pub(crate) fn is_one(&self) -> bool {
        self == &Self::constant(1.0)
    }
}

impl Parameters {
    /// The factor on the published covariance.
    #[must_use]
    pub fn covariance_scale(&self) -> &CovarianceScale {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => &kalman.covariance_scale,
            Self::Wiener(wiener) | Self::Ole(wiener) => &wiener.covariance_scale,
            Self::WienerCascade(cascade) => &cascade.wiener.covariance_scale,
            Self::RefitKalman(refit) => &refit.kalman.covariance_scale,
            Self::NonlinearKalman(nonlinear) => &nonlinear.covariance_scale,
            Self::Dkf(dkf) => &dkf.covariance_scale,
        }
    }

    /// The factor on the published covariance, to be written.
    pub fn covariance_scale_mut(&mut self) -> &mut CovarianceScale {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => &mut kalman.covariance_scale,
            Self::Wiener(wiener) | Self::Ole(wiener) => &mut wiener.covariance_scale,
            Self::WienerCascade(cascade) => &mut cascade.wiener.covariance_scale,
            Self::RefitKalman(refit) => &mut refit.kalman.covariance_scale,
            Self::NonlinearKalman(nonlinear) => &mut nonlinear.covariance_scale,
            Self::Dkf(dkf) => &mut dkf.covariance_scale,
        }
    }

    /// S, the d x d covariance of one state.
    #[must_use]
    pub fn marginal_covariance(&self) -> DMatrix<f64> {
        match self {
            Self::Wiener(wiener) | Self::Ole(wiener) => wiener.state_covariance.clone(),
            Self::WienerCascade(cascade) => cascade.wiener.state_covariance.clone(),
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => kalman.state.marginal_covariance(),
            Self::RefitKalman(refit) => refit.kalman.state.marginal_covariance(),
            Self::NonlinearKalman(nonlinear) => nonlinear.state.marginal_covariance(),
            Self::Dkf(dkf) => dkf.state.marginal_covariance(),
        }
    }

    /// Whether the published covariance depends on the features or the state.
    ///
    /// That of a linear filter with a constant Q or R follows from its tensors alone. It depends on more where the factor on
    /// it does, where Q is a kernel regression, and where the state passes through a network, which bends it.
    #[must_use]
    pub fn covariance(&self) -> CovarianceKind {
        let of_filter = match self {
            Self::NonlinearKalman(_) => true,
            Self::Dkf(dkf) => dkf.dynamics.is_some() || matches!(dkf.noise, Noise::Kernel { .. }),
            Self::Kalman(_)
            | Self::KalmanSteady(_)
            | Self::RefitKalman(_)
            | Self::Wiener(_)
            | Self::WienerCascade(_)
            | Self::Ole(_) => false,
        };
        if of_filter || self.covariance_scale().varies() {
            CovarianceKind::Varying
        } else {
            CovarianceKind::Constant
        }
    }
}
