//! What the tick thread's loop remembers between rounds, and in which order what waits for the next tick stands.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use arrayvec::ArrayVec;
use kalmind_engine::BinCounts;
use kalmind_types::{
    Actor, Command, LslTime, MAX_COMMANDS, MAX_STREAMS, OutputState, Reason, Seconds, TickInput,
};

/// Places among a tick's commands are kept for a stop and for what the thread itself notices.
pub(super) const COMMANDS_PER_TICK: usize = MAX_COMMANDS - 5;

/// A command on its way to the tick thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueuedCommand {
    /// What to do.
    pub command: Command,
    /// How many stops there had been when it was asked for: a resume that is older than the newest stop clears nothing.
    pub stops: u64,
}

/// What the loop remembers between rounds.
pub(super) struct Round {
    pub(super) input: TickInput,
    pub(super) pending: ArrayVec<Command, MAX_COMMANDS>,
    /// When the newest bin that was complete, or not because stages settle, was handled; none before the first.
    pub(super) last_heard: Option<LslTime>,
    /// Whether a silence that is shown has been entered for the tick that ends it.
    pub(super) silence_shown: bool,
    /// Whether a long silence has been entered for the tick that ends it.
    pub(super) silence_noted: bool,
    /// For how long nothing may come at all, however steady the streams are.
    pub(super) silence: Seconds,
    /// When the thread last looked around.
    pub(super) awake: LslTime,
    pub(super) last_sent: LslTime,
    pub(super) last_seq: Option<u64>,
    pub(super) shown: (OutputState, Option<Reason>),
    /// What the binner had counted when the monitors were last told.
    pub(super) told: [BinCounts; MAX_STREAMS],
}

impl Round {
    /// Nothing has happened yet; `shown` is what clients are shown at the start.
    pub(super) fn new(start: LslTime, shown: (OutputState, Option<Reason>)) -> Self {
        Self {
            input: TickInput::empty(),
            pending: ArrayVec::new(),
            last_heard: None,
            silence_shown: false,
            silence_noted: false,
            silence: Seconds(0.0),
            awake: start,
            last_sent: start,
            last_seq: None,
            shown,
            told: [BinCounts::default(); MAX_STREAMS],
        }
    }

    /// Puts a command behind the others. A task's state replaces the one before it, so that a task that goes on while
    /// there are no ticks fills nothing; a resume from before the newest stop clears nothing.
    pub(super) fn pend(&mut self, queued: QueuedCommand, stops: u64) {
        let command = match queued.command {
            Command::Request { mode, by, .. } if queued.stops < stops => {
                Command::Request { mode, resume: false, by }
            }
            other => other,
        };
        if let (Command::Task(_), Some(last @ Command::Task(_))) = (&command, self.pending.last_mut()) {
            *last = command;
            return;
        }
        // the caller has made sure of a place
        let _full = self.pending.try_push(command);
    }

    /// Enters what the thread itself has noticed, once and behind everything else: a place is kept for each, and a resume
    /// that waits is older.
    pub(super) fn notice(&mut self, command: Command) {
        self.pending.retain(|pending| *pending != command);
        let _a_place_is_kept = self.pending.try_push(command);
    }

    /// A stop is newer than every resume that waits. One stop in force is as good as many, so stops without ticks take one
    /// place, and what else is noticed meanwhile finds its own.
    pub(super) fn stop(&mut self, by: Actor) {
        self.forget_resumes();
        if !self.pending.iter().any(|command| matches!(command, Command::Stop { .. })) {
            let _a_place_is_kept = self.pending.try_push(Command::Stop { by });
        }
    }

    /// A stop is newer than every resume that waits.
    fn forget_resumes(&mut self) {
        for command in &mut self.pending {
            if let Command::Request { resume, .. } = command {
                *resume = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::{Cause, Mode, Position, Target, TaskState};

    use super::*;

    fn round() -> Round {
        Round::new(LslTime(0.0), (OutputState::Idle, None))
    }

    fn resume() -> Command {
        Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator }
    }

    #[test]
    fn a_resume_from_before_a_stop_clears_nothing() {
        let mut round = round();
        round.pend(QueuedCommand { command: resume(), stops: 3 }, 4);
        let cleared = Command::Request { mode: Mode::Control, resume: false, by: Actor::Operator };
        assert_eq!(round.pending.as_slice(), [cleared]);
        round.pend(QueuedCommand { command: resume(), stops: 4 }, 4);
        assert_eq!(round.pending.as_slice(), [cleared, resume()]);
        round.forget_resumes();
        assert_eq!(round.pending.as_slice(), [cleared, cleared]);
    }

    #[test]
    fn many_stops_without_ticks_take_one_place_and_leave_room_for_what_is_noticed() {
        let mut round = round();
        for number in 0..COMMANDS_PER_TICK {
            let place = Position([number as f64, 0.0]);
            round.pend(QueuedCommand { command: Command::PlaceCursor(place), stops: 0 }, 0);
        }
        (0..100).for_each(|_| round.stop(Actor::Client));
        for noticed in [
            Command::InputNotFresh,
            Command::InputWasSilent,
            Command::Fault(Cause::TickSilent),
            Command::Fault(Cause::Panicked),
        ] {
            assert!(round.pending.try_push(noticed).is_ok(), "{noticed:?}");
        }
        assert!(round.pending.contains(&Command::Stop { by: Actor::Client }));
    }

    #[test]
    fn targets_without_ticks_take_one_place() {
        let mut round = round();
        for number in 0..100 {
            let target = Target { position: Position([0.01 * f64::from(number), 0.5]), radius: 0.1 };
            let task = TaskState { target: Some(target), ..TaskState::default() };
            round.pend(QueuedCommand { command: Command::Task(task), stops: 0 }, 0);
        }
        assert_eq!(round.pending.len(), 1);
    }
}
