//! The options of decoders: each declared once, with its name in text, what it takes, and how that is read.

use crate::parameters::{Cell, Form, Start, StationarySource};

/// A hyperparameter that fitting chooses from the training rows or that the user gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice<T> {
    /// Chosen from the training rows.
    Auto,
    /// As given.
    Given(T),
}

/// A value that an option can take, in text and out of it.
trait OptionValue: Sized {
    fn read(text: &str) -> Option<Self>;
    fn text(&self) -> String;
}

/// Declares how the values of an enumeration are spelled.
macro_rules! spelled {
    ($type:ty { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl OptionValue for $type {
            fn read(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
            fn text(&self) -> String {
                match self { $(Self::$variant => $text,)+ }.to_owned()
            }
        }
    };
}

/// Declares the options: field, name in text, what would be right, and the check of what was read.
macro_rules! options {
    ($($(#[$documentation:meta])* $field:ident: $type:ty = $name:literal, $expected:literal $(, $check:expr)?;)+) => {
        /// The options of a decoder: `None` where nothing was written, so that the default applies.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct Options {
            $($(#[$documentation])* pub $field: Option<$type>,)+
        }

        /// All names, in the order of the canonical text.
        pub(crate) const OPTION_NAMES: &[&str] = &[$($name),+];

        impl Options {
            /// Reads `value` into the option `name`; the error says what would be right.
            pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
                match name {
                    $($name => {
                        let read = <$type as OptionValue>::read(value)$(.filter(|value| ($check)(value)))?;
                        self.$field = Some(read.ok_or($expected)?);
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
pub(crate) fn cell_text(cell: Cell) -> String {
    cell.text()
}

/// How a form is spelled.
pub(crate) fn form_text(form: Form) -> String {
    form.text()
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

impl OptionValue for bool {
    fn read(text: &str) -> Option<Self> {
        match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    fn text(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

impl OptionValue for usize {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl OptionValue for f64 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite())
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

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
    pub(crate) fn given(self) -> Option<T> {
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
    /// `lags`: bins in the window, the current one included; `auto` chooses by blocked cross-validation. Default 1
    /// (`wiener` 9).
    lags: Choice<usize> = "lags", "a whole number from 1 to 100, or `auto`", |lags: &Choice<usize>| lags.is(|lags| (1..=100).contains(lags));
    /// `form`: the measurement update; `auto` chooses on held-out rows. Default `standard`.
    form: Choice<Form> = "form", "`standard`, `robust`, `clipped`, `augmented` or `auto`";
    /// `q`: the kind of conditional covariance; `auto` chooses on held-out rows. Default `constant`.
    noise: Choice<NoiseKind> = "q", "`constant`, `kernel` or `auto`";
    /// `residuals`: which residuals Q is learnt from. Default `cross-fitted`.
    residuals: ResidualSource = "residuals", "`cross-fitted` or `held-out`";
    /// `state-order`: order of the state's autoregression; `auto` chooses on held-out rows. Default 1.
    state_order: Choice<usize> = "state-order", "a whole number from 1 to 10, or `auto`", |order: &Choice<usize>| order.is(|order| (1..=10).contains(order));
    /// `stationary`: where S comes from. Default `training`.
    stationary: StationarySource = "stationary", "`training` or `lyapunov`";
    /// `start`: the belief at row one.
    start: Start = "start", "`first` or `prior`";
    /// `dynamics`: how the state moves. Default `linear`.
    dynamics: Dynamics = "dynamics", "`linear`, `ekf` or `ukf`";
    /// `direction`: whether the direction of f is learnt on its own, for components that are one vector in one unit;
    /// `auto` where held-out rows say so. Default `off`, of `dkf-gp` and `dkf-mk` `auto`.
    direction: Choice<bool> = "direction", "`on`, `off` or `auto`";
    /// `intercept`: whether linear models have one.
    intercept: bool = "intercept", "`on` or `off`";
    /// `ridge`: penalty of a regression, relative to the mean variance of its inputs; `auto` chooses by blocked
    /// cross-validation.
    ridge: Choice<f64> = "ridge", "a number of at least 0, or `auto`", |ridge: &Choice<f64>| ridge.is(|ridge| *ridge >= 0.0);
    /// `degree`: of the polynomials of `wiener-cascade`. Default 3.
    degree: usize = "degree", "a whole number from 1 to 7", |degree: &usize| (1..=7).contains(degree);
    /// `feedback`: what feeds back into `refit-kalman`. Default `none`.
    feedback: Feedback = "feedback", "`none` or `position`";
    /// `update`: how `kalman` computes its gain. Default `auto`.
    update: KalmanUpdate = "update", "`auto`, `covariance` or `information`";
    /// `kernel`: one width, or one for every entry of a window. Default `se`, of `dkf-gp` `se-ard`.
    kernel: KernelShape = "kernel", "`se` or `se-ard`";
    /// `bandwidth`: kernel width of `dkf-nw`, in features; `auto` (the default) for leave-one-out.
    bandwidth: Choice<f64> = "bandwidth", "`auto` or a number above 0", |width: &Choice<f64>| width.is(|width| *width > 0.0);
    /// `steps`: most steps of the search for kernel hyperparameters.
    steps: usize = "steps", "a whole number from 0 to 1000", |steps: &usize| *steps <= 1000;
    /// `exact`: training points up to which a Gaussian process is exact. Default 5000.
    exact: usize = "exact", "a whole number from 10 to 20000", |exact: &usize| (10..=20_000).contains(exact);
    /// `inducing`: inducing points beyond that. Default 1000; of all kernels of `dkf-mk` together, 1500.
    inducing: usize = "inducing", "a whole number from 10 to 5000", |points: &usize| (10..=5000).contains(points);
    /// `sparsify`: whether training points of `dkf-mk` are averaged. Default `none`.
    sparsify: Sparsification = "sparsify", "`none` or `octants`";
    /// `weights`: how the kernels of `dkf-mk` are weighted. Default `learned`.
    weights: KernelWeights = "weights", "`equal` or `learned`";
    /// `hidden`: units of a network's layer.
    hidden: usize = "hidden", "a whole number from 1 to 512", |hidden: &usize| (1..=512).contains(hidden);
    /// `layers`: recurrent layers. Default 3.
    layers: usize = "layers", "a whole number from 1 to 4", |layers: &usize| (1..=4).contains(layers);
    /// `networks`: networks in the mean. Default 5, of `dkf-gru` 8.
    networks: usize = "networks", "a whole number from 1 to 50", |networks: &usize| (1..=50).contains(networks);
    /// `optimizer`: how `dkf-nn` is trained. Default `adam`.
    optimizer: Optimizer = "optimizer", "`adam` or `levenberg-marquardt`";
    /// `epochs`: most passes over the training rows (`dkf-gru`: all of them).
    epochs: usize = "epochs", "a whole number from 1 to 10000", |epochs: &usize| (1..=10_000).contains(epochs);
    /// `gradient-noise`: initial standard deviation of annealed noise on gradients (Neelakantan et al. 2015). Default 0.
    gradient_noise: f64 = "gradient-noise", "a number of at least 0", |noise: &f64| *noise >= 0.0;
    /// `cell`: of `dkf-gru`. Default `gru`.
    cell: Cell = "cell", "`gru` or `lstm`";
    /// `ensemble`: whether `auto` may combine decoders. Default `on`.
    ensemble: bool = "ensemble", "`on` or `off`";
    /// `q-scale`: factor on Q; `auto` chooses on held-out rows. Default 1.
    noise_scale: Choice<f64> = "q-scale", "`auto` or a number above 0", |scale: &Choice<f64>| scale.is(|scale| *scale > 0.0);
    /// `covariance-scale`: factor on the published covariance; `auto` (the default) from held-out rows.
    covariance_scale: Choice<f64> = "covariance-scale", "`auto` or a number above 0", |scale: &Choice<f64>| scale.is(|scale| *scale > 0.0);
    /// `guard`: whether channels are watched for shifts and faults in front of the decoder. Default `off`, of `dkf-mk`
    /// `on`.
    guard: bool = "guard", "`on` or `off`";
}
