//! How models get into the file: once each, packed where they were fitted to ticks of this session.

use kalmind_offline::{
    calibration_fit::RecordedFit,
    recorded::{ModelPart, RecordDocument, TickFeatures},
};
use kalmind_recording::xdf::writer::Sink;
use kalmind_types::LslTime;

use super::{head::OwnedModel, writing::Writing};

/// Models kept for the next file: those that decode and those on their way.
const MODELS: usize = 8;

impl<S: Sink> Writing<S> {
    /// A model is about to decode: it stands in the file once, however often it does.
    pub(super) fn take_model(&mut self, now: LslTime, model: OwnedModel, fitted: Option<&RecordedFit>) {
        if !self.embedded.contains(&model.id) {
            self.model_documents(now, &model, fitted);
            self.commit("model");
        }
        self.models.retain(|known| known.id != model.id);
        if self.models.len() == MODELS {
            self.models.pop_front();
        }
        self.models.push_back(model);
    }

    /// A model, packed where it was fitted in this session; and, of the ticks that it was fitted to, the features that are
    /// not in this file.
    pub(super) fn model_documents(
        &mut self,
        time: LslTime,
        model: &OwnedModel,
        fitted: Option<&RecordedFit>,
    ) {
        self.embedded.insert(model.id.clone());
        let fitted = fitted.filter(|fitted| self.has_features(time, fitted));
        let write = |part| self.document(time, &RecordDocument::Model(part), true);
        match fitted {
            Some(fitted) => ModelPart::all_of_packed(&model.id, &model.name, &fitted.packed).for_each(write),
            None => ModelPart::all_of(&model.id, &model.name, &model.file).for_each(write),
        }
    }

    /// Sees to it that the features of the ticks that a model was fitted to stand in the file; `false` where they cannot.
    fn has_features(&mut self, time: LslTime, fitted: &RecordedFit) -> bool {
        let absent = self.present.absent(&fitted.packed.ticks);
        if absent.iter().flat_map(Clone::clone).any(|seq| fitted.features(seq).is_none()) {
            return false;
        }
        for range in absent {
            let at_once = TickFeatures::ticks_at_once(fitted.width);
            for first in range.clone().step_by(at_once) {
                let seqs = first..range.end.min(first + at_once as u64);
                let rows: Vec<f64> = seqs.filter_map(|seq| fitted.features(seq)).flatten().copied().collect();
                let features = TickFeatures::of(first, fitted.width, &rows);
                self.document(time, &RecordDocument::Features(features), true);
            }
            self.present.add(range);
        }
        true
    }
}
