//! What clients are told of a model.

use kalmind_offline::model::IdentifiedModel;
use kalmind_output::{DecoderInfo, ModelList};
use kalmind_types::{CovarianceKind, ModelId};
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

/// What stands for every model while nobody is to be told which is which.
pub(crate) const HIDDEN: ModelId = ModelId([0; 32]);

/// What clients are told of any model where nobody is to be told yet which decoder it is: decoders are being compared.
pub(crate) fn hidden() -> DecoderInfo {
    DecoderInfo {
        name: "hidden until the comparison is over".to_owned(),
        model: HIDDEN.to_hex(),
        covariance: CovarianceKind::Varying,
        quality: serde_json::Value::Null,
        poor: false,
        warnings: Vec::new(),
    }
}

/// Leaves of the list of models those that were `known` before decoders were compared, and says of none whether it decodes.
pub(crate) fn hide_compared(list: &mut ModelList, known: &[ModelId]) {
    list.models.retain(|entry| known.iter().any(|id| id.to_hex() == entry.decoder.model));
    for entry in &mut list.models {
        entry.active = false;
    }
    (list.active, list.before, list.wanted) = (None, None, None);
}
