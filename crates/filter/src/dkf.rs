//! `dkf-linear`, `dkf-nw`, `dkf-gp`, `dkf-mk`, `dkf-nn`, `dkf-gru`, `auto`: the discriminative Kalman filter (Burkhart et al., Neural Computation 2020; Burkhart, thesis,
//! 2019).
//!
//! Model: `z_t | z_{t-1} ~ N(A z_{t-1}, G)`, stationary with covariance S, and `z_t | x_t ~ N(f(x_t), Q(x_t))`. One step
//! with a window of features `w = [x_t, .., x_{t-l+1}]`, exactly:
//!
//! ```text
//! f = f(w)    Q = noise_scale * Q(w)                    (see Regressor and Noise for the two functions)
//! M = A Sigma A' + G
//! Sigma' = (J + M^-1)^-1    mu' = A mu + Sigma' (h - J A mu)      J, h from f, Q, S by the form (see Form)
//! published: mean mu', covariance c(mu') Sigma'               (see CovarianceScale)
//! ```
//!
//! Row one: `first` takes `mu = f`, `Sigma = Q` (the authors' code); `prior` updates N(0, S) by f and Q. Without
//! features: `mu = A mu`, `Sigma = M`, and the bin enters the window as the background. An order p > 1 stacks p states
//! in companion form; f and Q speak of the newest, and row one gives the older ones their stationary distribution given
//! the newest. With `dynamics` the prediction is that of an extended or unscented Kalman filter through a network. Cost:
//! that of f and Q, n l d multiplications (linear) or m (n l + a constant) for m points, and d^3.

use kalmind_types::{Intent, MAX_COMPONENTS};
use nalgebra::DMatrix;

use crate::build::{Measurement, StateFilter, state_filter};
use crate::cholesky::Cholesky;
use crate::dynamics::movement;
use crate::regression::ConditionalModel;
use crate::wiener::triangle;
use crate::window::Window;
use crate::{CovarianceScale, Decoder, DkfParameters, FilterState, ModelError, Noise, StepReport};

/// See the module.
#[derive(Debug)]
pub(crate) struct DkfDecoder {
    dimension: usize,
    window: Window,
    conditional: ConditionalModel,
    filter: Box<dyn StateFilter>,
    calibration: Calibration,
    unfiltered: [f64; MAX_COMPONENTS],
    started: bool,
}

impl DkfDecoder {
    pub(crate) fn new(dkf: &DkfParameters, background: &[f64]) -> Result<Self, ModelError> {
        let mut filter =
            state_filter(&dkf.state, movement(dkf.dynamics.as_ref()), Some(dkf.form), dkf.start)?;
        if let Noise::Constant { covariance } = &dkf.noise
            && !filter.set_noise(&triangle(&(covariance * dkf.noise_scale)))
        {
            return Err(ModelError::NotPositive { tensor: "noise_covariance", strict: true });
        }
        Ok(Self {
            dimension: dkf.state.dimension(),
            window: Window::new(background, dkf.lags),
            conditional: ConditionalModel::new(dkf),
            filter,
            calibration: Calibration::new(&dkf.covariance_scale, &dkf.state.marginal_covariance())?,
            unfiltered: [0.0; MAX_COMPONENTS],
            started: false,
        })
    }
}

impl Decoder for DkfDecoder {
    fn features(&self) -> usize {
        self.window.features()
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn restart(&mut self) {
        self.window.clear();
        self.conditional.restart();
        self.filter.restart();
        self.started = false;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        if !self.window.push(features) {
            self.conditional.miss();
            let report = self.filter.step(None, intent);
            if report.valid {
                self.calibration.scale(intent);
            }
            return StepReport { fallback: features.is_some(), ..report };
        }
        let conditional = self.conditional.condition(self.window.values());
        let d = self.dimension;
        self.unfiltered = conditional.mean;
        self.started = true;
        let measurement = Measurement::Conditional {
            mean: &conditional.mean[..d],
            covariance: conditional.covariance.as_ref().map(|triangle| &triangle[..d * (d + 1) / 2]),
        };
        let report = self.filter.step(Some(measurement), intent);
        if report.valid {
            self.calibration.scale(intent);
        }
        StepReport { effective_samples: conditional.effective_samples, ..report }
    }

    fn unfiltered(&self) -> Option<&[f64]> {
        self.started.then(|| &self.unfiltered[..self.dimension])
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.filter.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.filter.adopt(state)
    }
}

/// A [`CovarianceScale`] at work.
#[derive(Clone, Debug)]
pub(crate) struct Calibration {
    dimension: usize,
    /// S^-1, row-major.
    marginal_inverse: Vec<f64>,
    sizes: Vec<f64>,
    factors: Vec<f64>,
}

impl Calibration {
    pub(crate) fn new(scale: &CovarianceScale, marginal: &DMatrix<f64>) -> Result<Self, ModelError> {
        let d = marginal.nrows();
        let factor = Cholesky::new(marginal, 0.0).map_err(|_column| ModelError::NotPositive {
            tensor: "stationary_covariance (newest block)",
            strict: true,
        })?;
        Ok(Self {
            dimension: d,
            marginal_inverse: factor.solve_columns(&DMatrix::identity(d, d)).transpose().as_slice().to_vec(),
            sizes: scale.sizes.clone(),
            factors: scale.factors.clone(),
        })
    }

    /// `sqrt(mu' S^-1 mu / d)`.
    pub(crate) fn size(&self, mean: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (row, value) in self.marginal_inverse.chunks_exact(self.dimension).zip(mean) {
            sum += value * row.iter().zip(mean).map(|(entry, value)| entry * value).sum::<f64>();
        }
        (sum.max(0.0) / self.dimension as f64).sqrt()
    }

    /// The factor for a mean of this size.
    pub(crate) fn factor(&self, size: f64) -> f64 {
        let above = self.sizes.iter().take_while(|knot| **knot < size).count();
        let (Some(left), Some(right)) = (above.checked_sub(1), (above < self.sizes.len()).then_some(above))
        else {
            // before the first knot or after the last
            return self.factors.get(above.min(self.sizes.len().saturating_sub(1))).copied().unwrap_or(1.0);
        };
        let share = (size - self.sizes[left]) / (self.sizes[right] - self.sizes[left]);
        self.factors[left] + share * (self.factors[right] - self.factors[left])
    }

    /// Scales the covariance of an intent by the factor of its mean. Real-time.
    pub(crate) fn scale(&self, intent: &mut Intent) {
        let factor = self.factor(self.size(intent.mean()));
        for entry in intent.covariance_mut() {
            *entry *= factor;
        }
    }
}
