//! When a session fits, and what it makes of what comes of it.

use kalmind_types::{
    Actor, Command, CursorDrive, EventBody, LslTime, Mode, ModelEvent, ModelId, SessionChange, TaskBlock,
};

use super::{
    Session,
    action::{FitOrder, SessionAction},
    input::{FittedModel, SessionTick},
    preset::BlockPlan,
    status::SessionState,
    verdict::VerdictKind,
};
use crate::{Calibration, CalibrationTick, InForce};

/// Fewest rows that a fit is asked for with: a second of bins of 20 ms.
const FEWEST_ROWS: usize = 50;
/// The newest models of its own that a session knows again in ticks.
const OURS: usize = 8;

impl Session {
    /// Takes a tick as a row to fit on, where one is gathered.
    pub(super) fn learn(&mut self, tick: &SessionTick<'_>) {
        self.timeline.forget(tick.start);
        let gathers = self.told_block.is_some()
            || self.state != SessionState::Running
            || self.plan().is_some_and(BlockPlan::gathers);
        let Some(calibration) = self.calibration.as_mut().filter(|_| gathers) else { return };
        let InForce { target, trial, block } = self.timeline.over(tick.start, tick.output.time);
        let drive = match block {
            // in a closed loop the label law may drive, until there is a decoder that does
            Some(TaskBlock::ClosedLoop) if self.task.is_some() => self.helped.drive,
            block => block.map_or(CursorDrive::Decoder, TaskBlock::drive),
        };
        calibration.observe(CalibrationTick {
            output: tick.output,
            features: tick.features,
            target,
            trial,
            drive,
        });
    }

    /// Asks for a fit while a block runs, where it is time for one.
    pub(super) fn refit(&mut self, actions: &mut Vec<SessionAction>) {
        let Some(every) = self.plan().and_then(|plan| plan.refit_every_s) else { return };
        let enough = self.calibration.as_ref().is_some_and(|rows| rows.rows() >= FEWEST_ROWS);
        if enough && self.fits.are_idle() && self.elapsed - self.fits.asked_at >= every {
            self.fits.asked_at = self.elapsed;
            if let Some(decoder) = self.decoder() {
                self.order(decoder, true, actions);
            }
        }
    }

    /// Asks for the fit that follows a block. Whether there is one to wait for.
    pub(super) fn fit_after_block(&mut self, actions: &mut Vec<SessionAction>) -> bool {
        let Some(plan) = self.plan().filter(|plan| plan.fits_after()) else { return false };
        let Some(decoder) = plan.fit_decoder.clone().or_else(|| self.decoder()) else { return false };
        if self.fits.running.is_some() {
            self.fits.then = Some(decoder);
        } else {
            self.order(decoder, false, actions);
        }
        self.fits.running.is_some()
    }

    /// Asks for the next fit of a comparison that comes. Whether there is one to wait for.
    pub(super) fn fit_compared(&mut self, actions: &mut Vec<SessionAction>) -> bool {
        if self.compared_block().is_none() {
            return false;
        }
        let next = self.comparison.as_ref().and_then(|compared| compared.decoders().nth(self.compared.len()));
        let Some(decoder) = next.map(str::to_owned) else { return false };
        self.order(decoder, false, actions);
        self.fits.running.is_some()
    }

    /// Whether the decoder of the block that comes is in, where decoders are compared. Where it is not it is fitted, or put
    /// in, first; where there is nothing to fit it to, somebody has to decide.
    pub(super) fn has_compared(&mut self, now: LslTime, actions: &mut Vec<SessionAction>) -> bool {
        let (Some(block), Some(comparison)) = (self.compared_block(), &self.comparison) else { return true };
        if self.compared.len() < comparison.decoders().count() {
            if self.fit_compared(actions) {
                self.state = SessionState::Fitting;
            } else {
                self.problem = Some("nothing was gathered that the decoders could be fitted to".to_owned());
                self.stand_still(now, "there is nothing to compare", actions);
            }
            return false;
        }
        let wanted = comparison.decoder_of(block).and_then(|place| self.compared.get(place));
        let is_in = wanted.map(|model| model.id) == self.model.as_ref().map(|model| model.id);
        if !is_in {
            self.put_in_compared(actions);
        }
        is_in
    }

    /// Lets the decoder of a compared block take over while the session rests before it.
    pub(super) fn put_in_compared(&mut self, actions: &mut Vec<SessionAction>) {
        let (Some(block), Some(comparison)) = (self.compared_block(), &self.comparison) else { return };
        let model = comparison.decoder_of(block).and_then(|place| self.compared.get(place));
        if let Some(model) = model.cloned() {
            actions.push(SessionAction::PutIn(model.id));
            self.coming.push(model);
        }
    }

    /// Asks for the fit that follows an open loop by others.
    pub(super) fn fit_told(&mut self, actions: &mut Vec<SessionAction>) {
        let (Some(decoder), Some(rows)) = (self.decoder(), self.calibration.take()) else { return };
        self.send_order(decoder, rows, false, actions);
    }

    /// Nobody waits for a fit any more.
    pub(super) fn cancel_fit(&mut self, actions: &mut Vec<SessionAction>) {
        self.fits.then = None;
        if let Some(number) = self.fits.running.take() {
            actions.push(SessionAction::CancelFit { number });
        }
    }

    /// The session is over: models that it has asked for and that are still on their way do not take over any more.
    pub(super) fn take_back_coming(&mut self, now: LslTime, actions: &mut Vec<SessionAction>) {
        let decodes = self.decodes.map(|(id, _)| id);
        // one that was sent and that no tick has shown may have come back to be warmed again
        let unseen = self.model.iter().filter(|model| Some(model.id) != decodes);
        actions.extend(unseen.map(|model| SessionAction::TakeBack(model.id)));
        for FittedModel { id, .. } in core::mem::take(&mut self.coming) {
            self.fits.status.kept_out += 1;
            actions.push(SessionAction::TakeBack(id));
            let why = "the session ended before it took over".to_owned();
            let change = SessionChange::ModelKeptOut { hash: id.to_hex(), why };
            self.publish(now, Actor::Daemon, change, actions);
        }
    }

    fn decoder(&self) -> Option<String> {
        let preset = self.preset.as_ref().and_then(|preset| preset.decoder.clone());
        preset.or_else(|| self.settings.decoder.clone())
    }

    fn order(&mut self, decoder: String, provisional: bool, actions: &mut Vec<SessionAction>) {
        if let Some(rows) = self.calibration.clone() {
            self.send_order(decoder, rows, provisional, actions);
        }
    }

    fn send_order(
        &mut self,
        decoder: String,
        rows: Calibration,
        provisional: bool,
        actions: &mut Vec<SessionAction>,
    ) {
        let number = self.fits.next;
        self.fits.next += 1;
        self.fits.running = Some(number);
        let anew = core::mem::take(&mut self.fits.anew);
        actions.push(SessionAction::Fit(Box::new(FitOrder { number, decoder, rows, provisional, anew })));
    }

    /// A fit has ended.
    pub(super) fn fitted(
        &mut self,
        now: LslTime,
        number: u64,
        result: Result<FittedModel, String>,
        actions: &mut Vec<SessionAction>,
    ) {
        if self.fits.running != Some(number) {
            // it was cancelled
            return;
        }
        self.fits.running = None;
        match result {
            Ok(model) if self.compared_block().is_some() => {
                self.compared.push(model);
                if !self.fit_compared(actions) {
                    self.rest(actions);
                }
            }
            Ok(model) => self.take_model(now, model, actions),
            Err(problem) => {
                self.fits.status.failed += 1;
                self.fits.status.newest = Some(format!("the fit failed: {problem}"));
                let failed = ModelEvent::FitFailed { problem: problem.clone() };
                actions.push(SessionAction::Publish { time: now, event: EventBody::Model(failed) });
                self.go_on_without(now, &format!("the fit failed: {problem}"), actions);
            }
        }
        if let Some(decoder) = self.fits.then.take() {
            self.order(decoder, false, actions);
        }
    }

    /// A fitted model is put in, unless it is worse than the one that decodes.
    fn take_model(&mut self, now: LslTime, model: FittedModel, actions: &mut Vec<SessionAction>) {
        // a task by others decides for itself: what is in doubt waits for a confirmation
        let is_better = self.preset.is_some()
            && match (&self.model, self.decodes) {
                (Some(before), Some((decodes, _))) if before.id == decodes => before.doubt.is_none(),
                // one that was loaded, or that somebody activated
                (_, Some((_, doubt))) => !doubt,
                (before, None) => before.as_ref().is_some_and(|before| before.doubt.is_none()),
            };
        // one that has earned a verdict since is no more in doubt, whatever its own fit said
        let is_proven = model.better_than_chance == Some(false)
            && self.preset.is_some()
            && self.verdict().verdict == VerdictKind::GoodEnough;
        match &model.doubt {
            Some(doubt) if is_better || is_proven => {
                let why = format!("{doubt}; the decoder before it goes on");
                self.fits.status.kept_out += 1;
                self.fits.status.newest = Some(format!("kept out: {why}"));
                let change = SessionChange::ModelKeptOut { hash: model.id.to_hex(), why: why.clone() };
                self.publish(now, Actor::Daemon, change, actions);
                self.go_on_without(now, &why, actions);
            }
            _ => {
                actions.push(SessionAction::PutIn(model.id));
                self.coming.push(model);
            }
        }
    }

    /// A model was put in, or could not be.
    pub(super) fn put_in(
        &mut self,
        now: LslTime,
        id: ModelId,
        result: Result<(), String>,
        actions: &mut Vec<SessionAction>,
    ) {
        let Some(place) = self.coming.iter().position(|model| model.id == id) else { return };
        let model = self.coming.remove(place);
        match result {
            Ok(()) => {
                self.fits.status.done += 1;
                let rows = model.rows;
                self.fits.status.newest = Some(if self.hides_decoder() {
                    "a compared decoder took over".to_owned()
                } else {
                    format!("{} fitted to {rows} bins", model.decoder)
                });
                let doubt = model.doubt.is_some();
                self.judge.model(&model);
                if self.ours.len() == OURS {
                    self.ours.pop_front();
                }
                self.ours.push_back(id);
                self.model = Some(model);
                if doubt && self.may_control() {
                    actions
                        .push(SessionAction::Command(Command::ConfirmModel { model: id, by: Actor::Daemon }));
                }
                if self.state == SessionState::Fitting {
                    if self.fits.are_idle() {
                        self.advance(now, actions);
                    }
                } else if self.preset.is_none() && self.wanted == Some(Mode::Control) {
                    // asked for while there was no model yet
                    self.ask_for(Mode::Control, actions);
                }
            }
            Err(problem) => {
                self.fits.status.failed += 1;
                self.fits.status.newest = Some(format!("the model was not put in: {problem}"));
                if self.state == SessionState::Resting && self.compared_block().is_some() {
                    self.problem = Some(format!("a compared decoder could not take over: {problem}"));
                    self.stand_still(now, "the decoder of the next block is not there", actions);
                }
                self.go_on_without(now, &problem, actions);
            }
        }
    }

    /// Nothing came of a fit. A session that waits for it goes on where a decoder is there; else somebody has to decide.
    fn go_on_without(&mut self, now: LslTime, problem: &str, actions: &mut Vec<SessionAction>) {
        if self.state != SessionState::Fitting || !self.fits.are_idle() {
            return;
        }
        if self.compared_block().is_none() && (self.model.is_some() || self.decodes.is_some()) {
            self.problem = Some(problem.to_owned());
            self.advance(now, actions);
        } else {
            self.problem = Some(format!(
                "{problem}. There is no decoder to go on with: repeat the block, or end the session"
            ));
            self.stand_still(now, "there is no decoder to go on with", actions);
        }
    }
}
