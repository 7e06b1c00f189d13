//! How the blocks of a preset run, tick by tick.

use kalmind_types::{
    Actor, Assistance, Command, CursorDrive, EventBody, LslTime, Mode, Phase, Seconds, SessionChange,
    TaskBlock, TaskState, TickOutput, TrialResult,
};

use super::{
    BlockRecord, BlockState, Session,
    action::SessionAction,
    input::SessionTick,
    preset::{BlockPlan, Preset},
    score::Scoring,
    status::SessionState,
    verdict::{Verdict, VerdictKind},
};
use crate::{Calibration, ClickLabelLaw, TaskScore, TaskStep, TaskTick, seconds_that_count, task_named};

/// The cursor's help is told anew where it has changed by this.
const HELP_STEP: f64 = 0.01;
/// A step of stream time longer than this counts for no rest.
const LONGEST_STEP_S: f64 = 1.0;
/// The most help with which a target counts as one that the participant acquired.
const HARDLY_HELPED: f64 = 0.2;

impl Session {
    /// A tick of a session that runs; `before` is the time of the tick before.
    pub(super) fn step(
        &mut self,
        tick: &SessionTick<'_>,
        before: Option<LslTime>,
        actions: &mut Vec<SessionAction>,
    ) {
        let output = tick.output;
        if self.paused.is_some() {
            // whoever rests is disturbed
            return self.rest_anew();
        }
        let passed = before.map_or(0.0, |before| (output.time - before).0);
        match self.state {
            // what somebody stopped goes on when they say so
            SessionState::Resting if self.is_stopped() => {}
            SessionState::Resting => {
                if (0.0..=LONGEST_STEP_S).contains(&passed) {
                    self.elapsed += passed;
                }
                let may_begin = self.is_rested() && !self.waits_for_stages();
                // a compared decoder is put in meanwhile
                if may_begin && self.coming.is_empty() && self.has_compared(output.time, actions) {
                    self.begin_block(output.time, actions);
                }
            }
            SessionState::Running if self.task.is_some() => self.step_block(output, before, actions),
            SessionState::Running if self.plan().is_some_and(|plan| plan.block == TaskBlock::Rest) => {
                self.step_rest(output, before, actions);
            }
            SessionState::Running => self.check_signals(tick, before, actions),
            SessionState::Closed
            | SessionState::Ready
            | SessionState::Fitting
            | SessionState::Learning
            | SessionState::Paused
            | SessionState::Done => {}
        }
    }

    /// Whether the rest before the block that comes is over.
    pub(super) fn is_rested(&self) -> bool {
        self.state == SessionState::Resting && self.plan().is_none_or(|plan| self.elapsed >= plan.rest_s)
    }

    fn step_block(&mut self, output: &TickOutput, before: Option<LslTime>, actions: &mut Vec<SessionAction>) {
        let TickOutput { time, position, state, click, .. } = *output;
        let counted = before.and_then(|before| seconds_that_count(before, time, state));
        let target = self.target;
        if let Some(record) = self.blocks.get_mut(self.at) {
            record.scoring.observe(time, counted, position, target, click);
        }
        let Some(task) = &mut self.task else { return };
        let runs = task.block().is_some();
        let step = task.step(TaskTick { time, position, state, click });
        let elapsed = task.elapsed().0;
        self.elapsed = if runs && elapsed <= 0.0 { self.elapsed + counted.unwrap_or(0.0) } else { elapsed };
        let ends =
            step.events.iter().any(|event| matches!(event.content, EventBody::Trial { result: Some(_), .. }));
        self.carry_out(step, actions);
        if ends {
            self.note_score();
        }
        let is_over = self.task.as_ref().is_none_or(|task| task.block().is_none());
        let is_good = self.plan().is_some_and(|plan| plan.until_good_enough) && {
            self.verdict().verdict == VerdictKind::GoodEnough
        };
        if is_over {
            return self.end_block(time, BlockState::Done, actions);
        }
        if is_good {
            self.break_off(time, actions);
            return self.end_block(time, BlockState::Done, actions);
        }
        self.help(actions);
        self.keep_mode(actions);
        self.refit(actions);
    }

    /// A signal check: nothing moves. Where signals are missing at its end, somebody has to look before it goes on.
    fn check_signals(
        &mut self,
        tick: &SessionTick<'_>,
        before: Option<LslTime>,
        actions: &mut Vec<SessionAction>,
    ) {
        let time = tick.output.time;
        let passed = before.map_or(0.0, |before| (time - before).0);
        self.elapsed += if (0.0..=LONGEST_STEP_S).contains(&passed) { passed } else { 0.0 };
        self.signals.get_or_insert_default().observe(tick.output, tick.features);
        if self.plan().is_none_or(|plan| self.elapsed >= plan.seconds) {
            self.publish_block(time, Phase::End, actions);
            self.end_block(time, BlockState::Done, actions);
            let max_dead = self.settings.calibration.max_masked;
            let found = self.signals.as_ref().map(|signals| signals.status(max_dead));
            let found = found.filter(|found| !found.is_good && self.state != SessionState::Done);
            if let Some(found) = found {
                self.problem =
                    Some(format!("signal check: {}. Repeat it, or continue all the same", found.text));
                self.stand_still(time, "at the signal check", actions);
            }
        }
    }

    /// The next block begins, after the rest before it.
    pub(super) fn rest(&mut self, actions: &mut Vec<SessionAction>) {
        self.state = SessionState::Resting;
        self.elapsed = 0.0;
        if self.wanted != Some(Mode::Idle) {
            self.ask_for(Mode::Idle, actions);
        }
        self.put_in_compared(actions);
    }

    /// The block that comes next begins.
    pub(super) fn begin_block(&mut self, time: LslTime, actions: &mut Vec<SessionAction>) {
        let Some(plan) = self.plan().cloned() else { return };
        self.elapsed = 0.0;
        self.problem = None;
        self.say_what_selects(&plan);
        self.trial_help = 0.0;
        self.helped = TaskState::default();
        self.state = SessionState::Running;
        self.fits.begin_block();
        if let Some(record) = self.blocks.get_mut(self.at) {
            *record = BlockRecord { state: BlockState::Running, ..BlockRecord::default() };
        }
        if self.calibration.is_none() {
            let clicks = self.preset.as_ref().is_some_and(Preset::selects_by_click);
            self.calibration = Some(self.no_rows(clicks));
            self.fits.anew = true;
        }
        self.begun.get_or_insert(time);
        let started = SessionChange::BlockStarted { number: self.at, title: plan.title.clone() };
        self.publish(time, Actor::Daemon, started, actions);
        match self.build(&plan) {
            None => {
                self.signals.take_if(|_| plan.block == TaskBlock::SignalCheck);
                self.publish_block(time, Phase::Start, actions);
                self.ask_for(plan.block.mode(), actions);
            }
            Some(mut task) => {
                let step = task.start(plan.block, Seconds(plan.seconds), time);
                let scoring = Scoring::new(task.score().choices(), self.lead_of_clicks(&plan));
                if let Some(record) = self.blocks.get_mut(self.at) {
                    record.scoring = scoring;
                }
                self.task = Some(task);
                self.note_score();
                self.carry_out(step, actions);
                self.wanted = None;
                self.keep_mode(actions);
            }
        }
    }

    /// Rows to gather in, with or without clicks.
    pub(super) fn no_rows(&self, clicks: bool) -> Calibration {
        let rows = Calibration::new(self.settings.calibration, self.settings.features);
        rows.with_clicks(clicks.then(ClickLabelLaw::default))
    }

    /// The task of a block; a preset that was opened has no other than those that there are.
    fn build(&self, plan: &BlockPlan) -> Option<Box<dyn crate::Task>> {
        let kind = task_named(plan.task.as_deref()?)?;
        let mut options: Vec<(&str, f64)> =
            plan.options.iter().map(|(option, value)| (option.as_str(), *value)).collect();
        if plan.selects_by_click() && !self.selects_by_click(plan) {
            options.push(("select", 0.0));
        }
        // blocks of one task show other targets each
        let seed = self.settings.seed.wrapping_add(0x9e37_79b9 * self.at as u64);
        kind.build(seed, &options).ok()
    }

    /// Ends the task of the block that runs, before its time.
    pub(super) fn break_off(&mut self, time: LslTime, actions: &mut Vec<SessionAction>) {
        match &mut self.task {
            Some(task) => {
                let step = task.stop(time);
                self.carry_out(step, actions);
            }
            None if self.state == SessionState::Running => self.publish_block(time, Phase::End, actions),
            None => {}
        }
    }

    /// The block that ran is over: a fit follows, or the next one.
    pub(super) fn end_block(&mut self, time: LslTime, state: BlockState, actions: &mut Vec<SessionAction>) {
        self.note_score();
        (self.task, self.learning.rest) = (None, None);
        if let Some(record) = self.blocks.get_mut(self.at) {
            record.state = state;
        }
        let score = self.blocks.get(self.at).and_then(|record| record.score.clone());
        if let (Some(block), Some(comparison), Some(score)) = (
            self.compared_block(),
            &mut self.comparison,
            score.as_ref().filter(|_| state == BlockState::Done),
        ) {
            comparison.note(block, score);
        }
        let ended = SessionChange::BlockEnded { number: self.at, score: serde_json::json!(score) };
        self.publish(time, Actor::Daemon, ended, actions);
        self.ask_for(Mode::Idle, actions);
        if self.fit_after_block(actions) {
            self.state = SessionState::Fitting;
        } else {
            // one that was to follow soon would change the decoder in the middle of the next block
            self.cancel_fit(actions);
            self.advance(time, actions);
        }
    }

    /// Goes on with the block after the one that ended.
    pub(super) fn advance(&mut self, time: LslTime, actions: &mut Vec<SessionAction>) {
        self.at += 1;
        if self.plan().is_some() {
            if self.fit_compared(actions) {
                self.state = SessionState::Fitting;
            } else {
                self.rest(actions);
            }
        } else {
            self.finish(time, Actor::Daemon, "all blocks are over", actions);
        }
    }

    /// The session is over.
    pub(super) fn finish(&mut self, time: LslTime, by: Actor, why: &str, actions: &mut Vec<SessionAction>) {
        self.cancel_fit(actions);
        self.cancel_learning(actions);
        self.take_back_coming(time, actions);
        self.state = SessionState::Done;
        (self.paused, self.problem) = (None, None);
        self.publish(time, by, SessionChange::Ended { why: why.to_owned() }, actions);
        if self.wanted != Some(Mode::Idle) {
            self.ask_for(Mode::Idle, actions);
        }
    }

    /// The session stands still until somebody decides.
    pub(super) fn stand_still(&mut self, time: LslTime, why: &str, actions: &mut Vec<SessionAction>) {
        self.paused = Some(why.to_owned());
        self.publish(time, Actor::Daemon, SessionChange::Paused { why: why.to_owned() }, actions);
        self.ask_for(Mode::Idle, actions);
    }

    /// What a step of the task wants told and done.
    fn carry_out(&mut self, step: TaskStep, actions: &mut Vec<SessionAction>) {
        for command in &step.commands {
            if let (Command::PlaceCursor(place), Some(record)) = (command, self.blocks.get_mut(self.at)) {
                record.scoring.place(*place);
            }
        }
        for event in step.events {
            self.timeline.take(event.time, &event.content);
            match event.content {
                EventBody::Target(target) => (self.shown_at, self.target) = (event.time, target),
                EventBody::Trial { phase: Phase::End, result: Some(result), .. } => {
                    self.end_trial(event.time, result);
                }
                EventBody::Trial { phase: Phase::Start, .. } => {
                    self.trial_help = self.help_now().2;
                    if let Some(record) = self.blocks.get_mut(self.at) {
                        record.scoring.begin_trial();
                    }
                }
                _ => {}
            }
            actions.push(SessionAction::Publish { time: event.time, event: event.content });
        }
        for command in step.commands {
            let command = match command {
                Command::Task(task) => {
                    let (drive, assistance, _) = self.help_now();
                    self.helped = TaskState { target: task.target, drive, assistance };
                    Command::Task(self.helped)
                }
                other => other,
            };
            actions.push(SessionAction::Command(command));
        }
    }

    fn end_trial(&mut self, time: LslTime, result: TrialResult) {
        let help = self.trial_help;
        let is_decoded = self.plan().is_some_and(|plan| plan.block != TaskBlock::OpenLoop);
        let seconds = self.task.as_ref().map(|task| task.score()).and_then(TaskScore::newest_seconds);
        let target = self.target;
        if let (Some(record), Some(seconds)) = (self.blocks.get_mut(self.at), seconds) {
            record.scoring.end_trial(result, seconds, target, help);
        }
        if is_decoded {
            self.judge.trial(result, help, seconds);
            if result == TrialResult::Acquired && help <= HARDLY_HELPED && self.first_target_s.is_none() {
                self.first_target_s = self.begun.map(|begun| (time - begun).0);
            }
        }
    }

    fn note_score(&mut self) {
        let is_decoded = self.plan().is_some_and(|plan| plan.block != TaskBlock::OpenLoop);
        let Some(score) = self.task.as_ref().map(|task| task.score()) else { return };
        if let Some(record) = self.blocks.get_mut(self.at) {
            record.score = Some(record.scoring.status(score, is_decoded));
        }
    }

    /// What moves the cursor in the block that runs, how much it is helped, and how much that is in figures.
    pub(super) fn help_now(&self) -> (CursorDrive, Assistance, f64) {
        let Some(plan) = self.plan().filter(|plan| plan.block != TaskBlock::OpenLoop) else {
            return (CursorDrive::Label, Assistance::NONE, 1.0);
        };
        let Assistance { attenuation, mixing } = plan.assistance_at(self.elapsed);
        let scale = self.assistance_scale;
        let help = Assistance { attenuation: scale * attenuation, mixing: scale * mixing };
        let is_decoded = self.decodes.is_some();
        if help.mixing >= 1.0 || (!is_decoded && !help.is_none()) {
            // the label law alone: these rows are as good as those of an open loop
            return (CursorDrive::Label, Assistance::NONE, 1.0);
        }
        (CursorDrive::Decoder, help, help.most())
    }

    /// Tells the tick how much the cursor is helped, where that has changed.
    fn help(&mut self, actions: &mut Vec<SessionAction>) {
        let (drive, assistance, most) = self.help_now();
        self.trial_help = self.trial_help.max(most);
        let before = self.helped.assistance;
        let changes = (before.attenuation - assistance.attenuation).abs() >= HELP_STEP
            || (before.mixing - assistance.mixing).abs() >= HELP_STEP
            || before.is_none() != assistance.is_none();
        if changes || self.helped.drive != drive {
            self.helped = TaskState { drive, assistance, ..self.helped };
            actions.push(SessionAction::Command(Command::Task(self.helped)));
        }
    }

    /// Asks for the mode that the block needs: control only where the decoder may, and without help.
    pub(super) fn keep_mode(&mut self, actions: &mut Vec<SessionAction>) {
        let Some(plan) = self.plan() else { return };
        let mode = match plan.block {
            TaskBlock::SignalCheck | TaskBlock::Rest => Mode::Idle,
            TaskBlock::OpenLoop => Mode::Calibrating,
            _ if self.help_now().2 > 0.0 || !self.may_control() || self.keeps_calibrating => {
                Mode::Calibrating
            }
            _ => Mode::Control,
        };
        if self.wanted != Some(mode) {
            if let (Mode::Control, Some((model, true))) = (mode, self.decodes) {
                let by = if self.overridden_by.is_some() { Actor::Operator } else { Actor::Daemon };
                actions.push(SessionAction::Command(Command::ConfirmModel { model, by }));
            }
            self.ask_for(mode, actions);
        }
    }

    pub(super) fn publish_block(&self, time: LslTime, phase: Phase, actions: &mut Vec<SessionAction>) {
        if let Some(plan) = self.plan() {
            let event = EventBody::TaskBlock { block: plan.block, phase };
            actions.push(SessionAction::Publish { time, event });
        }
    }

    /// What there is to say of the decoder.
    pub(super) fn verdict(&self) -> Verdict {
        let ends = self.plan().filter(|_| self.state == SessionState::Running).map_or(0.0, |plan| {
            let helps =
                plan.assistance.iter().rev().find(|point| point.attenuation > 0.0 || point.mixing > 0.0);
            helps.map_or(0.0, |point| (point.at_s - self.elapsed).max(0.0))
        });
        self.judge.verdict(ends)
    }
}
