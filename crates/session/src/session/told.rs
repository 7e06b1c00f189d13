//! What tasks by others tell: targets, blocks and requests. They never clear a stop or a fault.

use kalmind_types::{
    Actor, Command, CursorDrive, EventBody, LslTime, Mode, OperatorAction, OperatorRequest, Phase, Target,
    TaskBlock, TaskState,
};

use super::{Session, action::SessionAction, status::SessionState};
use crate::Calibration;

/// Targets that may be announced ahead of their time.
const ANNOUNCED: usize = 64;

impl Session {
    pub(super) fn told(
        &mut self,
        now: LslTime,
        time: LslTime,
        event: &EventBody,
        actions: &mut Vec<SessionAction>,
    ) {
        if self.runs_preset() {
            return self.told_beside(now, event, actions);
        }
        self.timeline.take(time, event);
        match *event {
            EventBody::Operator(OperatorRequest { action, .. }) => self.task_requests(action, actions),
            EventBody::Target(target) => self.announce(now, time, target, actions),
            EventBody::TaskBlock { block, phase: Phase::Start } => self.begin_told(block, actions),
            EventBody::TaskBlock { block, phase: Phase::End } => self.end_told(block, actions),
            EventBody::Trial { phase: Phase::End, result: Some(result), .. } => {
                if self.told_block.is_some_and(|block| block.drive() == CursorDrive::Decoder) {
                    self.judge.trial(result, 0.0, None);
                }
            }
            // nothing to do, or the daemon's own, which no task tells
            EventBody::Trial { .. }
            | EventBody::Hand(_)
            | EventBody::Arrival(_)
            | EventBody::Stages(_)
            | EventBody::ChannelHealth(_)
            | EventBody::Session(_)
            | EventBody::Model(_)
            | EventBody::Window(_)
            | EventBody::State(_)
            | EventBody::Recording(_)
            | EventBody::Other { .. } => {}
        }
    }

    /// Another program tells something while the session presents its own task: its targets, trials and blocks are not shown,
    /// and it gets no control, but it may let the cursor rest.
    fn told_beside(&mut self, now: LslTime, event: &EventBody, actions: &mut Vec<SessionAction>) {
        match event.requested() {
            Some(OperatorAction::Idle) => {
                self.mode_asked(now, Mode::Idle, actions);
                actions.push(SessionAction::Command(Command::Request {
                    mode: Mode::Idle,
                    resume: false,
                    by: Actor::Task,
                }));
            }
            Some(OperatorAction::Resume) => self.accept_input(actions),
            _ => {
                self.beside = self.beside.saturating_add(1);
                self.problem = Some(
                    "another program tells targets, blocks or modes while the session shows its own: they are not shown"
                        .to_owned(),
                );
            }
        }
    }

    /// Whether a preset runs, or stands still.
    pub(super) fn runs_preset(&self) -> bool {
        matches!(
            self.state,
            SessionState::Resting | SessionState::Running | SessionState::Fitting | SessionState::Learning
        )
    }

    fn task_requests(&mut self, action: OperatorAction, actions: &mut Vec<SessionAction>) {
        match action {
            // in force since it was received, ahead of every queue: to latch it again would undo a resume since then
            OperatorAction::Stop => {}
            OperatorAction::MeasureArrival if self.is_free() => actions.push(SessionAction::MeasureArrival),
            // it waits until the block is over
            OperatorAction::MeasureArrival => self.measure_when_free = true,
            OperatorAction::Resume => self.accept_input(actions),
            OperatorAction::Idle | OperatorAction::Calibrating | OperatorAction::Control => {
                if let Some(mode) = action.mode() {
                    self.ask_for(mode, actions);
                }
            }
        }
    }

    /// A target counts from its own time on; one that is announced ahead waits for it.
    fn announce(
        &mut self,
        now: LslTime,
        time: LslTime,
        target: Option<Target>,
        actions: &mut Vec<SessionAction>,
    ) {
        let is_ahead = time > now;
        if is_ahead && self.announced.len() < ANNOUNCED {
            self.announced.push((time, target));
        } else {
            self.show_target(if is_ahead { now } else { time }, target, actions);
        }
    }

    pub(super) fn show_announced(&mut self, now: LslTime, actions: &mut Vec<SessionAction>) {
        self.announced.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
        while self.announced.first().is_some_and(|(time, _)| *time <= now) {
            let (time, target) = self.announced.remove(0);
            self.show_target(time, target, actions);
        }
    }

    /// Shows a target, unless a newer one is shown already.
    fn show_target(&mut self, time: LslTime, target: Option<Target>, actions: &mut Vec<SessionAction>) {
        if time < self.shown_at {
            return;
        }
        (self.shown_at, self.target) = (time, target);
        let drive = self.told_block.map_or(CursorDrive::Decoder, TaskBlock::drive);
        let task = TaskState { target, drive, ..TaskState::default() };
        actions.push(SessionAction::Command(Command::Task(task)));
    }

    fn begin_told(&mut self, block: TaskBlock, actions: &mut Vec<SessionAction>) {
        self.told_block = Some(block);
        if block == TaskBlock::OpenLoop {
            self.calibration = Some(Calibration::new(self.settings.calibration, self.settings.features));
            self.fits.anew = true;
        }
        let task = TaskState { target: self.target, drive: block.drive(), ..TaskState::default() };
        actions.push(SessionAction::Command(Command::Task(task)));
        self.ask_for(block.mode(), actions);
    }

    fn end_told(&mut self, block: TaskBlock, actions: &mut Vec<SessionAction>) {
        if self.told_block == Some(block) {
            self.told_block = None;
            self.ask_for(Mode::Idle, actions);
        }
        if block == TaskBlock::OpenLoop {
            self.fit_told(actions);
        }
    }
}
