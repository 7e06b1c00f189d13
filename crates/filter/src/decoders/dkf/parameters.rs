//! The tensors of a discriminative filter.

use kalmind_types::MAX_COMPONENTS;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::noise::{Noise, NoiseHeader};
use super::regressor::{Regressor, regressor_keys};
use crate::covariance_scale::CovarianceScale;
use crate::decoders::kind::{DecoderTensors, say_of_state};
use crate::decoders::mean::MeanSource;
use crate::dynamics::{Linearization, NonlinearDynamics};
use crate::model_error::ModelError;
use crate::options::{Form, Start, StationarySource};
use crate::state_model::StateModel;
use crate::tanh_network::TanhNetwork;
use crate::tensors::{ParametersError, Source, TensorWriter, factor, one_bin, parse, problem};
use crate::validate::{covariance, out_of_range, positive, validate_lags, validate_scale};

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

/// What the header's `parameters` of every discriminative filter have; those of f come beside.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default = "one_bin")]
    state_order: usize,
    #[serde(default)]
    stationary_source: StationarySource,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    form: Form,
    #[serde(default = "one_bin")]
    lags: usize,
    #[serde(default)]
    direction: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dynamics: Option<Linearization>,
    noise: NoiseHeader,
    #[serde(default = "unscaled")]
    noise_scale: f64,
}

fn unscaled() -> f64 {
    1.0
}

impl DkfParameters {
    /// Writes the tensors; what the header says of f stands among the rest where the decoder is `named` after its kind.
    pub(super) fn write(
        &self,
        named: Option<&str>,
        writer: &mut dyn TensorWriter,
    ) -> Result<Value, serde_json::Error> {
        self.state.write(writer);
        if let Some(dynamics) = &self.dynamics {
            dynamics.network.write("dynamics.", writer);
        }
        let noise = self.noise.write(writer);
        let mut header = serde_json::to_value(Header {
            state_order: self.state.order,
            stationary_source: self.state.stationary_source,
            start: self.start,
            form: self.form,
            lags: self.lags,
            direction: self.direction,
            dynamics: self.dynamics.as_ref().map(|dynamics| dynamics.linearization),
            noise,
            noise_scale: self.noise_scale,
        })?;
        let mut regressor = self.regressor.write(writer)?;
        if let Value::Object(header) = &mut header {
            if named.is_some() {
                regressor.remove("kind");
                header.append(&mut regressor);
            } else {
                header.insert("regressor".to_owned(), Value::Object(regressor));
            }
        }
        Ok(header)
    }

    pub(super) fn read(
        header: Value,
        named: Option<&str>,
        source: &mut Source<'_>,
    ) -> Result<Self, ParametersError> {
        let (header, regressor) = split(named, header)?;
        let d = source.dimension;
        let inputs = source.features * factor("lags", header.lags)?;
        let state = StateModel::read(header.state_order, header.stationary_source, source)?;
        let outputs = if header.direction { 2 * d } else { d };
        let dynamics = match header.dynamics {
            Some(linearization) => Some(NonlinearDynamics {
                network: TanhNetwork::read("dynamics.", source.tensors, d, d)?,
                linearization,
            }),
            None => None,
        };
        let noise = Noise::read(&header.noise, inputs, source)?;
        let Source { ref mut tensors, features, .. } = *source;
        let mut f = MeanSource { tensors: &mut **tensors, features, lags: header.lags, outputs };
        Ok(Self {
            state,
            dynamics,
            form: header.form,
            start: header.start,
            lags: header.lags,
            regressor: Regressor::read(regressor, &mut f)?,
            direction: header.direction,
            noise,
            noise_scale: header.noise_scale,
            covariance_scale: CovarianceScale::constant(1.0),
        })
    }
}

/// Takes the keys of f out of the header's `parameters`: those of the kind that the decoder is named after stand among the
/// others, those of a decoder of any kind under `regressor`.
fn split(named: Option<&str>, header: Value) -> Result<(Header, Map<String, Value>), ParametersError> {
    let Value::Object(mut header) = header else { return Err(problem("parameters: not an object")) };
    let regressor = if let Some(kind) = named {
        let own = regressor_keys(kind).iter();
        let mut regressor: Map<_, _> =
            own.filter_map(|key| Some(((*key).to_owned(), header.remove(*key)?))).collect();
        regressor.insert("kind".to_owned(), kind.into());
        regressor
    } else {
        let regressor = header.remove("regressor");
        parse(regressor.ok_or_else(|| problem("parameters: missing field `regressor`"))?)?
    };
    Ok((parse(Value::Object(header))?, regressor))
}

impl DecoderTensors for DkfParameters {
    fn validate(&self, features: usize, dimension: usize) -> Result<(), ModelError> {
        self.state.validate(dimension)?;
        let marginal = self.state.marginal_covariance();
        covariance("stationary_covariance (newest block)", &marginal, dimension, true)?;
        validate_lags(self.lags)?;
        if let Some(dynamics) = &self.dynamics {
            self.state.validate_first_order(dimension)?;
            dynamics.network.validate(dimension, dimension)?;
        }
        let inputs = features * self.lags;
        if self.direction && !(2..=MAX_COMPONENTS / 2).contains(&dimension) {
            return out_of_range("the number of components with a direction", dimension as f64, "2 to 4");
        }
        let outputs = if self.direction { 2 * dimension } else { dimension };
        self.regressor.validate(inputs, features, outputs)?;
        self.noise.validate(inputs, dimension)?;
        positive("noise_scale", self.noise_scale)?;
        validate_scale(&self.covariance_scale, features)
    }

    say_of_state!();

    fn features(&self) -> usize {
        self.regressor.inputs() / self.lags.max(1)
    }

    fn varies(&self) -> bool {
        self.dynamics.is_some() || matches!(self.noise, Noise::Kernel { .. })
    }

    /// The factor takes f, so it is applied within.
    fn scales_itself(&self) -> bool {
        true
    }
}
