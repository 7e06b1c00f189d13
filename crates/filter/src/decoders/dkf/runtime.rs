//! `dkf-linear`, `dkf-nw`, `dkf-gp`, `dkf-mk`, `dkf-nn`, `dkf-gru`, `auto`: the discriminative Kalman filter (Burkhart
//! et al., Neural Computation 2020; Burkhart, thesis, 2019).
//!
//! Model: `z_t | z_{t-1} ~ N(A z_{t-1}, G)`, stationary with covariance S, and `z_t | x_t ~ N(f(x_t), Q(x_t))`. One step
//! with a window of features `w = [x_t, .., x_{t-l+1}]`, exactly:
//!
//! ```text
//! f = f(w)    Q = noise_scale * Q(w)                    (see Regressor and Noise for the two functions)
//! M = A Sigma A' + G
//! Sigma' = (J + M^-1)^-1    mu' = A mu + Sigma' (h - J A mu)      J, h from f, Q, S by the form (see Form)
//! published: mean mu', covariance c Sigma'                    (see CovarianceScale)
//! ```
//!
//! Row one: `first` takes `mu = f`, `Sigma = Q` (the authors' code); `prior` updates N(0, S) by f and Q. Without
//! features: `mu = A mu`, `Sigma = M`, and the bin enters the window as the background. An order p > 1 stacks p states
//! in companion form; f and Q speak of the newest, and row one gives the older ones their stationary distribution given
//! the newest. With `dynamics` the prediction is that of an extended or unscented Kalman filter through a network. Cost:
//! that of f and Q, n l d multiplications (linear) or m (n l + a constant) for m points, and d^3.

use kalmind_types::{Intent, MAX_COMPONENTS};

use super::conditional::ConditionalModel;
use crate::dynamics::movement;
use crate::published_covariance::PublishedCovariance;
use crate::small_matrix::triangle;
use crate::state_filter::{Measurement, StateFilter, state_filter};
use crate::window::Window;
use crate::{Decoder, DkfParameters, FilterState, KernelPath, LookBack, ModelError, Noise, StepReport};

/// See the module.
#[derive(Debug)]
pub(crate) struct DkfDecoder {
    dimension: usize,
    order: usize,
    /// The longer of the regressor's window and that of the published covariance.
    window: Window,
    /// Values of the window that f and Q take.
    inputs: usize,
    conditional: ConditionalModel,
    filter: Box<dyn StateFilter>,
    published: PublishedCovariance,
    unfiltered: [f64; MAX_COMPONENTS],
    started: bool,
}

impl DkfDecoder {
    pub(crate) fn new(dkf: &DkfParameters, background: &[f64], path: KernelPath) -> Result<Self, ModelError> {
        let mut filter =
            state_filter(&dkf.state, movement(dkf.dynamics.as_ref()), Some(dkf.form), dkf.start)?;
        if let Noise::Constant { covariance } = &dkf.noise
            && !filter.set_noise(&triangle(&(covariance * dkf.noise_scale)))
        {
            return Err(ModelError::NotPositive { tensor: "noise_covariance", strict: true });
        }
        let n = background.len();
        Ok(Self {
            dimension: dkf.state.dimension(),
            order: dkf.state.order,
            window: Window::new(background, dkf.lags.max(dkf.covariance_scale.window.len() / n)),
            inputs: n * dkf.lags,
            conditional: ConditionalModel::new(dkf, path),
            filter,
            published: PublishedCovariance::new(&dkf.covariance_scale, &dkf.state.marginal_covariance())?,
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
        self.published.restart();
        self.started = false;
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        if !self.window.push(features) {
            self.conditional.miss();
            let report = self.filter.step(None, intent);
            if report.valid {
                self.published.scale_again(intent);
            }
            return StepReport { fallback: features.is_some(), unused: features.is_some(), ..report };
        }
        let conditional = self.conditional.condition(&self.window.values()[..self.inputs]);
        let d = self.dimension;
        self.unfiltered = conditional.mean;
        self.started = true;
        let measurement = Measurement::Conditional {
            mean: &conditional.mean[..d],
            covariance: conditional.covariance.as_ref().map(|triangle| &triangle[..d * (d + 1) / 2]),
        };
        let report = self.filter.step(Some(measurement), intent);
        if report.valid {
            self.published.scale(&conditional.mean[..d], self.window.values(), intent);
        }
        StepReport { effective_samples: conditional.effective_samples, ..report }
    }

    fn look_back(&self) -> LookBack {
        LookBack { bins: self.window.bins().max(self.order), fades: true }
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
