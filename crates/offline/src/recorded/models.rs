//! The models of a recording on their way to a replay: put together of their parts and unpacked when a tick swaps them in.
//!
//! Packed models take features of ticks long past. They are kept from then on until no model needs them that has not been
//! unpacked; which ones that will be has to be [known](FittedTicks) before. Memory: the features of the ticks that the models from
//! here on were fitted to, beside the models that are kept.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kalmind_recording::{UnpackError, packed_report, unpack_model};
use kalmind_types::ModelId;

use super::model_parts::{ModelPart, TickFeatures};
use crate::model::IdentifiedModel;

/// Why a recorded model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordedModelError {
    /// It is not in the recording, or not whole.
    #[error("tick {seq} swaps in the model {model}, of which the recording has {found} of {parts} parts")]
    Missing {
        /// The tick that asks for it.
        seq: u64,
        /// The model's identity.
        model: String,
        /// Parts found.
        found: usize,
        /// Parts in all; 0 where none was found.
        parts: u64,
    },
    /// A part of the recording that it takes to unpack it is lost.
    #[error("the model {model} was fitted to the features of tick {tick}, which the recording lacks")]
    TickMissing {
        /// The model's identity.
        model: String,
        /// The first tick that is missing.
        tick: u64,
    },
    /// It makes no sense.
    #[error("the model {model} in the recording cannot be used: {problem}")]
    Unusable {
        /// Its identity.
        model: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Ticks whose features are kept at most; models that were fitted to further ones cannot be unpacked.
const MOST_TICKS: usize = 1 << 22;

/// Which ticks the packed models of a recording were fitted to.
#[derive(Debug, Default)]
pub struct FittedTicks {
    /// Of each tick, the number of the last model that needs it.
    last: HashMap<u64, u64>,
    /// The models, in their order.
    models: HashMap<String, u64>,
}

impl FittedTicks {
    /// Takes a part of a model, in the order of the file.
    pub fn take(&mut self, part: &ModelPart) {
        if part.ticks.is_empty() || self.models.contains_key(&part.id) {
            return;
        }
        let number = self.models.len() as u64;
        self.models.insert(part.id.clone(), number);
        for tick in part.ticks.iter().flat_map(Clone::clone) {
            if self.last.len() >= MOST_TICKS && !self.last.contains_key(&tick) {
                return;
            }
            self.last.insert(tick, number);
        }
    }
}

/// The models of a recording.
#[derive(Debug, Default)]
pub struct RecordedModels {
    parts: HashMap<String, Vec<ModelPart>>,
    built: HashMap<ModelId, Arc<IdentifiedModel>>,
    fitted: Option<FittedTicks>,
    /// Features by the last model that needs them and their tick.
    features: BTreeMap<(u64, u64), Vec<f64>>,
    /// Models that may still have to be unpacked.
    open: BTreeSet<u64>,
}

impl RecordedModels {
    /// A part of a model.
    pub fn part(&mut self, part: ModelPart) {
        self.parts.entry(part.id.clone()).or_default().push(part);
    }

    /// Whether it is known which features have to be kept.
    #[must_use]
    pub fn knows_ticks(&self) -> bool {
        self.fitted.is_some()
    }

    /// Says which features have to be kept.
    pub fn know_ticks(&mut self, fitted: FittedTicks) {
        self.open = fitted.models.values().copied().collect();
        self.fitted = Some(fitted);
    }

    /// The features of a tick, which are asked for where they have to be kept.
    pub fn tick(&mut self, seq: u64, features: impl FnOnce() -> Vec<f64>) {
        let last = self.fitted.as_ref().and_then(|fitted| fitted.last.get(&seq));
        if let (Some(last), Some(open)) = (last, self.open.first())
            && last >= open
        {
            self.features.insert((*last, seq), features());
        }
    }

    /// Features of ticks that stand elsewhere.
    pub fn features(&mut self, features: &TickFeatures) {
        for (seq, row) in features.rows().into_iter().flatten() {
            self.tick(seq, || row);
        }
    }

    /// Models that are kept for further swaps.
    #[must_use]
    pub fn built(&self) -> usize {
        self.built.len()
    }

    /// Values of features that are kept.
    #[must_use]
    pub fn kept_values(&self) -> usize {
        self.features.values().map(Vec::len).sum()
    }

    /// Frees the models of which `is_needed` says no, and what only they need.
    pub fn keep(&mut self, is_needed: impl Fn(ModelId) -> bool) {
        self.built.retain(|id, _| is_needed(*id));
        let (kept, dropped) = std::mem::take(&mut self.parts)
            .into_iter()
            .partition(|(id, _)| ModelId::from_hex(id).is_none_or(&is_needed));
        self.parts = kept;
        let dropped: HashMap<String, Vec<ModelPart>> = dropped;
        for id in dropped.keys() {
            self.close(id);
        }
    }

    /// The model of this identity, which tick `seq` asks for.
    ///
    /// # Errors
    /// [`RecordedModelError`].
    pub fn get(&mut self, seq: u64, id: ModelId) -> Result<Arc<IdentifiedModel>, RecordedModelError> {
        if let Some(model) = self.built.get(&id) {
            return Ok(Arc::clone(model));
        }
        let built = self.build(seq, id).map(Arc::new);
        self.close(&id.to_hex());
        let model = built?;
        self.built.insert(id, Arc::clone(&model));
        Ok(model)
    }

    fn build(&mut self, seq: u64, id: ModelId) -> Result<IdentifiedModel, RecordedModelError> {
        let hex = id.to_hex();
        let mut parts = self.parts.remove(&hex).unwrap_or_default();
        parts.sort_by_key(|part| part.part);
        parts.dedup_by_key(|part| part.part);
        let count = parts.first().map_or(0, |part| part.parts);
        if parts.is_empty() || parts.len() as u64 != count {
            return Err(RecordedModelError::Missing { seq, model: hex, found: parts.len(), parts: count });
        }
        let wrong = |problem: String| RecordedModelError::Unusable { model: hex.clone(), problem };
        let bytes = joined(&parts).ok_or_else(|| wrong("its parts are not base64".to_owned()))?;
        let (file, whole) = if parts.iter().any(|part| part.packed) {
            let features = |seq| {
                let last = *self.fitted.as_ref()?.last.get(&seq)?;
                self.features.get(&(last, seq)).map(Vec::as_slice)
            };
            let unpacked = unpack_model(&bytes, &features).map_err(|error| match error {
                UnpackError::TickMissing(tick) => {
                    RecordedModelError::TickMissing { model: hex.clone(), tick }
                }
                error => wrong(error.to_string()),
            })?;
            (unpacked.file, unpacked.whole)
        } else {
            (bytes, true)
        };
        let model = IdentifiedModel::from_bytes(file.into(), true);
        let model = model.map_err(|error| wrong(error.to_string()))?;
        if whole && model.id != id {
            return Err(wrong(format!("its bytes are those of {}", model.id.to_hex())));
        }
        Ok(IdentifiedModel { id, ..model })
    }

    /// A model is unpacked, or never will be: frees the features that no other one needs.
    fn close(&mut self, id: &str) {
        let number = self.fitted.as_ref().and_then(|fitted| fitted.models.get(id));
        if number.is_some_and(|number| self.open.remove(number)) {
            let first = self.open.first().map_or(u64::MAX, |first| *first);
            self.features = self.features.split_off(&(first, 0));
        }
    }
}

/// The bytes of parts in their order.
fn joined(parts: &[ModelPart]) -> Option<Vec<u8>> {
    let bytes: Option<Vec<Vec<u8>>> = parts.iter().map(ModelPart::bytes).collect();
    Some(bytes?.concat())
}

/// The fit report of a recorded model, whose parts are all there in their order; none where it has none that can be read.
#[must_use]
pub fn recorded_report(parts: &[ModelPart]) -> Option<serde_json::Value> {
    let bytes = joined(parts)?;
    let part = parts.first()?;
    if part.packed {
        return packed_report(&bytes);
    }
    let model = IdentifiedModel::from_bytes(bytes.into(), true).ok();
    model.filter(|model| model.id.to_hex() == part.id)?.model.report.clone()
}
