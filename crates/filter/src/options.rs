//! The options of decoders: each declared once, with its name in text, what it takes, and how that is read.

use serde::{Deserialize, Serialize};

use crate::option_value::{Limit, OptionValue, RunningZScore, spelled};

/// A hyperparameter that fitting chooses from the training rows or that the user gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice<T> {
    /// Chosen from the training rows.
    Auto,
    /// As given.
    Given(T),
}

/// What an option is, for the parser, the help and the documentation alike. Its default depends on the decoder and stands in
/// [`DecoderName::options`](crate::DecoderName::options).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionInfo {
    /// Its name in text.
    pub name: &'static str,
    /// The values that it takes.
    pub values: &'static str,
    /// What a number counts or measures; empty where there is nothing to say.
    pub unit: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Declares the options: field, name in text, unit, what it does, the values that it takes, and the check of what was read.
macro_rules! options {
    ($($field:ident: $type:ty = $name:literal, $unit:literal, $meaning:literal, $values:literal $(, $check:expr)?;)+) => {
        /// The options of a decoder: `None` where nothing was written, so that the default applies.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Options {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] pub $field: Option<$type>,)+
        }

        /// All options, in the order of the canonical text.
        pub const OPTIONS: &[OptionInfo] =
            &[$(OptionInfo { name: $name, values: $values, unit: $unit, meaning: $meaning }),+];

        impl Options {
            /// Reads `value` into the option `name`; the error says what would be right.
            pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
                match name {
                    $($name => {
                        let read = <$type as OptionValue>::read(value)$(.filter(|value| ($check)(value)))?;
                        self.$field = Some(read.ok_or($values)?);
                        Ok(())
                    })+
                    _ => Err("an option that exists"),
                }
            }

            /// The option `name` in text, where it is set.
            pub(crate) fn get(&self, name: &str) -> Option<String> {
                match name {
                    $($name => self.$field.as_ref().map(OptionValue::text),)+
                    _ => None,
                }
            }
        }
    };
}

/// How a cell is spelled.
pub fn cell_text(cell: Cell) -> String {
    cell.text()
}

/// How a form is spelled.
pub fn form_text(form: Form) -> String {
    form.text()
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

/// What kind of conditional covariance a discriminative filter has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoiseKind {
    /// One matrix for all features.
    #[default]
    Constant,
    /// Kernel regression of held-out residual products.
    Kernel,
}

/// Which residuals Q is learnt from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResidualSource {
    /// Of every row, by an f fitted to the other blocks.
    #[default]
    CrossFitted,
    /// Of the last 30 % of the rows, by an f fitted to the first 70 % (thesis 2019, sec. 2.4).
    HeldOut,
}

/// How distances between windows are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelShape {
    /// The same width in every direction.
    #[default]
    Isotropic,
    /// A width of its own for every entry of a window (automatic relevance determination).
    Relevance,
}

/// Whether training points are thinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sparsification {
    /// All points.
    #[default]
    None,
    /// Points averaged by direction of their target (Brandman, Burkhart et al. 2018, sec. 3.2).
    Octants,
}

/// How the kernels of `dkf-mk` are weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelWeights {
    /// All the same (Brandman, Burkhart et al. 2018, eq. 5).
    Equal,
    /// Learnt with the other hyperparameters.
    #[default]
    Learned,
}

/// How networks are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimizer {
    /// Minibatches, with early stopping.
    #[default]
    Adam,
    /// Levenberg-Marquardt with Bayesian regularisation.
    LevenbergMarquardt,
}

/// How the state moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dynamics {
    /// Linearly.
    #[default]
    Linear,
    /// By a network, predicted by its Jacobian.
    Extended,
    /// By a network, predicted by sigma points.
    Unscented,
}

/// Where the intent rests: what a filter falls back to where it hears nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateMean {
    /// At the mean of the training states.
    Training,
    /// At zero.
    Zero,
}

/// What feeds back into a refit Kalman filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feedback {
    /// Nothing.
    #[default]
    None,
    /// The cursor's position of the tick before, known without uncertainty.
    Position,
}

/// How a Kalman filter computes its gain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KalmanUpdate {
    /// Whichever is cheaper for the numbers of features and components.
    #[default]
    Auto,
    /// From the covariance of the innovation, n x n.
    Covariance,
    /// From the information that features carry, d x d.
    Information,
}

spelled!(Form { Standard = "standard", Robust = "robust", Clipped = "clipped", Augmented = "augmented" });
spelled!(Start { First = "first", Prior = "prior" });
spelled!(StationarySource { Training = "training", Lyapunov = "lyapunov" });
spelled!(StateMean { Training = "training", Zero = "zero" });
spelled!(NoiseKind { Constant = "constant", Kernel = "kernel" });
spelled!(ResidualSource { CrossFitted = "cross-fitted", HeldOut = "held-out" });
spelled!(KernelShape { Isotropic = "se", Relevance = "se-ard" });
spelled!(Sparsification { None = "none", Octants = "octants" });
spelled!(KernelWeights { Equal = "equal", Learned = "learned" });
spelled!(Optimizer { Adam = "adam", LevenbergMarquardt = "levenberg-marquardt" });
spelled!(Cell { Gru = "gru", Lstm = "lstm" });
spelled!(Dynamics { Linear = "linear", Extended = "ekf", Unscented = "ukf" });
spelled!(Feedback { None = "none", Position = "position" });
spelled!(KalmanUpdate { Auto = "auto", Covariance = "covariance", Information = "information" });

impl<T: OptionValue> OptionValue for Choice<T> {
    fn read(text: &str) -> Option<Self> {
        if text == "auto" { Some(Self::Auto) } else { T::read(text).map(Self::Given) }
    }

    fn text(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Given(value) => value.text(),
        }
    }
}

impl<T> Choice<T> {
    /// The value given, or `None` where fitting chooses.
    pub fn given(self) -> Option<T> {
        match self {
            Self::Auto => None,
            Self::Given(value) => Some(value),
        }
    }

    fn is<F: FnOnce(&T) -> bool>(&self, check: F) -> bool {
        match self {
            Self::Auto => true,
            Self::Given(value) => check(value),
        }
    }
}

options! {
    lags: Choice<usize> = "lags", "bins",
        "bins in the window, the current one included; `auto` chooses by blocked cross-validation",
        "a whole number from 1 to 100, or `auto`", |lags: &Choice<usize>| lags.is(|lags| (1..=100).contains(lags));
    form: Choice<Form> = "form", "",
        "the measurement update; `auto` chooses on held-out rows",
        "`standard`, `robust`, `clipped`, `augmented` or `auto`";
    noise: Choice<NoiseKind> = "q", "",
        "the conditional covariance Q: one matrix, or one that depends on the features; `auto` chooses on held-out rows",
        "`constant`, `kernel` or `auto`";
    residuals: ResidualSource = "residuals", "",
        "residuals that Q is learnt from: of every row by an f fitted to other blocks, or of the last 30 % by an f fitted to the rest",
        "`cross-fitted` or `held-out`";
    state_order: Choice<usize> = "state-order", "bins",
        "order of the state's autoregression; `auto` chooses on held-out rows",
        "a whole number from 1 to 10, or `auto`", |order: &Choice<usize>| order.is(|order| (1..=10).contains(order));
    stationary: StationarySource = "stationary", "",
        "the state's stationary covariance S: that of the training states, or what the state model implies",
        "`training` or `lyapunov`";
    state_mean: StateMean = "state-mean", "",
        "where the intent rests without features: at the mean of the training states, or at zero",
        "`training` or `zero`";
    start: Start = "start", "",
        "the belief at the first row: what the first measurement says alone, or the stationary distribution updated by it",
        "`first` or `prior`";
    dynamics: Dynamics = "dynamics", "",
        "how the state moves: by a matrix, or by a learnt network, predicted by its Jacobian (`ekf`) or by sigma points (`ukf`)",
        "`linear`, `ekf` or `ukf`";
    direction: Choice<bool> = "direction", "",
        "whether the direction of f is learnt on its own, for components that are one vector in one unit; `auto` where held-out rows say so",
        "`on`, `off` or `auto`";
    intercept: bool = "intercept", "",
        "whether linear models have an intercept; `off` for features and states without a mean, as published Kalman filters assume",
        "`on` or `off`";
    ridge: Choice<f64> = "ridge", "variance of each input",
        "penalty of the regression; `auto` chooses by blocked cross-validation",
        "a number of at least 0, or `auto`", |ridge: &Choice<f64>| ridge.is(|ridge| *ridge >= 0.0);
    degree: usize = "degree", "",
        "degree of the polynomial behind the linear regression",
        "a whole number from 1 to 7", |degree: &usize| (1..=7).contains(degree);
    feedback: Feedback = "feedback", "",
        "what the features may depend on beside the intent: nothing, or the cursor's position of the tick before",
        "`none` or `position`";
    update: KalmanUpdate = "update", "",
        "how the gain is computed: through the features' covariance, through the state's information, or by the cheaper of the two",
        "`auto`, `covariance` or `information`";
    kernel: KernelShape = "kernel", "",
        "squared exponential kernel with one width, or with a width for every entry of the window",
        "`se` or `se-ard`";
    bandwidth: Choice<f64> = "bandwidth", "unit of the features",
        "kernel width; `auto` finds it by leave-one-out, in standard deviations of each feature",
        "`auto` or a number above 0", |width: &Choice<f64>| width.is(|width| *width > 0.0);
    steps: usize = "steps", "",
        "most steps of the search for kernel hyperparameters",
        "a whole number from 0 to 1000", |steps: &usize| *steps <= 1000;
    exact: usize = "exact", "rows",
        "training rows up to which the Gaussian process is exact",
        "a whole number from 10 to 20000", |exact: &usize| (10..=20_000).contains(exact);
    inducing: usize = "inducing", "points",
        "inducing points of the Gaussian process, where it is not exact",
        "a whole number from 10 to 5000", |points: &usize| (10..=5000).contains(points);
    sparsify: Sparsification = "sparsify", "",
        "whether training points are averaged by the direction of their intent",
        "`none` or `octants`";
    weights: KernelWeights = "weights", "",
        "how the kernels are weighted: all the same, or learnt with the other hyperparameters",
        "`equal` or `learned`";
    hidden: usize = "hidden", "units",
        "units of a network's layer", "a whole number from 1 to 512", |hidden: &usize| (1..=512).contains(hidden);
    layers: usize = "layers", "",
        "recurrent layers of a network",
        "a whole number from 1 to 4", |layers: &usize| (1..=4).contains(layers);
    networks: usize = "networks", "",
        "networks whose mean is f",
        "a whole number from 1 to 50", |networks: &usize| (1..=50).contains(networks);
    optimizer: Optimizer = "optimizer", "",
        "how the networks are trained: in minibatches with early stopping, or with Bayesian regularisation",
        "`adam` or `levenberg-marquardt`";
    epochs: usize = "epochs", "",
        "most passes over the training rows (of recurrent networks: all of them)",
        "a whole number from 1 to 10000", |epochs: &usize| (1..=10_000).contains(epochs);
    gradient_noise: f64 = "gradient-noise", "",
        "initial standard deviation of annealed noise on gradients (Neelakantan et al. 2015)",
        "a number of at least 0", |noise: &f64| *noise >= 0.0;
    cell: Cell = "cell", "",
        "the recurrent cell", "`gru` or `lstm`";
    ensemble: bool = "ensemble", "",
        "whether decoders may be combined", "`on` or `off`";
    process_noise: f64 = "process-noise", "",
        "factor on G, the noise of the state's autoregression: above 1 the intent follows features faster, with less smoothing",
        "a number from 0.01 to 1000", |scale: &f64| (0.01..=1e3).contains(scale);
    noise_scale: Choice<f64> = "q-scale", "",
        "factor on Q; `auto` chooses on held-out rows",
        "`auto` or a number above 0", |scale: &Choice<f64>| scale.is(|scale| *scale > 0.0);
    covariance_scale: Choice<f64> = "covariance-scale", "",
        "factor on the published covariance; `auto` measures it on held-out rows",
        "`auto` or a number above 0", |scale: &Choice<f64>| scale.is(|scale| *scale > 0.0);
    running_zscore: RunningZScore = "running-zscore", "seconds",
        "time constant with which mean and scale of each feature follow the signal, from those of the training rows on; `off` keeps those",
        "`off` or a number from 1 to 1000000";
    select: Limit = "select", "features",
        "features that the decoder takes: those of the highest signal-to-noise ratio over the training rows; `off` takes all",
        "`off` or a whole number from 1 to 16384";
    pca: Limit = "pca", "components",
        "principal components of these features over the training rows, which the decoder takes in their place; `off` takes the features",
        "`off` or a whole number from 1 to 16384";
    guard: bool = "guard", "",
        "whether channels are watched for shifts and faults in front of the decoder",
        "`on` or `off`";
}
