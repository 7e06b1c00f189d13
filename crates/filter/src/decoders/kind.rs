//! What a decoder brings along: its name, options, tensors, checks and runtime. Everything else walks the
//! [registry](crate::DecoderName) of them.

use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use crate::covariance_scale::CovarianceScale;
use crate::decoder::Decoder;
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::options::Options;
use crate::state_model::StateModel;
use crate::tensors::{ParametersError, Source, TensorWriter};

/// One decoder. The options' default values are documentation; the fit applies them, and a test fits with and without
/// each.
pub(crate) trait DecoderKind {
    /// What fitting produces and the model file holds.
    type Tensors: DecoderTensors;

    /// Its name in text.
    const NAME: &'static str;

    /// What it is, in one line.
    const SUMMARY: &'static str;

    /// The options that it takes, in the order in which they are listed.
    const OPTIONS: &'static [Taken];

    /// Whether a guard stands in front of it where nobody says.
    const GUARDED: bool = false;

    /// Whether tensors that several decoders share are those of this one.
    fn holds(_tensors: &Self::Tensors) -> bool {
        true
    }

    /// What to call its tensors in an error.
    fn called() -> String {
        format!("`{}`", Self::NAME)
    }

    /// Checks every shape, number and covariance for `features` features of a bin and `dimension` components.
    fn validate(tensors: &Self::Tensors, features: usize, dimension: usize) -> Result<(), ModelError> {
        tensors.validate(features, dimension)
    }

    /// The decoder at row one, of validated tensors: without the factor on its covariance, unless the tensors
    /// [scale themselves](DecoderTensors::scales_itself), and without the mean of the intent.
    fn decoder(tensors: &Self::Tensors, setup: &Setup<'_>) -> Result<Box<dyn Decoder>, ModelError>;

    /// Fewer tensors of which the same decoder is built, to the bit, where there are such.
    fn runtime_tensors(_tensors: &Self::Tensors, _options: &Options) -> Option<Self::Tensors> {
        None
    }

    /// Writes the tensors, all but the factor on the covariance; gives the header's `parameters`.
    fn write(tensors: &Self::Tensors, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error>;

    /// Reads the tensors, with a factor of one on the covariance. Shapes are checked here, what the numbers have to be
    /// by [`validate`](Self::validate).
    fn read(header: Value, source: &mut Source<'_>) -> Result<Self::Tensors, ParametersError>;
}

/// What a decoder starts with beside its tensors.
pub(crate) struct Setup<'a> {
    /// Of these count those that say how the same result is computed.
    pub(crate) options: &'a Options,
    /// What lagged bins hold at first, n values.
    pub(crate) background: &'a [f64],
    pub(crate) path: KernelPath,
}

/// What the tensors of every decoder can say of themselves.
pub(crate) trait DecoderTensors {
    /// Intent components d.
    fn dimension(&self) -> usize;

    /// Features n of one bin, before lags.
    fn features(&self) -> usize;

    /// Checks every shape, number and covariance for `features` features of a bin and `dimension` components.
    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError>;

    /// The state model, where there is one.
    fn state_model(&self) -> Option<&StateModel> {
        None
    }

    /// S, the d x d covariance of one state.
    fn marginal_covariance(&self) -> DMatrix<f64>;

    /// The factor on the published covariance.
    fn covariance_scale(&self) -> &CovarianceScale;

    /// The same, to be written.
    fn covariance_scale_mut(&mut self) -> &mut CovarianceScale;

    /// Makes tensors that were fitted to states less `mean` those of the states themselves.
    fn add_mean(&mut self, mean: DVector<f64>);

    /// Whether the covariance depends on the features or the state, whatever its factor does.
    fn varies(&self) -> bool {
        false
    }

    /// Whether the decoder applies the factor on its covariance by itself.
    fn scales_itself(&self) -> bool {
        false
    }
}

/// Writes what tensors with a state model and a factor on the covariance, at the path `of`, say of them.
macro_rules! say_of_state {
    ($($of:ident.)*) => {
        fn dimension(&self) -> usize {
            self.$($of.)*state.dimension()
        }

        fn state_model(&self) -> Option<&StateModel> {
            Some(&self.$($of.)*state)
        }

        fn marginal_covariance(&self) -> DMatrix<f64> {
            self.$($of.)*state.marginal_covariance()
        }

        fn covariance_scale(&self) -> &CovarianceScale {
            &self.$($of.)*covariance_scale
        }

        fn covariance_scale_mut(&mut self) -> &mut CovarianceScale {
            &mut self.$($of.)*covariance_scale
        }

        fn add_mean(&mut self, mean: DVector<f64>) {
            self.$($of.)*state.mean = Some(mean);
        }
    };
}
pub(crate) use say_of_state;

/// An option that a decoder takes: name, default, and where something else holds.
pub(crate) type Taken = (&'static str, &'static str, &'static str);

/// Where the intent rests.
pub(crate) const MEAN: Taken =
    ("state-mean", "training", "zero for labels from targets, and with `intercept=off`");

/// The factor on the state's noise.
pub(crate) const PROCESS_NOISE: Taken = ("process-noise", "1", "");

/// The factor on the published covariance.
pub(crate) const SCALE: Taken = ("covariance-scale", "auto", "");

/// What stands in front of any decoder.
pub(crate) const GUARD: Taken = ("guard", "off", "in a session `[decoder] guard` decides, on by default");
