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

/// The same, where nobody is to be told yet which decoder it is: decoders are being compared.
pub(crate) fn hidden(info: DecoderInfo) -> DecoderInfo {
    DecoderInfo {
        name: "hidden until the comparison is over".to_owned(),
        quality: serde_json::Value::Null,
        warnings: Vec::new(),
        ..info
    }
}
