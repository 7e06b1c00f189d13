//! A fitted model takes over.

use kalmind_acquisition::clock;
use kalmind_fitting::FitReport;
use kalmind_offline::{calibration_fit::CalibrationFit, model::ModelInDoubt};
use kalmind_output::DecoderInfo;
use kalmind_types::{
    Actor, Command, Confirmation, EventBody, Mode, ModelEvent, OperatorAction, OperatorRequest, Seconds,
    TaskBlock,
};

use super::{Desk, Message};

impl Desk {
    pub(super) fn take_fit(&mut self, fit: CalibrationFit) {
        let CalibrationFit { model, staged, rows, report } = fit;
        let (info, doubt) = (crate::decoder_info::decoder_info(&model), model.doubt());
        if let Some(recorder) = &self.settings.recorder {
            recorder.model(&model);
        }
        let then = move |desk: &mut Self| desk.follow_swap(info, doubt, rows, &report);
        if !self.warm_in(staged, Box::new(then)) {
            let problem = "too many models wait for their swap".to_owned();
            self.handle_message(Message::Fitted(Err(problem)));
        }
    }

    /// A fitted model is on its way to the tick.
    fn follow_swap(
        &mut self,
        info: DecoderInfo,
        doubt: Option<ModelInDoubt>,
        rows: usize,
        report: &FitReport,
    ) {
        self.handle.update(|progress| {
            progress.fit = Some((info.name.clone(), rows));
            progress.decoder = Some(info.clone());
            progress.doubt.clone_from(&doubt);
        });
        self.doubt.clone_from(&doubt);
        let DecoderInfo { name: decoder, model: hash, covariance, quality, warnings, poor } = info;
        let (train_bins, covariance) = (Some(rows as u64), Some(covariance));
        let swapped = ModelEvent::Swapped { decoder, hash, train_bins, covariance, quality, warnings, poor };
        self.events.publish(clock::now(), EventBody::Model(swapped));
        for warning in &report.warnings {
            tracing::warn!("the new model: {warning}");
        }
        let program = self.settings.program.clone();
        if let Some(program) = program {
            if let Some(doubt) = doubt.filter(|_| program.confirms_poor_decoder) {
                self.command(Command::ConfirmModel { model: doubt.model, by: Actor::Daemon });
                let request = OperatorRequest {
                    confirmed: vec![Confirmation::PoorDecoder],
                    model: Some(doubt.model.to_hex()),
                    program: true,
                    ..OperatorRequest::new(OperatorAction::Control, Actor::Daemon)
                };
                self.events.publish(clock::now(), EventBody::Operator(request));
            }
            let duration = program.closed_loop.unwrap_or(Seconds(f64::INFINITY));
            let time = self.newest;
            if let Some(task) = &mut self.task {
                let step = task.start(TaskBlock::ClosedLoop, duration, time);
                self.block = Some(TaskBlock::ClosedLoop);
                self.carry_out(step);
            }
            self.command(Command::Request { mode: Mode::Control, resume: false, by: Actor::Task });
        } else if let Some(mode @ Mode::Control) = self.wanted {
            // asked for while there was no model yet
            self.command(Command::Request { mode, resume: false, by: Actor::Task });
        }
    }
}
