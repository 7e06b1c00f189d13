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
//! | input fresh again, stale for less than `auto_resume` | - | cleared | - | - | - |
//! | input fresh again, stale for longer | - | cleared | set if it was not fresh | - | - |
//! | fault | set | - | - | - | - |
//! | no model while `control` | - | - | - | - | idle |
//!
//! (`stale` is shown while the input is not fresh or awaits a resume; "-" leaves the condition as it is.) So a stop during a fault is still in force after the fault was cleared by
//! itself, and nothing but a resume by someone with the run's token clears `hold` or `fault`.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Actor, Cause, Mode, OutputState, Reason};
use serde::{Deserialize, Serialize};

/// The output's state with its latched conditions. Plain data: the live daemon copies it to see what a command would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStates {
    mode: Mode,
    mode_reason: Option<Reason>,
    hold: Option<Reason>,
    /// Why the input cannot be used: no complete bin for longer than `stale_after`, or one unlike training.
    not_fresh: Option<Cause>,
    /// Why the input was stale, where it was for so long that the operator must agree before it counts as fresh again.
    awaits_resume: Option<Cause>,
    fault: Option<Reason>,
}

impl OutputStates {
    /// Starts in `mode`, nothing latched.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { mode, mode_reason: None, hold: None, not_fresh: None, awaits_resume: None, fault: None }
    }

    /// The state shown and its reason: the condition with the highest code.
    #[must_use]
    pub fn shown(&self) -> (OutputState, Option<Reason>) {
        if self.fault.is_some() {
            (OutputState::Fault, self.fault)
        } else if let Some(cause) = self.not_fresh.or(self.awaits_resume) {
            // a stop under a stale state has to be seen as well
            let reason = match self.hold {
                Some(stop) => Reason { cause: Cause::StoppedAndNotFresh, by: stop.by },
                None => Reason { cause, by: Actor::Daemon },
            };
            (OutputState::Stale, Some(reason))
        } else if self.hold.is_some() {
            (OutputState::Hold, self.hold)
        } else {
            (self.mode.into(), self.mode_reason)
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
            self.awaits_resume = None;
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
    }

    /// The input arrives and cannot be used, for this cause. The first such cause is shown until the input can be used
    /// again: what follows in the bins after it follows from it.
    pub fn input_unusable(&mut self, cause: Cause) {
        if !self.not_fresh.is_some_and(Cause::is_implausible_input) {
            self.not_fresh = Some(cause);
        }
    }

    /// A complete bin came; `brief` says that the input was stale for less than `auto_resume`.
    pub fn input_fresh(&mut self, brief: bool) {
        let was = self.not_fresh.take();
        if !brief {
            self.awaits_resume = was.or(self.awaits_resume);
        }
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
        Unusable,
        Fresh(bool),
        Fault,
    }

    const MODES: [Mode; 3] = [Mode::Idle, Mode::Calibrating, Mode::Control];
    fn steps() -> Vec<Step> {
        let mut steps = vec![
            Step::Stop,
            Step::NoModel,
            Step::NotFresh,
            Step::Unusable,
            Step::Fresh(true),
            Step::Fresh(false),
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
                            awaits_resume: awaits_resume.then_some(Cause::ChannelsConstant),
                            fault,
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
            Step::NotFresh | Step::Unusable => (fault, true, awaits, hold, mode),
            Step::Fresh(true) => (fault, false, awaits, hold, mode),
            Step::Fresh(false) => (fault, false, awaits || not_fresh, hold, mode),
            Step::Fault => (true, not_fresh, awaits, hold, mode),
        }
    }

    fn facts(states: OutputStates) -> Facts {
        let OutputStates { mode, hold, not_fresh, awaits_resume, fault, .. } = states;
        (fault.is_some(), not_fresh.is_some(), awaits_resume.is_some(), hold.is_some(), mode)
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
    fn a_short_gap_does_not_clear_a_long_one_that_awaits_the_operator() {
        let mut states = OutputStates::new(Mode::Control);
        states.input_not_fresh();
        states.input_fresh(false);
        states.input_not_fresh();
        states.input_fresh(true);
        assert_eq!(states.state(), OutputState::Stale);
        states.request(Mode::Control, true, Actor::Operator);
        assert_eq!(states.state(), OutputState::Control);
    }

    #[test]
    fn a_stop_under_a_stale_state_shows_in_its_reason() {
        let mut states = OutputStates::new(Mode::Control);
        states.input_not_fresh();
        let before = states.shown();
        states.stop(Actor::Client);
        assert_ne!(states.shown(), before);
        assert_eq!(states.state(), OutputState::Stale);
        let reason = states.shown().1.map(|reason| reason.to_string());
        assert_eq!(reason.as_deref(), Some("input not fresh, and stopped by client"));
    }

    #[test]
    fn the_cause_is_shown_until_the_operator_agrees() {
        let mut states = OutputStates::new(Mode::Control);
        states.input_unusable(Cause::ChannelsConstant);
        states.input_not_fresh();
        let shown = Some(Reason { cause: Cause::ChannelsConstant, by: Actor::Daemon });
        assert_eq!(states.shown(), (OutputState::Stale, shown));
        states.input_fresh(false);
        assert_eq!(states.shown(), (OutputState::Stale, shown));
        states.input_not_fresh();
        assert_eq!(states.shown().1.map(|reason| reason.cause), Some(Cause::InputNotFresh));
        states.request(Mode::Control, true, Actor::Operator);
        states.input_fresh(true);
        assert_eq!(states.state(), OutputState::Control);
    }

    #[test]
    fn the_reason_names_who_stopped_it() {
        let mut states = OutputStates::new(Mode::Control);
        states.stop(Actor::Client);
        assert_eq!(states.shown().1.map(|reason| reason.to_string()).as_deref(), Some("stopped by client"));
    }
}
