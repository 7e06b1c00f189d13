//! What the open loop leaves to fit on, and the fit.

use std::{num::NonZero, sync::Arc};

use kalmind_acquisition::clock;
use kalmind_fitting::{FitPool, FitSettings};
use kalmind_offline::calibration_fit::{CalibrationFit, RecordedFit, fit_calibration};
use kalmind_session::{CalibrationTick, InForce};
use kalmind_types::{Actor, CursorDrive, ModelSource, TaskBlock};

use super::{Desk, Message, Stage};
use crate::{models::run_models::Origin, process::realtime, tick::TickRecord};

impl Desk {
    /// Takes a tick as a row to fit on, where an open loop runs.
    pub(super) fn learn(&mut self, record: &TickRecord) {
        let output = &record.published.output;
        self.timeline.forget(record.input.start);
        if let Some(calibration) = &mut self.calibration {
            let InForce { target, trial, block } = self.timeline.over(record.input.start, record.input.time);
            self.features.clear();
            self.features.extend(self.settings.layout.in_use(&record.input.masked, &record.features));
            let drive = block.map_or(CursorDrive::Decoder, TaskBlock::drive);
            let features = &self.features;
            calibration.observe(CalibrationTick { output, features, target, trial, drive });
        }
    }

    /// The threads that fits run on: all fits of a run share them, and they give way to everything else on the machine.
    fn fit_pool(&mut self) -> Result<Arc<FitPool>, String> {
        if let Some(pool) = &self.fits {
            return Ok(Arc::clone(pool));
        }
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let pool = FitPool::new(cores, realtime::low_priority);
        let pool = Arc::new(pool.map_err(|error| format!("no threads for the fit: {error}"))?);
        self.fits = Some(Arc::clone(&pool));
        Ok(pool)
    }

    pub(super) fn start_fit(&mut self) {
        let Some(spec) = self.settings.calibrate else { return };
        let Some(calibration) = self.calibration.take() else { return };
        let demand = self.settings.demand.clone();
        let guard = self.settings.guard;
        let shuffle = self
            .settings
            .program
            .as_ref()
            .filter(|program| program.shuffled_labels)
            .map(|program| program.seed);
        let desk = self.handle.clone();
        let save = self.settings.save.clone();
        let recorded = self.settings.recorder.is_some();
        self.handle.update(|progress| {
            if progress.stage != Stage::None {
                progress.stage = Stage::Fitting;
            }
        });
        let pool = match self.fit_pool() {
            Ok(pool) => pool,
            Err(problem) => return self.handle_message(Message::Fitted(Err(problem))),
        };
        let fit = move || {
            let settings = FitSettings::default();
            let work =
                || fit_calibration(&calibration, &spec, &demand, shuffle, guard, &settings, &mut |_| {});
            let ended = pool.run(work).map_err(|panicked| panicked.to_string());
            let mut fitted = ended.and_then(|fitted| fitted.map_err(|error| error.to_string()));
            if let (Ok(fitted), true) = (&mut fitted, recorded) {
                fitted.recorded = RecordedFit::of(&fitted.model, calibration, save.is_some()).map(Arc::new);
            }
            let model = fitted.as_ref().ok().map(|fitted| Arc::clone(&fitted.model));
            if let Ok(CalibrationFit { model, rows, .. }) = &fitted {
                let origin = Origin {
                    source: ModelSource::Fitted,
                    by: Actor::Daemon,
                    added: clock::now(),
                    train_bins: Some(*rows as u64),
                    file: None,
                };
                desk.models(|models| models.add(model, origin));
            }
            desk.send_patiently(Message::Fitted(fitted.map(Box::new)));
            // a slow disk keeps nobody from decoding
            if let Some((model, save)) = model.zip(save) {
                match save.save(&model, clock::clock_pair().unix) {
                    Ok(file) => desk.models(|models| models.saved_as(model.id, file)),
                    Err(error) => tracing::error!(%error, "the model was not saved; it decodes all the same"),
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("kalmind-fit".to_owned()).spawn(fit) {
            self.handle_message(Message::Fitted(Err(format!("no thread for the fit: {error}"))));
        }
    }
}
