//! What the open loop leaves to fit on, and the fit.

use kalmind_fitting::FitSettings;
use kalmind_offline::calibration_fit::fit_calibration;
use kalmind_session::{CalibrationTick, InForce};
use kalmind_types::{CursorDrive, TaskBlock};

use super::{Desk, Message, Stage};
use crate::tick::TickRecord;

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
        self.handle.update(|progress| {
            if progress.stage != Stage::None {
                progress.stage = Stage::Fitting;
            }
        });
        let fit = move || {
            let fitted = fit_calibration(
                &calibration,
                &spec,
                &demand,
                shuffle,
                guard,
                &FitSettings::default(),
                &mut |_| {},
            );
            desk.send_patiently(Message::Fitted(fitted.map(Box::new).map_err(|error| error.to_string())));
        };
        if let Err(error) = std::thread::Builder::new().name("kalmind-fit".to_owned()).spawn(fit) {
            self.handle_message(Message::Fitted(Err(format!("no thread for the fit: {error}"))));
        }
    }
}
