//! A stretch of rest: nothing moves, and at its end somebody learns from it what thresholds and references are.

use kalmind_types::{Actor, Cause, LslTime, OutputState, Phase, SessionChange, TickOutput};

use super::{
    BlockState, Session,
    action::SessionAction,
    is_decoded,
    preset::Preset,
    reference::{ReferenceStatus, Rest},
    status::SessionState,
};

/// The part of the bins that may be incomplete.
const INCOMPLETE: f64 = 0.1;
/// A step of stream time longer than this breaks the stretch off.
const LONGEST_STEP_S: f64 = 1.0;

impl Session {
    /// A tick of a stretch of rest, which has to be whole: what interrupts it is said, and nothing is learnt from its parts.
    pub(super) fn step_rest(
        &mut self,
        output: &TickOutput,
        before: Option<LslTime>,
        actions: &mut Vec<SessionAction>,
    ) {
        let time = output.time;
        if !self.lets_rest() {
            // somebody stopped the output, or has the cursor move, or the signal was away, or filters settle: no rest, and none of
            // it counts
            return self.rest_anew();
        }
        let from = before.unwrap_or(time);
        let passed = (time - from).0;
        let mut rest = self.learning.rest.unwrap_or(Rest { begun: time, bins: 0, incomplete: 0 });
        if rest.bins > 0 {
            if !(0.0..=LONGEST_STEP_S).contains(&passed) {
                let why = format!(
                    "the signals were away for {:.1} s after {:.1} s of it",
                    passed.abs(),
                    self.elapsed
                );
                return self.fail_rest(time, &why, actions);
            }
            self.elapsed += passed;
        }
        rest.bins += 1;
        rest.incomplete += u64::from(output.incomplete);
        self.learning.rest = Some(rest);
        let Some(plan) = self.plan() else { return };
        let allowed = INCOMPLETE * plan.seconds / self.elapsed.max(f64::MIN_POSITIVE) * rest.bins as f64;
        let Rest { begun, bins, incomplete } = rest;
        // bins of a stream that is lost while another one goes on
        if bins as f64 >= 1.0 / INCOMPLETE && incomplete as f64 > allowed {
            let why =
                format!("{incomplete} of its {bins} bins are incomplete, after {:.1} s of it", self.elapsed);
            return self.fail_rest(time, &why, actions);
        }
        if self.elapsed < plan.seconds {
            return;
        }
        self.learning.rest = None;
        self.publish_block(time, Phase::End, actions);
        self.state = SessionState::Learning;
        let number = self.learning.number;
        self.learning.number += 1;
        self.learning.running = Some(number);
        actions.push(SessionAction::Learn { number, from: begun, to: time });
    }

    /// Whether what the output shows lets a rest go on. Where it is `stale` because the decoder that is there cannot use the signals,
    /// a rest may be what mends that; bins without a signal are counted; and what nobody has agreed to since the run began,
    /// since filters took long to settle, is nothing that came in between. While filters settle there is nothing to learn from, and
    /// after a longer silence the operator is asked.
    pub(super) fn lets_rest(&self) -> bool {
        match (self.shown, self.shown_cause) {
            (Some(OutputState::Idle), cause) => cause != Some(Cause::StagesSettle),
            (Some(OutputState::Stale), Some(Cause::AwaitsResume)) => self.fresh_since.is_none(),
            (Some(OutputState::Stale), cause) => !matches!(
                cause,
                Some(Cause::StoppedAndAwaitsResume | Cause::StoppedAndNotFresh | Cause::ShuttingDown)
            ),
            _ => false,
        }
    }

    /// The stretch that runs does not count: where it goes on, it begins anew.
    pub(super) fn rest_anew(&mut self) {
        if self.learning.rest.take().is_some() {
            self.elapsed = 0.0;
        }
    }

    /// Nobody waits any more for what is being learnt.
    pub(super) fn cancel_learning(&mut self, actions: &mut Vec<SessionAction>) {
        self.learning.rest = None;
        if let Some(number) = self.learning.running.take() {
            actions.push(SessionAction::CancelLearning { number });
        }
    }

    /// Whether the next block begins only once the stages that are on their way are in force: they stay as they are in it.
    pub(super) fn waits_for_stages(&self) -> bool {
        self.learning.stages_are_coming && self.plan().is_some_and(is_decoded)
    }

    /// Other stages are in force: what was gathered before is of other features, and so is what the decoder decodes from now on,
    /// which has to show anew what it is worth. Of which rest they are, who learns from one says next.
    pub(super) fn stages_changed(&mut self) {
        self.learning.reference = None;
        // what a block gathers on is of the new ones
        let clicks = self.preset.as_ref().is_some_and(Preset::selects_by_click);
        self.calibration = self.calibration.take().map(|_of_others| self.no_rows(clicks));
        self.fits.anew |= self.calibration.is_some();
        self.judge.other_model();
        self.overridden_by = None;
    }

    /// What came of a stretch of rest.
    pub(super) fn learnt(
        &mut self,
        now: LslTime,
        number: u64,
        result: Result<ReferenceStatus, String>,
        actions: &mut Vec<SessionAction>,
    ) {
        if self.learning.running != Some(number) {
            return;
        }
        self.learning.running = None;
        match result {
            Ok(reference) => {
                let ReferenceStatus { text, warnings, .. } = reference.clone();
                self.publish(now, Actor::Daemon, SessionChange::ReferenceLearnt { text, warnings }, actions);
                self.stages_changed();
                self.learning.reference = Some(reference);
                self.end_block(now, BlockState::Done, actions);
            }
            Err(why) => self.rest_failed(now, &why, actions),
        }
    }

    fn fail_rest(&mut self, time: LslTime, why: &str, actions: &mut Vec<SessionAction>) {
        self.learning.rest = None;
        self.publish_block(time, Phase::End, actions);
        self.rest_failed(time, why, actions);
    }

    /// Somebody decides whether it is repeated.
    fn rest_failed(&mut self, time: LslTime, why: &str, actions: &mut Vec<SessionAction>) {
        self.publish(time, Actor::Daemon, SessionChange::ReferenceFailed { why: why.to_owned() }, actions);
        self.end_block(time, BlockState::Skipped, actions);
        self.problem =
            Some(format!("nothing was learnt from the rest: {why}. Repeat it, or continue all the same"));
        if self.state != SessionState::Done {
            self.stand_still(time, "after the rest", actions);
        }
    }
}
