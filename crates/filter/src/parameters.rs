//! What fitting produces and the model file holds: plain tensors, one struct per decoder family.
//!
//! d is the number of intent components, p the order of the state's autoregression, n the number of features of one
//! bin, l the number of bins in the window ("lags", the current bin included), m a number of training points. Lagged
//! windows are laid out newest bin first: `[x_t, x_{t-1}, .., x_{t-l+1}]`.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use crate::CovarianceScale;

/// The tensors of a fitted decoder.
#[expect(
    clippy::large_enum_variant,
    reason = "a handful exist at a time, and matching through boxes is harder to read"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Parameters {
    /// `kalman`: a Kalman filter with a gain computed in every step.
    Kalman(KalmanParameters),
    /// `kalman-steady`: the same model, run with the gain it converges to.
    KalmanSteady(KalmanParameters),
    /// `wiener`: linear regression on a window of bins, without a state model.
    Wiener(WienerParameters),
    /// `wiener-cascade`: a polynomial of each component after the regression.
    WienerCascade(WienerCascadeParameters),
    /// `ole`: the optimal linear estimate from one bin (l = 1) under a linear model of the features.
    Ole(WienerParameters),
    /// `refit-kalman`: a Kalman filter fitted anew to intentions turned toward the targets.
    RefitKalman(RefitKalmanParameters),
    /// `ekf` and `ukf`: Kalman filters with a network as model of the features.
    NonlinearKalman(NonlinearKalmanParameters),
    /// `dkf-linear`, `dkf-nw`, `dkf-gp`, `dkf-mk`, `dkf-nn`, `dkf-gru`, `auto`: the discriminative Kalman filter.
    Dkf(DkfParameters),
}

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
    /// Features at the intent's mean, n; zeros without intercept.
    pub observation_offset: DVector<f64>,
    /// R, n x n, positive definite.
    pub observation_noise: DMatrix<f64>,
    /// The belief at row one.
    pub start: Start,
    /// Factor on the published covariance; the filter itself never sees it.
    pub covariance_scale: CovarianceScale,
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
    /// Factor on the covariance that is published with a bin that has features.
    pub covariance_scale: CovarianceScale,
}

/// A Wiener filter whose every component y passes through a polynomial, `z = c_0 + c_1 y + c_2 y^2 + ..`.
#[derive(Clone, Debug, PartialEq)]
pub struct WienerCascadeParameters {
    /// The regression; its `residual_covariance` is that of the polynomials' outputs.
    pub wiener: WienerParameters,
    /// Coefficients, d x (degree + 1), the constant first.
    pub polynomial: DMatrix<f64>,
    /// Least and greatest y of each component over the training rows, d x 2: inputs are limited to them, since a
    /// polynomial runs away outside.
    pub range: DMatrix<f64>,
}

/// A Kalman filter after a refit; with position feedback, `x_t = H z_t + F (p_{t-1} - c) + offset + noise`, where the
/// cursor position p of the tick before is known without uncertainty and c = (0.5, 0.5), both in workspace widths.
#[derive(Clone, Debug, PartialEq)]
pub struct RefitKalmanParameters {
    /// The filter.
    pub kalman: KalmanParameters,
    /// F, n x 2, where position feeds back.
    pub feedback: Option<DMatrix<f64>>,
}

/// How a filter moves a Gaussian through a function that is not linear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linearization {
    /// By the Jacobian at the mean (extended Kalman filter).
    #[default]
    Extended,
    /// By sigma points (unscented Kalman filter).
    Unscented,
}

/// `x_t = g(z_t) + noise`, noise ~ N(0, R), g a network.
#[derive(Clone, Debug, PartialEq)]
pub struct NonlinearKalmanParameters {
    /// How the intent moves.
    pub state: StateModel,
    /// g: d in, n out.
    pub observation: TanhNetwork,
    /// R, n x n, positive definite.
    pub observation_noise: DMatrix<f64>,
    /// How the measurement reaches the belief.
    pub linearization: Linearization,
    /// Factor on the published covariance; the filter itself never sees it.
    pub covariance_scale: CovarianceScale,
}

/// A network with one hidden layer of tanh units:
/// `output_weights tanh(hidden_weights x + hidden_bias) + output_bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct TanhNetwork {
    /// h x inputs.
    pub hidden_weights: DMatrix<f64>,
    /// h.
    pub hidden_bias: DVector<f64>,
    /// outputs x h.
    pub output_weights: DMatrix<f64>,
    /// outputs.
    pub output_bias: DVector<f64>,
}

/// The cell of a recurrent network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Gated recurrent unit (Cho et al. 2014), gates reset, update, new.
    #[default]
    Gru,
    /// Long short-term memory (Hochreiter and Schmidhuber 1997), gates input, forget, cell, output.
    Lstm,
}

/// One layer of a recurrent network with h units and g gates (3 of a GRU, 4 of an LSTM), gate after gate, `s` the
/// logistic function:
///
/// ```text
/// GRU    r = s(W_r x + b_r + U_r h + c_r)    u = s(W_u x + b_u + U_u h + c_u)
///        n = tanh(W_n x + b_n + r (U_n h + c_n))              h' = (1 - u) n + u h
/// LSTM   i, f, o = s(W x + b + U h + c)      k' = f k + i tanh(W_k x + b_k + U_k h + c_k)      h' = o tanh(k')
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentLayer {
    /// W, (g h) x inputs.
    pub input_weights: DMatrix<f64>,
    /// b, g h.
    pub input_bias: DVector<f64>,
    /// U, (g h) x h.
    pub recurrent_weights: DMatrix<f64>,
    /// c, g h.
    pub recurrent_bias: DVector<f64>,
}

/// Recurrent layers, each the input of the next, and a linear read-out of the last.
#[derive(Clone, Debug, PartialEq)]
pub struct RecurrentNetwork {
    /// At least one.
    pub layers: Vec<RecurrentLayer>,
    /// outputs x h.
    pub output_weights: DMatrix<f64>,
    /// outputs.
    pub output_bias: DVector<f64>,
}

/// `z_t = g(z_{t-1}) + noise` in place of a linear state model (thesis 2019, sec. 2.10): the filter predicts with g and
/// measures with f and Q.
#[derive(Clone, Debug, PartialEq)]
pub struct NonlinearDynamics {
    /// g: d in, d out.
    pub network: TanhNetwork,
    /// How a prediction is made.
    pub linearization: Linearization,
}

/// `z_t | x_t ~ N(f(x_t), Q(x_t))` joined with a state model.
#[derive(Clone, Debug, PartialEq)]
pub struct DkfParameters {
    /// How the intent moves.
    pub state: StateModel,
    /// Replaces the transition of `state` (of order 1) where given; its process noise is G.
    pub dynamics: Option<NonlinearDynamics>,
    /// The measurement update.
    pub form: Form,
    /// The belief at row one.
    pub start: Start,
    /// Bins in the window l >= 1, the current one included.
    pub lags: usize,
    /// f.
    pub regressor: Regressor,
    /// Whether the regressor has twice d outputs, f having the length of the first d and the direction of the others.
    pub direction: bool,
    /// Q, before [`noise_scale`](Self::noise_scale).
    pub noise: Noise,
    /// Factor on Q: sets the gain.
    pub noise_scale: f64,
    /// Factor on the published covariance; the filter itself never sees it.
    pub covariance_scale: CovarianceScale,
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
    /// Mean of a Gaussian process with a squared exponential kernel:
    /// `f(x) = offset + sum_i c_i exp(-|(x - x_i) * scales|^2 / 2)`.
    GaussianProcess {
        /// Training windows or inducing points `x_i`, m x (n l).
        points: DMatrix<f64>,
        /// `c_i`, m x d (signal variance included).
        coefficients: DMatrix<f64>,
        /// One over the length scale of each entry of a window, n l.
        scales: Vec<f64>,
        /// d.
        offset: DVector<f64>,
    },
    /// Mean of a Gaussian process whose kernel is a weighted mean of one-dimensional Gaussians, so that no channel's
    /// influence can exceed its bound: `f(x) = offset + sum_j weights_j sum_i c_ij exp(-((x_j - x_ij) scales_j)^2 / 2)`.
    MultipleKernel {
        /// Training windows `x_i`, or inducing points of each kernel one under the other, m x (n l).
        points: DMatrix<f64>,
        /// `c_i`, m x d, where kernels share them, as exact Gaussian processes do; else `c_ij`, (n l m) x d, the rows of
        /// entry j from j m on. The signal's variance is part of them.
        coefficients: DMatrix<f64>,
        /// One over the length scale of each entry of a window, n l.
        scales: Vec<f64>,
        /// The weight of each entry's kernel, n l, >= 0.
        weights: Vec<f64>,
        /// d.
        offset: DVector<f64>,
        /// One more kernel, over the whole window; what it gives is added.
        joint: Option<Box<JointKernel>>,
    },
    /// Mean of networks: `f(x) = output_scale * mean_k g_k((x - input_mean) * input_scale)`.
    Networks {
        /// n l.
        input_mean: Vec<f64>,
        /// n l.
        input_scale: Vec<f64>,
        /// Factor of each output, d.
        output_scale: Vec<f64>,
        /// At least one.
        networks: Vec<TanhNetwork>,
    },
    /// Mean of recurrent networks that step once a bin; `f` as for [`Networks`](Self::Networks), and what the layers
    /// remember starts at zero at row one.
    Recurrent {
        /// The cell of every layer.
        cell: Cell,
        /// n l.
        input_mean: Vec<f64>,
        /// n l.
        input_scale: Vec<f64>,
        /// Factor of each output, d.
        output_scale: Vec<f64>,
        /// At least one.
        networks: Vec<RecurrentNetwork>,
    },
    /// `f(x) = sum_k weights_k f_k(x)`, each member over the newest bins that it wants.
    Ensemble {
        /// At least one.
        members: Vec<EnsembleMember>,
    },
}

/// A squared exponential kernel beside one-dimensional ones: `sum_i c_i exp(-|(x - x_i) * scales|^2 / 2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct JointKernel {
    /// Inducing points `x_i`, m x (n l).
    pub points: DMatrix<f64>,
    /// `c_i`, m x d (signal variance included).
    pub coefficients: DMatrix<f64>,
    /// One over the length scale of each entry of a window, n l.
    pub scales: Vec<f64>,
}

/// A member of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleMember {
    /// What it is called in reports: the decoder with its options.
    pub name: String,
    /// Newest bins of the window that it takes, 1..=l.
    pub lags: usize,
    /// f of the member; not an ensemble itself.
    pub regressor: Regressor,
    /// Its weight, d x d.
    pub weight: DMatrix<f64>,
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
            Self::Wiener(wiener) | Self::Ole(wiener) => wiener.weights.nrows(),
            Self::WienerCascade(cascade) => cascade.wiener.weights.nrows(),
            Self::RefitKalman(refit) => refit.kalman.state.dimension(),
            Self::NonlinearKalman(nonlinear) => nonlinear.state.dimension(),
            Self::Dkf(dkf) => dkf.state.dimension(),
        }
    }

    /// Features n of one bin, before lags.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => kalman.observation.nrows(),
            Self::Wiener(wiener) | Self::Ole(wiener) => wiener.weights.ncols() / wiener.lags.max(1),
            Self::WienerCascade(cascade) => cascade.wiener.weights.ncols() / cascade.wiener.lags.max(1),
            Self::RefitKalman(refit) => refit.kalman.observation.nrows(),
            Self::NonlinearKalman(nonlinear) => nonlinear.observation.output_bias.len(),
            Self::Dkf(dkf) => dkf.regressor.inputs() / dkf.lags.max(1),
        }
    }

    /// The state model, where the decoder has one.
    #[must_use]
    pub fn state_model(&self) -> Option<&StateModel> {
        match self {
            Self::Kalman(kalman) | Self::KalmanSteady(kalman) => Some(&kalman.state),
            Self::Wiener(_) | Self::WienerCascade(_) | Self::Ole(_) => None,
            Self::RefitKalman(refit) => Some(&refit.kalman.state),
            Self::NonlinearKalman(nonlinear) => Some(&nonlinear.state),
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
            Self::NadarayaWatson { points, .. }
            | Self::GaussianProcess { points, .. }
            | Self::MultipleKernel { points, .. } => points.ncols(),
            Self::Linear { weights, .. } => weights.ncols(),
            Self::Networks { input_mean, .. } | Self::Recurrent { input_mean, .. } => input_mean.len(),
            // members take parts of the window; the longest takes all of it
            Self::Ensemble { members } => {
                members.iter().map(|member| member.regressor.inputs()).max().unwrap_or_default()
            }
        }
    }
}
