//! The registry of decoders: which there are, and the one place that knows all of them. The parser, `kalmind decoders`,
//! `docs/options.md`, fitting and the reader and writer of models walk it.
//!
//! A decoder is a folder of `decoders/` and a line here; one with tensors of its own has a line for them as well.

use kalmind_types::CovarianceKind;
use nalgebra::{DMatrix, DVector};
use serde_json::Value;

use crate::centred::Centred;
use crate::checked::Checked;
use crate::covariance_scale::CovarianceScale;
use crate::decoder::Decoder;
use crate::decoders::auto::Auto;
use crate::decoders::dkf::parameters::DkfParameters;
use crate::decoders::dkf_gp::DkfGp;
use crate::decoders::dkf_gru::DkfGru;
use crate::decoders::dkf_linear::DkfLinear;
use crate::decoders::dkf_mk::DkfMk;
use crate::decoders::dkf_nn::DkfNn;
use crate::decoders::dkf_nw::DkfNw;
use crate::decoders::kalman::Kalman;
use crate::decoders::kalman::parameters::KalmanParameters;
use crate::decoders::kalman_steady::KalmanSteady;
use crate::decoders::kind::{DecoderKind, DecoderTensors, Setup, Taken};
use crate::decoders::nonlinear_kalman::parameters::NonlinearKalmanParameters;
use crate::decoders::nonlinear_kalman::{Ekf, Ukf};
use crate::decoders::ole::Ole;
use crate::decoders::refit_kalman::{RefitKalman, RefitKalmanParameters};
use crate::decoders::wiener::Wiener;
use crate::decoders::wiener::parameters::WienerParameters;
use crate::decoders::wiener_cascade::{WienerCascade, WienerCascadeParameters};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::options::{OPTIONS, OptionInfo, Options};
use crate::published_covariance::ScaledDecoder;
use crate::state_model::StateModel;
use crate::tensors::{ParametersError, Source, TensorWriter};

/// The key of the factor on the published covariance, which every decoder may have; one where it is absent.
const COVARIANCE_SCALE: &str = "covariance_scale";

/// Options that every decoder takes, since they are of what stands in front of it.
const EVERYWHERE: [Taken; 3] = [("running-zscore", "off", ""), ("select", "off", ""), ("pca", "off", "")];

/// Makes [`Parameters`] of the kinds of tensors, and [`DecoderName`] of the decoders, each with the tensors it has.
macro_rules! registry {
    (tensors { $($of:ident($tensors:ty),)+ } decoders { $($name:ident has $family:ident,)+ }) => {
        /// What fitting produces and the model file holds: the tensors of a fitted decoder.
        ///
        /// d is the number of intent components, p the order of the state's autoregression, n the number of features of
        /// one bin, l the number of bins in the window ("lags", the current bin included), m a number of training
        /// points. Lagged windows are laid out newest bin first: `[x_t, x_{t-1}, .., x_{t-l+1}]`.
        #[expect(
            clippy::large_enum_variant,
            reason = "a handful exist at a time, and matching through boxes is harder to read"
        )]
        #[derive(Clone, Debug, PartialEq)]
        pub enum Parameters {
            $(#[doc = concat!("[`", stringify!($tensors), "`].")] $of($tensors),)+
        }

        impl Parameters {
            fn tensors(&self) -> &dyn DecoderTensors {
                match self {
                    $(Self::$of(tensors) => tensors,)+
                }
            }

            fn tensors_mut(&mut self) -> &mut dyn DecoderTensors {
                match self {
                    $(Self::$of(tensors) => tensors,)+
                }
            }
        }

        /// The decoders of this version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DecoderName {
            $(#[doc = concat!("`", stringify!($name), "`; [`summary`](Self::summary) says what it is.")] $name,)+
        }

        impl DecoderName {
            /// All decoders of this version.
            pub const ALL: [Self; [$(stringify!($name)),+].len()] = [$(Self::$name),+];

            /// The name in text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => <$name as DecoderKind>::NAME,)+
                }
            }

            /// What it is, in one line.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$name => <$name as DecoderKind>::SUMMARY,)+
                }
            }

            /// Whether a guard stands in front of it where nobody says.
            pub(crate) fn is_guarded(self) -> bool {
                match self {
                    $(Self::$name => <$name as DecoderKind>::GUARDED,)+
                }
            }

            fn taken(self) -> &'static [Taken] {
                match self {
                    $(Self::$name => <$name as DecoderKind>::OPTIONS,)+
                }
            }

            fn called(self) -> String {
                match self {
                    $(Self::$name => <$name as DecoderKind>::called(),)+
                }
            }

            /// Whether these are tensors of this decoder.
            #[must_use]
            pub fn holds(self, parameters: &Parameters) -> bool {
                match (self, parameters) {
                    $((Self::$name, Parameters::$family(tensors)) => $name::holds(tensors),)+
                    _ => false,
                }
            }

            /// Checks every shape, number and covariance of the tensors.
            pub(crate) fn validate(
                self,
                parameters: &Parameters,
                features: usize,
                dimension: usize,
            ) -> Result<(), ModelError> {
                match (self, parameters) {
                    $((Self::$name, Parameters::$family(tensors)) if $name::holds(tensors) => {
                        $name::validate(tensors, features, dimension)
                    })+
                    _ => Err(self.misses(parameters)),
                }
            }

            fn bare_decoder(
                self,
                parameters: &Parameters,
                setup: &Setup<'_>,
            ) -> Result<Box<dyn Decoder>, ModelError> {
                match (self, parameters) {
                    $((Self::$name, Parameters::$family(tensors)) => $name::decoder(tensors, setup),)+
                    _ => Err(self.misses(parameters)),
                }
            }

            /// Fewer tensors of which the same decoder is built, to the bit, where there are such.
            pub(crate) fn runtime_tensors(self, parameters: &Parameters, options: &Options) -> Option<Parameters> {
                match (self, parameters) {
                    $((Self::$name, Parameters::$family(tensors)) => {
                        $name::runtime_tensors(tensors, options).map(Parameters::$family)
                    })+
                    _ => None,
                }
            }

            fn write_tensors(
                self,
                parameters: &Parameters,
                writer: &mut dyn TensorWriter,
            ) -> Result<Value, serde_json::Error> {
                match (self, parameters) {
                    $((Self::$name, Parameters::$family(tensors)) => $name::write(tensors, writer),)+
                    _ => Err(serde::ser::Error::custom(self.misses(parameters))),
                }
            }

            fn read_tensors(self, header: Value, source: &mut Source<'_>) -> Result<Parameters, ParametersError> {
                Ok(match self {
                    $(Self::$name => Parameters::$family($name::read(header, source)?),)+
                })
            }
        }
    };
}

registry! {
    tensors {
        Kalman(KalmanParameters),
        KalmanSteady(KalmanParameters),
        Wiener(WienerParameters),
        WienerCascade(WienerCascadeParameters),
        Ole(WienerParameters),
        RefitKalman(RefitKalmanParameters),
        NonlinearKalman(NonlinearKalmanParameters),
        Dkf(DkfParameters),
    }
    decoders {
        Kalman has Kalman,
        KalmanSteady has KalmanSteady,
        Wiener has Wiener,
        WienerCascade has WienerCascade,
        Ole has Ole,
        RefitKalman has RefitKalman,
        Ekf has NonlinearKalman,
        Ukf has NonlinearKalman,
        DkfLinear has Dkf,
        DkfNw has Dkf,
        DkfGp has Dkf,
        DkfMk has Dkf,
        DkfNn has Dkf,
        DkfGru has Dkf,
        Auto has Dkf,
    }
}

/// One option of one decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderOption {
    /// The option.
    pub info: &'static OptionInfo,
    /// What holds where it is not written, as it would be written.
    pub default: &'static str,
    /// Where something else holds; empty where nothing does.
    pub except: &'static str,
}

impl DecoderName {
    /// The options that it takes, with their defaults, in the order in which they are listed.
    pub fn options(self) -> impl Iterator<Item = DecoderOption> {
        self.taken().iter().chain(&EVERYWHERE).filter_map(|&(name, default, except)| {
            let info = OPTIONS.iter().find(|info| info.name == name)?;
            Some(DecoderOption { info, default, except })
        })
    }

    /// The names of the options that it takes.
    #[must_use]
    pub fn option_names(self) -> Vec<&'static str> {
        self.taken().iter().chain(&EVERYWHERE).map(|(name, ..)| *name).collect()
    }

    /// The decoder of validated `parameters`, whose lagged bins start as `background`; of `options` those count that say
    /// how the same result is computed.
    ///
    /// # Errors
    /// Where they are not this decoder's, or a matrix that has to be positive definite is not.
    pub fn decoder(
        self,
        parameters: &Parameters,
        options: &Options,
        background: &[f64],
        path: KernelPath,
    ) -> Result<Box<dyn Decoder>, ModelError> {
        let decoder = self.bare_decoder(parameters, &Setup { options, background, path })?;
        let tensors = parameters.tensors();
        let decoder = if tensors.scales_itself() {
            decoder
        } else {
            let predicts = tensors.state_model().is_some();
            let marginal = tensors.marginal_covariance();
            ScaledDecoder::around(decoder, tensors.covariance_scale(), &marginal, predicts, background)?
        };
        let decoder = match tensors.state_model() {
            Some(StateModel { mean: Some(mean), order, .. }) => {
                Box::new(Centred::new(decoder, mean.as_slice(), *order))
            }
            _ => decoder,
        };
        Ok(Box::new(Checked::new(decoder)))
    }

    /// Writes the tensors; gives the header's `parameters`.
    ///
    /// # Errors
    /// Where they are not this decoder's.
    pub fn write(
        self,
        parameters: &Parameters,
        writer: &mut dyn TensorWriter,
    ) -> Result<Value, serde_json::Error> {
        let mut header = self.write_tensors(parameters, writer)?;
        let scale = parameters.covariance_scale();
        if let Value::Object(header) = &mut header
            && !scale.is_one()
        {
            header.insert(COVARIANCE_SCALE.to_owned(), scale.write(writer)?);
        }
        Ok(header)
    }

    /// Reads its tensors. Shapes are checked here, what the numbers have to be by the model's own check.
    ///
    /// # Errors
    /// Where the header's `parameters` are wrong, or a tensor is missing or does not fit.
    pub fn read(self, mut header: Value, source: &mut Source<'_>) -> Result<Parameters, ParametersError> {
        let scale = match header.as_object_mut().and_then(|header| header.remove(COVARIANCE_SCALE)) {
            Some(scale) => CovarianceScale::read(scale, source)?,
            None => CovarianceScale::constant(1.0),
        };
        let mut parameters = self.read_tensors(header, source)?;
        *parameters.covariance_scale_mut() = scale;
        Ok(parameters)
    }

    pub(crate) fn misses(self, parameters: &Parameters) -> ModelError {
        let owner = Self::ALL.into_iter().find(|name| name.holds(parameters)).unwrap_or(self);
        ModelError::WrongParameters { header: self.as_str(), parameters: owner.called() }
    }
}

impl Parameters {
    /// Intent components d.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.tensors().dimension()
    }

    /// Features n of one bin, before lags.
    #[must_use]
    pub fn features(&self) -> usize {
        self.tensors().features()
    }

    /// The state model, where the decoder has one.
    #[must_use]
    pub fn state_model(&self) -> Option<&StateModel> {
        self.tensors().state_model()
    }

    /// The factor on the published covariance.
    #[must_use]
    pub fn covariance_scale(&self) -> &CovarianceScale {
        self.tensors().covariance_scale()
    }

    /// The factor on the published covariance, to be written.
    pub fn covariance_scale_mut(&mut self) -> &mut CovarianceScale {
        self.tensors_mut().covariance_scale_mut()
    }

    /// S, the d x d covariance of one state.
    #[must_use]
    pub fn marginal_covariance(&self) -> DMatrix<f64> {
        self.tensors().marginal_covariance()
    }

    /// Makes parameters that were fitted to states less `mean` those of the states themselves.
    pub fn add_mean(&mut self, mean: DVector<f64>) {
        self.tensors_mut().add_mean(mean);
    }

    /// Whether the decoder applies the factor on its covariance by itself, and a fit finds it with the rest.
    #[must_use]
    pub fn scales_itself(&self) -> bool {
        self.tensors().scales_itself()
    }

    /// Whether the published covariance depends on the features or the state.
    ///
    /// That of a linear filter with a constant Q or R follows from its tensors alone. It depends on more where the factor on
    /// it does, where Q is a kernel regression, and where the state passes through a network, which bends it.
    #[must_use]
    pub fn covariance(&self) -> CovarianceKind {
        if self.tensors().varies() || self.covariance_scale().varies() {
            CovarianceKind::Varying
        } else {
            CovarianceKind::Constant
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecoderSpec;

    #[test]
    fn every_default_is_a_value_of_its_option_and_every_option_has_a_decoder() {
        for decoder in DecoderName::ALL {
            assert_eq!(decoder.options().count(), decoder.option_names().len(), "{decoder}: unknown names");
            for DecoderOption { info, default, .. } in decoder.options() {
                let mut spec = DecoderSpec::new(decoder);
                spec.set(info.name, default).unwrap();
                assert_eq!(spec.get(info.name).as_deref(), Some(default), "{decoder}: {}", info.name);
            }
        }
        for info in OPTIONS {
            let taken = |decoder: &DecoderName| decoder.option_names().contains(&info.name);
            assert!(DecoderName::ALL.iter().any(taken), "no decoder takes `{}`", info.name);
        }
    }
}
