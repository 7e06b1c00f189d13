//! What tasks tell the desk: targets, blocks and requests.

use kalmind_acquisition::clock;
use kalmind_session::{Calibration, CalibrationOptions};
use kalmind_types::{
    Actor, Command, CursorDrive, EventBody, LslTime, Mode, OperatorAction, OperatorRequest, OutputState,
    Phase, Target, TaskBlock, TaskState,
};

use super::{Desk, DeskSettings};

/// Targets that may be announced ahead of their time.
const ANNOUNCED: usize = 64;

impl Desk {
    /// A task by others: its targets, blocks and requests. It never clears a stop or a fault.
    pub(super) fn follow_task(&mut self, time: LslTime, content: &EventBody) {
        self.timeline.take(time, content);
        match *content {
            EventBody::Operator(OperatorRequest { action, .. }) => self.follow_request(action),
            EventBody::Target(target) => self.announce(time, target),
            EventBody::TaskBlock { block, phase: Phase::Start } => self.begin_block(block),
            EventBody::TaskBlock { block, phase: Phase::End } => self.end_block(block),
            // nothing to do, or the daemon's own, which no task tells
            EventBody::Trial { .. }
            | EventBody::Arrival(_)
            | EventBody::Stages(_)
            | EventBody::Session(_)
            | EventBody::Model(_)
            | EventBody::Window(_)
            | EventBody::State(_)
            | EventBody::Recording(_)
            | EventBody::Other { .. } => {}
        }
    }

    pub(super) fn follow_request(&mut self, action: OperatorAction) {
        match action {
            // in force since it was received, ahead of every queue: to latch it again would undo a resume since then
            OperatorAction::Stop => {}
            OperatorAction::MeasureArrival if self.is_free() => self.measure_arrival(),
            OperatorAction::MeasureArrival => {
                tracing::warn!(
                    "the task asks for a new measurement of how samples arrive; it waits until the block is over"
                );
                self.measure_when_free = true;
            }
            OperatorAction::Resume => self.accept_input(),
            OperatorAction::Idle | OperatorAction::Calibrating | OperatorAction::Control => {
                if let Some(mode) = action.mode() {
                    self.task_asks_for(mode);
                }
            }
        }
    }

    /// A task asks for a mode. Where it may, it agrees by that to go on after a long silence of the input.
    pub(super) fn task_asks_for(&mut self, mode: Mode) {
        self.wanted = Some(mode);
        if OutputState::from(mode).moves() {
            self.accept_input();
        }
        self.command(Command::Request { mode, resume: false, by: Actor::Task });
    }

    /// A task agrees to go on after a long silence of the input; it counts where the configuration lets it.
    pub(super) fn accept_input(&mut self) {
        if self.settings.task_may_resume {
            self.command(Command::AcceptInput { by: Actor::Task });
        }
    }

    /// A target counts from its own time on; one that is announced ahead waits for it.
    pub(super) fn announce(&mut self, time: LslTime, target: Option<Target>) {
        let now = clock::now();
        let is_ahead = time > now;
        if is_ahead && self.announced.len() < ANNOUNCED {
            self.announced.push((time, target));
        } else {
            self.show_target(if is_ahead { now } else { time }, target);
        }
    }

    pub(super) fn show_announced(&mut self, now: LslTime) {
        self.announced.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
        while self.announced.first().is_some_and(|(time, _)| *time <= now) {
            let (time, target) = self.announced.remove(0);
            self.show_target(time, target);
        }
    }

    /// Shows a target, unless a newer one is shown already.
    pub(super) fn show_target(&mut self, time: LslTime, target: Option<Target>) {
        if time < self.shown_at {
            return;
        }
        (self.shown_at, self.target) = (time, target);
        let drive = self.block.map_or(CursorDrive::Decoder, TaskBlock::drive);
        self.command(Command::Task(TaskState { target, drive, ..TaskState::default() }));
    }

    pub(super) fn begin_block(&mut self, block: TaskBlock) {
        self.block = Some(block);
        if block == TaskBlock::OpenLoop {
            let DeskSettings { demand, label_law, max_masked, layout, masked, .. } = &self.settings;
            let options = CalibrationOptions {
                label_law: *label_law,
                bin_ms: demand.bin_ms,
                max_masked: *max_masked,
                switched_off: layout.switched_off(masked).count(),
            };
            self.calibration = Some(Calibration::new(options, layout.width()));
        }
        self.command(Command::Task(TaskState {
            target: self.target,
            drive: block.drive(),
            ..TaskState::default()
        }));
        self.task_asks_for(block.mode());
    }

    pub(super) fn end_block(&mut self, block: TaskBlock) {
        if self.block == Some(block) {
            self.block = None;
            self.wanted = Some(Mode::Idle);
            self.command(Command::Request { mode: Mode::Idle, resume: false, by: Actor::Task });
        }
        if block == TaskBlock::OpenLoop {
            self.start_fit();
        }
    }
}
