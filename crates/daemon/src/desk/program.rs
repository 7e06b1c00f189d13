//! The daemon's own task: open loop, fit, closed loop.

use kalmind_session::{TaskStep, TaskTick};
use kalmind_types::{Actor, Cause, Command, EventBody, LslTime, Mode, TaskBlock, TickOutput};

use super::{Desk, Program, Stage};

impl Desk {
    pub(super) fn run_program(&mut self, output: &TickOutput) {
        let Some(program) = self.settings.program.clone() else { return };
        let Some(task) = &mut self.task else {
            if output.reason.is_none_or(|reason| reason.cause != Cause::MeasuringArrival) {
                self.start_program(&program, output.time);
            }
            return;
        };
        let running = task.block();
        let tick = TaskTick {
            time: output.time,
            position: output.position,
            state: output.state,
            click: output.click,
        };
        let step = task.step(tick);
        let (elapsed, score, now) = (task.elapsed().0, task.score().clone(), task.block());
        self.carry_out(step);
        self.handle.update(|progress| {
            progress.score = score;
            match now {
                Some(TaskBlock::OpenLoop) => progress.stage = Stage::OpenLoop(elapsed),
                Some(_) => progress.stage = Stage::ClosedLoop(elapsed),
                None => {}
            }
        });
        match (running, now) {
            (Some(TaskBlock::OpenLoop), None) => self.end_block(TaskBlock::OpenLoop),
            (Some(_), None) => {
                self.block = None;
                self.command(Command::Request { mode: Mode::Idle, resume: false, by: Actor::Task });
                self.handle.update(|progress| progress.stage = Stage::Done);
            }
            _ => {}
        }
    }

    pub(super) fn start_program(&mut self, program: &Program, time: LslTime) {
        match program.task.build(program.seed, &[]) {
            Ok(mut task) => {
                let step = task.start(TaskBlock::OpenLoop, program.open_loop, time);
                self.task = Some(task);
                self.begin_block(TaskBlock::OpenLoop);
                self.carry_out(step);
            }
            Err(error) => {
                let problem = error.to_string();
                self.handle.update(|progress| progress.stage = Stage::Failed(problem));
            }
        }
    }

    /// What a step of the daemon's own task wants told and done.
    pub(super) fn carry_out(&mut self, step: TaskStep) {
        for event in step.events {
            self.timeline.take(event.time, &event.content);
            if let EventBody::Target(target) = event.content {
                (self.shown_at, self.target) = (event.time, target);
            }
            self.events.publish(event.time, event.content);
        }
        for command in step.commands {
            self.command(command);
        }
    }
}
