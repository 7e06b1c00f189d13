//! The JSON header of a model file: everything of a model that is no tensor.

use kalmind_filter::{ClickSettings, DecoderSpec, LabelLaw};
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) click: Option<ClickSettings>,
}
