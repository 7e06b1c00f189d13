//! A model takes over: one that was fitted, or one of the run that somebody activates.

use std::sync::{Arc, atomic::Ordering};

use kalmind_acquisition::clock;
use kalmind_engine::StagedModel;
use kalmind_filter::KernelPath;
use kalmind_fitting::FitReport;
use kalmind_offline::{
    calibration_fit::{CalibrationFit, RecordedFit},
    model::IdentifiedModel,
};
use kalmind_output::DecoderInfo;
use kalmind_session::SessionInput;
use kalmind_types::{Actor, Command, EventBody, ModelEvent, ModelId};

use super::{Desk, TOO_MANY, Then};
use crate::decoder_info::{HIDDEN, decoder_info, hidden};

impl Desk {
    /// Puts a model to work, warmed, and does `then` once it is on its way: the one way by which models reach the tick while
    /// it runs.
    ///
    /// # Errors
    /// A sentence, where the tick thread takes none.
    fn swap_in(
        &mut self,
        model: &Arc<IdentifiedModel>,
        staged: Box<StagedModel>,
        recorded: Option<Arc<RecordedFit>>,
        by: Option<Actor>,
        then: Then,
    ) -> Result<(), String> {
        let told = Arc::clone(model);
        if let Some(recorder) = &self.settings.recorder {
            recorder.model(model, recorded);
        }
        let sent = move |desk: &mut Self, sent: Result<(), String>| {
            if sent.is_ok() {
                desk.follow_swap(&told, by);
            }
            then(desk, sent);
        };
        if self.warm_in(staged, Box::new(sent)) {
            Ok(())
        } else {
            Err("too many models wait for their swap".to_owned())
        }
    }

    /// Puts a model to work with the first bin of a generation of a stream's stages. It is not warmed: the bins before are of
    /// another one.
    ///
    /// # Errors
    /// A sentence, where the tick thread takes none.
    fn swap_in_at(
        &mut self,
        model: &Arc<IdentifiedModel>,
        staged: Box<StagedModel>,
        (stream, generation): (usize, u32),
        by: Actor,
    ) -> Result<(), String> {
        let status = self.handle.stages().into_iter().find(|status| status.place == stream);
        if status.is_none_or(|status| status.next.is_none() && status.number < generation) {
            return Err("the stages that it was to take over with come to nothing".to_owned());
        }
        if let Some(recorder) = &self.settings.recorder {
            recorder.model(model, None);
        }
        if !self.has_room() {
            return Err(TOO_MANY.to_owned());
        }
        if self.queues.models.push(staged).is_err() {
            return Err("too many models wait for their swap".to_owned());
        }
        self.command(Command::SwapAtGeneration { model: model.id, stream, generation });
        if let Some((before, _)) = self.awaited.replace((Arc::clone(model), by)) {
            self.handle.models(|models| models.settle(before.id));
        }
        Ok(())
    }

    /// A model is on its way to the tick.
    pub(super) fn follow_swap(&mut self, model: &IdentifiedModel, by: Option<Actor>) {
        self.show_decoder(Some(model));
        let train_bins = self.handle.models(|models| models.train_bins(model.id));
        let swapped = |info: DecoderInfo, train_bins| {
            let DecoderInfo { name: decoder, model: hash, covariance, quality, warnings, poor } = info;
            let covariance = Some(covariance);
            EventBody::Model(ModelEvent::Swapped {
                decoder,
                hash,
                train_bins,
                covariance,
                quality,
                warnings,
                poor,
                by,
            })
        };
        let shown = self.hid_decoder.then(|| swapped(hidden(), None));
        self.events.publish_as(clock::now(), swapped(decoder_info(model), train_bins), shown);
    }

    /// Tells everyone that a model could not take over: not which one, while decoders are compared.
    pub(super) fn publish_failed_swap(&self, id: ModelId, problem: &str) {
        let failed = |id: ModelId| {
            EventBody::Model(ModelEvent::SwapFailed { hash: id.to_hex(), problem: problem.to_owned() })
        };
        let shown = self.hid_decoder.then(|| failed(HIDDEN));
        self.events.publish_as(clock::now(), failed(id), shown);
    }

    /// Shows which model decodes, or will from the next tick on: not which decoder it is, nor whether it is in doubt, while
    /// decoders are compared.
    pub(super) fn show_decoder(&mut self, model: Option<&IdentifiedModel>) {
        let hides = self.hid_decoder;
        self.doubt = model.and_then(IdentifiedModel::doubt).filter(|_| !hides);
        self.put_in = model.map(|model| model.id);
        let told = model.map(|model| if hides { hidden() } else { decoder_info(model) });
        self.handle.update(|progress| {
            progress.decoder = told;
            progress.doubt.clone_from(&self.doubt);
        });
    }

    /// Somebody wants a model of the run to decode: from now on, or with a generation of a stream's stages.
    pub(super) fn activate(
        &mut self,
        model: &Arc<IdentifiedModel>,
        staged: Box<StagedModel>,
        at: Option<(usize, u32)>,
        by: Actor,
    ) {
        let put_in = match at {
            None => self.swap_in(model, staged, None, Some(by), Box::new(|_, _| {})),
            Some(at) => self.swap_in_at(model, staged, at, by),
        };
        if let Err(problem) = put_in {
            self.handle.refused.fetch_add(1, Ordering::Relaxed);
            self.handle.models(|models| models.settle(model.id));
            self.not_put_in(model.id, &problem, None);
        }
    }

    /// The session wants a model to take over: one that it had fitted, or another one of the run.
    pub(super) fn put_in(&mut self, id: ModelId) {
        let fitted = self.fitted.take_if(|fitted| fitted.model.id == id);
        let built = match fitted {
            Some(CalibrationFit { model, staged, rows, report, recorded }) => {
                Ok((model, staged, recorded, Some((rows, report))))
            }
            None => self.build(id).map(|(model, staged)| (model, staged, None, None)),
        };
        let put_in = built.and_then(|(model, staged, recorded, fit)| {
            // stages may have changed while it was fitted
            let differences = model.differences(&self.settings.demand);
            if !differences.is_empty() {
                return Err(format!("the model does not fit any more: {}", differences.join("; ")));
            }
            let name = model.model.decoder.to_string();
            let then = move |desk: &mut Self, sent: Result<(), String>| {
                if let (Ok(()), Some((rows, report))) = (&sent, fit) {
                    desk.follow_fit(name, rows, &report);
                }
                desk.tell_session(SessionInput::PutIn { model: id, result: sent });
            };
            self.handle.models(|models| models.want(id));
            self.swap_in(&model, staged, recorded, None, Box::new(then)).inspect_err(|_problem| {
                self.handle.models(|models| models.settle(id));
            })
        });
        if let Err(problem) = put_in {
            tracing::error!(problem, model = self.logged(id), "a model was not put in");
            self.publish_failed_swap(id, &problem);
            self.tell_session(SessionInput::PutIn { model: id, result: Err(problem) });
        }
    }

    /// A model of the run, built anew.
    fn build(&self, id: ModelId) -> Result<(Arc<IdentifiedModel>, Box<StagedModel>), String> {
        let model = self.handle.models(|models| models.get(id));
        let model = model.ok_or_else(|| "it was given up to make room for newer ones".to_owned())?;
        let staged = model.stage(self.settings.guard, KernelPath::detect());
        staged.map(|staged| (model, staged)).map_err(|error| error.to_string())
    }

    /// A fitted model is on its way to the tick.
    fn follow_fit(&self, decoder: String, rows: usize, report: &FitReport) {
        self.handle.update(|progress| progress.fit = Some((decoder, rows)));
        for warning in report.warnings.iter().filter(|_| !self.hid_decoder) {
            tracing::warn!("the new model: {warning}");
        }
    }

    /// A model as the log has it: while decoders are compared nobody is to read there which of them moves the cursor.
    pub(super) fn logged(&self, id: ModelId) -> String {
        if self.hid_decoder { HIDDEN } else { id }.to_hex()
    }
}
