//! What clients are told of a model.

use kalmind_offline::model::IdentifiedModel;
use kalmind_output::DecoderInfo;
use serde_json::json;

/// What clients are told of it.
pub(crate) fn decoder_info(model: &IdentifiedModel) -> DecoderInfo {
    DecoderInfo {
        name: model.model.decoder.to_string(),
        model: model.id.to_hex(),
        covariance: model.model.parameters.covariance(),
        quality: json!(model.model.quality()),
        poor: model.doubt().is_some(),
        warnings: model.warnings(),
    }
}
