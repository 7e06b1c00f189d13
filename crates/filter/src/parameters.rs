//! What fitting produces and the model file holds: plain tensors, one struct per decoder family.
//!
//! d is the number of intent components, p the order of the state's autoregression, n the number of features of one
//! bin, l the number of bins in the window ("lags", the current bin included), m a number of training points. Lagged
//! windows are laid out newest bin first: `[x_t, x_{t-1}, .., x_{t-l+1}]`.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

/// The tensors of a fitted decoder.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameters {
    /// `kalman`: a Kalman filter with a gain computed in every step.
    Kalman(KalmanParameters),
    /// `kalman-steady`: the same model, run with the gain it converges to.
    KalmanSteady(KalmanParameters),
    /// `wiener`: linear regression on a window of bins, without a state model.
    Wiener(WienerParameters),
    /// `dkf-linear` and `dkf-nw`: the discriminative Kalman filter.
    Dkf(DkfParameters),
}

/// How the intent moves by itself: `z_t = A_1 z_{t-1} + .. + A_p z_{t-p} + noise`, noise ~ N(0, G).
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
}

/// Where a stationary covariance comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StationarySource {
    /// Second moment of the training states.
    #[default]
    Training,
    /// Solution of the Lyapunov equation `S = A S A' + G`.
    Lyapunov,
}

/// What a filter believes at row one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// What the first measurement says alone (the DKF authors' code).
    #[default]
    First,
    /// The stationary distribution N(0, S), updated by the first measurement.
    Prior,
}

/// The discriminative Kalman filter's measurement update (Burkhart et al., Neural Computation 2020, eq. 2.7, and
/// variants of it where `Q^-1 - S^-1` is not positive definite).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Precision `Q^-1 + M^-1 - S^-1`; a step where `Q^-1 - S^-1` is not positive definite takes the robust form.
    #[default]
    Standard,
    /// Precision `Q^-1 + M^-1`.
    Robust,
    /// Standard, with the generalised eigenvalues of (Q, S) clipped at 1 - 1e-3.
    Clipped,
    /// Standard; where it does not apply Q becomes `(Q^-1 + S^-1)^-1` (the authors' published code).
    Augmented,
}

/// A linear Gaussian model of the features: `x_t = H z_t + offset + noise`, noise ~ N(0, R).
#[derive(Clone, Debug, PartialEq)]
pub struct KalmanParameters {
    /// How the intent moves.
    pub state: StateModel,
    /// H, n x d.
    pub observation: DMatrix<f64>,
    /// Features at intent zero, n; zeros without intercept.
    pub observation_offset: DVector<f64>,
    /// R, n x n, positive definite.
    pub observation_noise: DMatrix<f64>,
    /// The belief at row one.
    pub start: Start,
}

/// `z_t = W [x_t, .., x_{t-l+1}] + intercept`.
#[derive(Clone, Debug, PartialEq)]
pub struct WienerParameters {
    /// Bins in the window l >= 1, the current one included.
    pub lags: usize,
    /// W, d x (n l).
    pub weights: DMatrix<f64>,
    /// Intercept, d.
    pub intercept: DVector<f64>,
    /// Covariance of held-out residuals, d x d: what is published with every measured bin.
    pub residual_covariance: DMatrix<f64>,
    /// Covariance of the training states about their mean, d x d: what is published with a bin without features.
    pub state_covariance: DMatrix<f64>,
}

/// `z_t | x_t ~ N(f(x_t), Q(x_t))` joined with a state model.
#[derive(Clone, Debug, PartialEq)]
pub struct DkfParameters {
    /// How the intent moves.
    pub state: StateModel,
    /// The measurement update.
    pub form: Form,
    /// The belief at row one.
    pub start: Start,
    /// Bins in the window l >= 1, the current one included.
    pub lags: usize,
    /// f.
    pub regressor: Regressor,
    /// Q, before [`noise_scale`](Self::noise_scale).
    pub noise: Noise,
    /// Factor on Q: sets the gain.
    pub noise_scale: f64,
    /// Factor on the published covariance; the filter itself never sees it.
    pub covariance_scale: f64,
}

/// The conditional mean f of a discriminative filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Regressor {
    /// `f(x) = sum_i z_i k_i / sum_i k_i`, `k_i = exp(-|(x - x_i) * scales|^2 / (2 bandwidth^2))`.
    NadarayaWatson {
        /// Windows `x_i`, m x (n l).
        points: DMatrix<f64>,
        /// Intents `z_i`, m x d.
        values: DMatrix<f64>,
        /// Kernel width > 0, in scaled features.
        bandwidth: f64,
        /// Factor of each entry of a window, n l; `None` for ones.
        scales: Option<Vec<f64>>,
    },
    /// `f(x) = weights x + intercept`.
    Linear {
        /// d x (n l).
        weights: DMatrix<f64>,
        /// d.
        intercept: DVector<f64>,
    },
}

/// The conditional covariance Q of a discriminative filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Noise {
    /// One matrix for all features.
    Constant {
        /// Q, d x d.
        covariance: DMatrix<f64>,
    },
    /// Kernel regression of held-out residual products, shrunk to a constant where few points speak:
    /// `Q(x) = (e K(x) + prior_samples * prior_covariance) / (e + prior_samples)`, with
    /// `K(x) = sum_i r_i r_i' k_i / sum_i k_i` and `e = (sum k_i)^2 / sum k_i^2`, `k_i` as in the regressor.
    Kernel {
        /// Windows `x_i`, m x (n l).
        points: DMatrix<f64>,
        /// Lower triangles of `r_i r_i'`, row by row, m x d(d+1)/2.
        residual_products: DMatrix<f64>,
        /// Kernel width > 0, in scaled features.
        bandwidth: f64,
        /// Factor of each entry of a window, n l; `None` for ones.
        scales: Option<Vec<f64>>,
        /// The covariance far from all data, d x d.
        prior_covariance: DMatrix<f64>,
        /// How many points the prior is worth, >= 0.
        prior_samples: f64,
    },
}

impl Parameters {
    /// Intent components d.
    #[must_use]
    pub fn dimension(&self) -> usize {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => kalman.state.dimension(),
            Self::Wiener(wiener) => wiener.weights.nrows(),
            Self::Dkf(dkf) => dkf.state.dimension(),
        }
    }

    /// Features n of one bin, before lags.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => kalman.observation.nrows(),
            Self::Wiener(wiener) => wiener.weights.ncols() / wiener.lags.max(1),
            Self::Dkf(dkf) => dkf.regressor.inputs() / dkf.lags.max(1),
        }
    }

    /// The state model, where the decoder has one.
    #[must_use]
    pub fn state_model(&self) -> Option<&StateModel> {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => Some(&kalman.state),
            Self::Wiener(_) => None,
            Self::Dkf(dkf) => Some(&dkf.state),
        }
    }
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
}

impl Regressor {
    /// Length n l of the window it takes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::NadarayaWatson { points, .. } => points.ncols(),
            Self::Linear { weights, .. } => weights.ncols(),
        }
    }
}
