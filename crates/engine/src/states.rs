//! The output states: what may move the cursor, and who must agree before it moves again.
//!
//! Three conditions lie over the mode that people ask for. Each is latched on its own, and the state shown is the one
//! with the highest code among those that hold (`fault` 5, `stale` 4, `hold` 3, then the mode):
//!
//! | event | fault | not fresh | awaits resume | hold | mode |
//! |---|---|---|---|---|---|
//! | stop | - | - | - | set | - |
//! | request, with resume | cleared | - | cleared | cleared | as asked |
//! | request, without resume (tasks) | - | - | - | - | as asked |
//! | input not fresh for `stale_after`, or unlike training | - | set | - | - | - |
//! | input comes again, not yet steady | - | set, unsteady | - | - | - |
//! | input fresh again, stale for less than `auto_resume` | - | cleared | - | - | - |
//! | input fresh again, stale for longer | - | cleared | set if it was not fresh | - | - |
//! | input accepted (by a task that may) | - | - | cleared | - | - |
//! | fault | set | - | - | - | - |
//! | no model while `control` | - | - | - | - | idle |
//!
//! (`stale` is shown while the input is not fresh or awaits a resume; "-" leaves the condition as it is.) So a stop during a
//! fault is still in force after the fault was cleared by itself, and nothing but a resume by someone with the run's token
//! clears `hold` or `fault`. When the input counts as fresh again is `freshness`'s matter.
//!
//! Beside them stands how the input arrives: while that is being measured, or the stages of a stream settle after a start as
//! they declare, every mode is shown as `idle`, and while it is
//! slow and nobody has confirmed it, `control` is; the mode asked for is kept and comes into force afterwards. Likewise a
//! model in doubt, one that is no better than chance by its own fit report, is not controlled with until somebody confirms it;
//! in `calibrating`, which steers no other program, it moves the cursor: that is how it is found out what it is worth.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Actor, Cause, InputArrival, Mode, OutputState, Reason};
use serde::{Deserialize, Serialize};

/// The output's state with its latched conditions. Plain data: the live daemon copies it to see what a command would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStates {
    mode: Mode,
    mode_reason: Option<Reason>,
    hold: Option<Reason>,
    /// Why the input cannot be used: no complete bin for longer than `stale_after` or not steadily since, or signals unlike
    /// training.
    not_fresh: Option<Cause>,
    /// While not fresh: complete bins come again.
    unsteady: bool,
    /// The input was stale for so long that the operator must agree before it counts as fresh again.
    awaits_resume: bool,
    fault: Option<Reason>,
    input: InputArrival,
    /// Why the model that decodes may not control until somebody confirms it.
    #[serde(default)]
    doubt: Option<Cause>,
    /// Whether the stages of a stream settle, as they declare.
    #[serde(default)]
    settling: bool,
}

impl OutputStates {
    /// Starts in `mode`, nothing latched.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            mode_reason: None,
            hold: None,
            not_fresh: None,
            unsteady: false,
            awaits_resume: false,
            fault: None,
            input: InputArrival::Fit,
            doubt: None,
            settling: false,
        }
    }

    /// The state shown and its reason: the condition with the highest code.
    #[must_use]
    pub fn shown(&self) -> (OutputState, Option<Reason>) {
        if self.fault.is_some() {
            (OutputState::Fault, self.fault)
        } else if self.not_fresh.is_some() || self.awaits_resume {
            // a stop under a stale state has to be seen as well
            let (cause, by) = match (self.hold, self.not_fresh) {
                (Some(Reason { cause: Cause::ShuttingDown, by }), _) => (Cause::ShuttingDown, by),
                (Some(stop), Some(_)) => (Cause::StoppedAndNotFresh, stop.by),
                (Some(stop), None) => (Cause::StoppedAndAwaitsResume, stop.by),
                (None, Some(Cause::InputNotFresh)) if self.unsteady => (Cause::InputUnsteady, Actor::Daemon),
                (None, Some(cause)) => (cause, Actor::Daemon),
                (None, None) => (Cause::AwaitsResume, Actor::Daemon),
            };
            (OutputState::Stale, Some(Reason { cause, by }))
        } else if self.hold.is_some() {
            (OutputState::Hold, self.hold)
        } else {
            let kept_idle = match (self.input, self.mode) {
                (InputArrival::Measuring, _) => Some(Cause::MeasuringArrival),
                _ if self.settling => Some(Cause::StagesSettle),
                (InputArrival::Slow, Mode::Control) => Some(Cause::InputTooSlow),
                (InputArrival::Fit, Mode::Control) => self.doubt,
                _ => None,
            };
            match kept_idle {
                Some(cause) => (OutputState::Idle, Some(Reason { cause, by: Actor::Daemon })),
                None => (self.mode.into(), self.mode_reason),
            }
        }
    }

    /// The state shown.
    #[must_use]
    pub fn state(&self) -> OutputState {
        self.shown().0
    }

    /// The mode asked for, whatever lies over it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Latches `hold`.
    pub fn stop(&mut self, by: Actor) {
        let cause = if by == Actor::Signal { Cause::ShuttingDown } else { Cause::Stopped };
        self.hold = Some(Reason { cause, by });
    }

    /// Takes the mode asked for; with `resume` clears what is latched (an input that is not fresh stays so).
    pub fn request(&mut self, mode: Mode, resume: bool, by: Actor) {
        self.mode = mode;
        self.mode_reason = Some(Reason { cause: Cause::Requested, by });
        if resume {
            self.hold = None;
            self.fault = None;
            self.awaits_resume = false;
        }
    }

    /// `control` was asked for and there is nothing to control with: back to idle.
    pub fn no_model(&mut self) {
        if self.mode == Mode::Control {
            self.mode = Mode::Idle;
            self.mode_reason = Some(Reason { cause: Cause::NoModel, by: Actor::Daemon });
        }
    }

    /// There was no complete bin for longer than `stale_after`.
    pub fn input_not_fresh(&mut self) {
        self.not_fresh.get_or_insert(Cause::InputNotFresh);
        self.unsteady = false;
    }

    /// Whether the input counts as fresh.
    #[must_use]
    pub fn input_is_fresh(&self) -> bool {
        self.not_fresh.is_none()
    }

    /// The input arrives and cannot be used, for this cause. The first such cause is shown until the input can be used
    /// again: what follows in the bins after it follows from it.
    pub fn input_unusable(&mut self, cause: Cause) {
        if !self.not_fresh.is_some_and(Cause::is_implausible_input) {
            self.not_fresh = Some(cause);
        }
    }

    /// Complete bins come again, not yet for long enough to count as fresh.
    pub fn input_unsteady(&mut self) {
        self.not_fresh.get_or_insert(Cause::InputNotFresh);
        self.unsteady = true;
    }

    /// Somebody who may agrees to go on after a long silence; stops and faults stay.
    pub fn accept_input(&mut self) {
        self.awaits_resume = false;
    }

    /// A complete bin came; `brief` says that the input was stale for less than `auto_resume`.
    pub fn input_fresh(&mut self, brief: bool) {
        self.awaits_resume |= self.not_fresh.is_some() && !brief;
        self.not_fresh = None;
        self.unsteady = false;
    }

    /// Whether somebody has to agree to go on after a long silence.
    #[must_use]
    pub fn awaits_resume(&self) -> bool {
        self.awaits_resume
    }

    /// Somebody has to agree to go on.
    pub fn await_resume(&mut self) {
        self.awaits_resume = true;
    }

    /// Whether the signals came and were unlike those of training, or the decoder could not use them.
    #[must_use]
    pub fn input_is_implausible(&self) -> bool {
        self.not_fresh.is_some_and(Cause::is_implausible_input)
    }

    /// Whether no decoder may move the cursor in any mode: the input arrives too late, or the model is in doubt and such a one
    /// may not calibrate either, and nobody has agreed to that.
    #[must_use]
    pub fn decoder_is_at_rest(&self, doubted_calibrates: bool) -> bool {
        self.input == InputArrival::Slow || (self.doubt.is_some() && !doubted_calibrates)
    }

    /// Why the model that decodes may not control until somebody confirms it; none where it may, and without a model.
    pub fn doubt(&mut self, doubt: Option<Cause>) {
        self.doubt = doubt;
    }

    /// How the input arrives, from now on.
    pub fn input_arrival(&mut self, input: InputArrival) {
        self.input = input;
    }

    /// Whether the stages of a stream settle, as they declare, from now on.
    pub fn stages_settle(&mut self, settling: bool) {
        self.settling = settling;
    }

    /// Whether they do.
    #[must_use]
    pub fn stages_are_settling(&self) -> bool {
        self.settling
    }

    /// Something broke.
    pub fn fault(&mut self, cause: Cause) {
        self.fault = Some(Reason { cause, by: Actor::Daemon });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Stop,
        Request(Mode, bool),
        NoModel,
        NotFresh,
        Unsteady,
        Unusable,
        Fresh(bool),
        Accept,
        Fault,
    }

    const MODES: [Mode; 3] = [Mode::Idle, Mode::Calibrating, Mode::Control];
    fn steps() -> Vec<Step> {
        let mut steps = vec![
            Step::Stop,
            Step::NoModel,
            Step::NotFresh,
            Step::Unsteady,
            Step::Unusable,
            Step::Fresh(true),
            Step::Fresh(false),
            Step::Accept,
            Step::Fault,
        ];
        for mode in MODES {
            steps.push(Step::Request(mode, true));
            steps.push(Step::Request(mode, false));
        }
        steps
    }

    fn every_state() -> Vec<OutputStates> {
        let hold = Some(Reason { cause: Cause::Stopped, by: Actor::Operator });
        let fault = Some(Reason { cause: Cause::Panicked, by: Actor::Daemon });
        let mut all = Vec::new();
        for mode in MODES {
            for hold in [None, hold] {
                for (not_fresh, awaits_resume) in [(false, false), (false, true), (true, false), (true, true)]
                {
                    for fault in [None, fault] {
                        all.push(OutputStates {
                            mode,
                            mode_reason: None,
                            hold,
                            not_fresh: not_fresh.then_some(Cause::InputNotFresh),
                            unsteady: false,
                            awaits_resume,
                            fault,
                            input: InputArrival::Fit,
                            doubt: None,
                            settling: false,
                        });
                    }
                }
            }
        }
        all
    }

    fn apply(states: &mut OutputStates, step: Step) {
        match step {
            Step::Stop => states.stop(Actor::Client),
            Step::Request(mode, resume) => states.request(mode, resume, Actor::Operator),
            Step::NoModel => states.no_model(),
            Step::NotFresh => states.input_not_fresh(),
            Step::Unsteady => states.input_unsteady(),
            Step::Accept => states.accept_input(),
            Step::Unusable => states.input_unusable(Cause::ChannelsConstant),
            Step::Fresh(brief) => states.input_fresh(brief),
            Step::Fault => states.fault(Cause::NotFinite),
        }
    }

    /// Fault, not fresh, awaits resume, hold, mode.
    type Facts = (bool, bool, bool, bool, Mode);

    /// The table of the module's documentation, row by row.
    fn expected(before: Facts, step: Step) -> Facts {
        let (fault, not_fresh, awaits, hold, mode) = before;
        match step {
            Step::Stop => (fault, not_fresh, awaits, true, mode),
            Step::Request(asked, true) => (false, not_fresh, false, false, asked),
            Step::Request(asked, false) => (fault, not_fresh, awaits, hold, asked),
            Step::NoModel if mode == Mode::Control => (fault, not_fresh, awaits, hold, Mode::Idle),
            Step::NoModel => before,
            Step::NotFresh | Step::Unsteady | Step::Unusable => (fault, true, awaits, hold, mode),
            Step::Accept => (fault, not_fresh, false, hold, mode),
            Step::Fresh(true) => (fault, false, awaits, hold, mode),
            Step::Fresh(false) => (fault, false, awaits || not_fresh, hold, mode),
            Step::Fault => (true, not_fresh, awaits, hold, mode),
        }
    }

    fn facts(states: OutputStates) -> Facts {
        let OutputStates { mode, hold, not_fresh, awaits_resume, fault, .. } = states;
        (fault.is_some(), not_fresh.is_some(), awaits_resume, hold.is_some(), mode)
    }

    #[test]
    fn every_step_from_every_state_follows_the_table() {
        let states = every_state();
        assert_eq!(states.len(), 48);
        for before in states {
            for step in steps() {
                let mut after = before;
                apply(&mut after, step);
                assert_eq!(facts(after), expected(facts(before), step), "{before:?} {step:?}");
            }
        }
    }

    #[test]
    fn the_highest_code_wins() {
        for states in every_state() {
            let (fault, not_fresh, awaits, hold, mode) = facts(states);
            let mut codes = vec![OutputState::from(mode).code()];
            if hold {
                codes.push(OutputState::Hold.code());
            }
            if not_fresh || awaits {
                codes.push(OutputState::Stale.code());
            }
            if fault {
                codes.push(OutputState::Fault.code());
            }
            assert_eq!(states.state().code(), codes.into_iter().max().expect("never empty"));
        }
    }

    #[test]
    fn only_a_resume_leads_out_of_hold_and_fault() {
        for before in every_state() {
            for step in steps() {
                let mut after = before;
                apply(&mut after, step);
                let resumed = matches!(step, Step::Request(_, true));
                assert!(resumed || before.hold.is_none() || after.hold.is_some(), "{before:?} {step:?}");
                assert!(resumed || before.fault.is_none() || after.fault.is_some(), "{before:?} {step:?}");
            }
        }
    }

    #[test]
    fn every_reason_is_a_sentence_of_its_own() {
        let mut texts: Vec<String> = every_state()
            .into_iter()
            .filter_map(|states| states.shown().1)
            .map(|reason| reason.to_string())
            .collect();
        texts.sort();
        texts.dedup();
        for text in &texts {
            assert!(!text.contains("not fresh") && !text.contains("by Kalmind"), "{text}");
        }
        assert!(texts.len() >= 5, "{texts:?}");
    }

    #[test]
    fn nothing_moves_while_arrival_is_measured_and_the_mode_asked_for_follows() {
        for before in every_state() {
            let mut states = before;
            states.input_arrival(InputArrival::Measuring);
            assert!(!states.state().moves(), "{states:?}");
            let latched = facts(before).0 || facts(before).1 || facts(before).2 || facts(before).3;
            assert_eq!(states.state() == before.state(), latched || before.mode == Mode::Idle);
            states.input_arrival(InputArrival::Fit);
            assert_eq!(states, before);
        }
        let mut states = OutputStates::new(Mode::Idle);
        states.input_arrival(InputArrival::Measuring);
        states.request(Mode::Calibrating, false, Actor::Task);
        let reason = states.shown().1.map(|reason| reason.to_string());
        assert_eq!(reason.as_deref(), Some("measuring how samples arrive"));
        states.input_arrival(InputArrival::Slow);
        assert_eq!(states.state(), OutputState::Calibrating, "only control needs a quick input");
        states.request(Mode::Control, true, Actor::Operator);
        assert_eq!(states.state(), OutputState::Idle);
        states.input_arrival(InputArrival::Fit);
        assert_eq!(states.state(), OutputState::Control);
    }

    #[test]
    fn a_model_in_doubt_keeps_control_idle_and_nothing_else() {
        for before in every_state() {
            let mut states = before;
            states.doubt(Some(Cause::DecoderAtChance));
            let latched = facts(before).0 || facts(before).1 || facts(before).2 || facts(before).3;
            assert_eq!(states.state() == before.state(), latched || before.mode != Mode::Control);
            assert_ne!(states.state(), OutputState::Control);
            states.doubt(None);
            assert_eq!(states, before);
        }
        let mut states = OutputStates::new(Mode::Control);
        states.doubt(Some(Cause::DecoderAtChance));
        assert_eq!(states.shown().1.map(|reason| reason.cause), Some(Cause::DecoderAtChance));
        states.input_arrival(InputArrival::Slow);
        assert_eq!(states.shown().1.map(|reason| reason.cause), Some(Cause::InputTooSlow), "one at a time");
    }
}
