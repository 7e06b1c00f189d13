//! The JSON header of a model file: everything of a model that is no tensor.

use kalmind_filter::{DecoderSpec, Form, LabelLaw, Linearization, Start, StationarySource};
use kalmind_types::{Component, StreamFeatures};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::guard_parameters::GuardHeader;

/// The header, as `docs/model.schema.json` describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) version: u64,
    pub(crate) decoder: DecoderSpec,
    pub(crate) streams: Vec<StreamFeatures>,
    pub(crate) bin_ms: f64,
    pub(crate) components: Vec<Component>,
    pub(crate) parameters: Value,
    #[serde(default)]
    pub(crate) label_law: Option<LabelLaw>,
    #[serde(default)]
    pub(crate) participant: Option<String>,
    #[serde(default)]
    pub(crate) training_hash: Option<String>,
    #[serde(default)]
    pub(crate) report: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) guard: Option<GuardHeader>,
}

/// The header's `parameters` of `kalman` and `kalman-steady`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KalmanHeader {
    #[serde(default = "one_bin")]
    pub(crate) state_order: usize,
    #[serde(default)]
    pub(crate) stationary_source: StationarySource,
    #[serde(default)]
    pub(crate) start: Start,
}

/// The header's `parameters` of `wiener`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WienerHeader {
    #[serde(default = "one_bin")]
    pub(crate) lags: usize,
}

/// The header's `parameters` of `ole`: none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "one without would be null in the header")]
pub(crate) struct OleHeader {}

/// The header's `parameters` of `ekf` and `ukf`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NonlinearHeader {
    #[serde(default)]
    pub(crate) stationary_source: StationarySource,
}

/// What the header's `parameters` of every discriminative filter have; those of the regressor come beside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DkfHeader {
    #[serde(default = "one_bin")]
    pub(crate) state_order: usize,
    #[serde(default)]
    pub(crate) stationary_source: StationarySource,
    #[serde(default)]
    pub(crate) start: Start,
    #[serde(default)]
    pub(crate) form: Form,
    #[serde(default = "one_bin")]
    pub(crate) lags: usize,
    #[serde(default)]
    pub(crate) direction: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dynamics: Option<Linearization>,
    pub(crate) noise: NoiseHeader,
    #[serde(default = "unscaled")]
    pub(crate) noise_scale: f64,
}

/// The factor on the published covariance: one number, or the law that it follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum CovarianceScaleHeader {
    Constant(f64),
    Law(CovarianceLawHeader),
}

/// A law of the factor; its window is a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CovarianceLawHeader {
    pub(crate) bias: f64,
    #[serde(default)]
    pub(crate) size: f64,
    #[serde(default)]
    pub(crate) size_squared: f64,
    #[serde(default)]
    pub(crate) surprise: f64,
    pub(crate) limits: [f64; 2],
}

/// Which Q a discriminative filter has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum NoiseHeader {
    Constant {},
    Kernel { bandwidth: f64, prior_samples: f64 },
}

fn one_bin() -> usize {
    1
}

fn unscaled() -> f64 {
    1.0
}
