//! What commands do, in a tick and in a preview of one.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Cause, Command, ModelId, OutputState, TickInput};

use super::Engine;
use crate::OutputStates;

impl Engine {
    /// The output states as a tick with these commands would make them, its samples aside: what clients are shown while
    /// there is no tick. Real-time.
    pub fn preview(&self, commands: &[Command]) -> OutputStates {
        let mut states = self.states;
        for command in commands {
            obey_states(&mut states, *command);
        }
        note_model(&mut states, self.models.preview(commands, &self.recent));
        states
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Request { resume, .. } => {
                let was_fault = self.states.state() == OutputState::Fault;
                obey_states(&mut self.states, command);
                if was_fault && resume {
                    self.bin.restarted = true;
                    self.restart_where_asked();
                }
            }
            Command::Task(task) => self.task = task,
            Command::PlaceCursor(position) => self.cursor.place(position),
            Command::TuneCursor(tuning) => self.cursor.tune(tuning),
            Command::TuneClick(tuning) => self.tune_click(tuning),
            Command::SwapModel(id) => self.models.swap(id, self.last_complete),
            Command::SwapWarmed { model, through, .. } => {
                self.models.swap_warmed(model, through, &self.recent, &mut self.examiner);
            }
            Command::SwapAtGeneration { model, stream, generation } => {
                self.models.await_generation(model, stream, generation);
            }
            Command::ForgetAwaited { model } => self.models.forget_awaited(model),
            Command::ConfirmModel { model, .. } => self.models.confirm(model),
            Command::Stop { .. }
            | Command::Fault(_)
            | Command::AcceptInput { .. }
            | Command::Arrival { .. } => {
                obey_states(&mut self.states, command);
            }
            // judged with the gap between the stamps, before any command
            Command::InputNotFresh | Command::InputWasSilent => {}
        }
    }

    /// Obeys what has to hold whatever fails in a tick.
    pub(super) fn obey_in_fault(&mut self, input: &TickInput) {
        for command in &input.commands {
            // the step may have ended before it obeyed; what keeps the cursor still must be in force whatever happens,
            // and what a person has confirmed must not have to be confirmed again because of a fault
            match *command {
                Command::Stop { by } => self.states.stop(by),
                Command::Arrival { input, .. } => self.states.input_arrival(input),
                Command::ConfirmModel { model, .. } => self.models.confirm(model),
                Command::TuneCursor(tuning) => self.cursor.tune(tuning),
                Command::TuneClick(tuning) => self.tune_click(tuning),
                Command::ForgetAwaited { model } => self.models.forget_awaited(model),
                // no code of a decoder's runs here: whoever sent it may send it again
                Command::SwapModel(model)
                | Command::SwapWarmed { model, .. }
                | Command::SwapAtGeneration { model, .. } => self.models.turn_away(model),
                _ => {}
            }
        }
        self.models.turn_away_due(&input.streams);
    }

    /// Lets the model begin anew in a bin in which somebody resumed after a fault.
    pub(super) fn restart_where_asked(&mut self) {
        if self.bin.restarted
            && let Some(model) = &mut self.models.active
        {
            model.restart();
        }
    }

    /// Shows what the model that decodes means for the output states.
    pub(super) fn note_model(&mut self) {
        note_model(&mut self.states, self.models.active_with_doubt());
    }
}

/// What the model that decodes, and why it may not control, mean for the output states.
fn note_model(states: &mut OutputStates, model: Option<(ModelId, Option<Cause>)>) {
    match model {
        Some((_, doubt)) => states.doubt(doubt),
        None => states.no_model(),
    }
}

/// What a command does to the output states: the one place, for ticks and for previews.
fn obey_states(states: &mut OutputStates, command: Command) {
    match command {
        Command::Stop { by } => states.stop(by),
        Command::Request { mode, resume, by } => states.request(mode, resume, by),
        Command::AcceptInput { .. } => states.accept_input(),
        Command::Fault(cause) => states.fault(cause),
        Command::Arrival { input, .. } => states.input_arrival(input),
        // the tick that comes judges it anew
        Command::InputNotFresh if !states.input_is_fresh() => {}
        Command::InputNotFresh | Command::InputWasSilent => states.input_not_fresh(),
        Command::Task(_)
        | Command::PlaceCursor(_)
        | Command::TuneCursor(_)
        | Command::TuneClick(_)
        | Command::SwapModel(_)
        | Command::SwapWarmed { .. }
        | Command::SwapAtGeneration { .. }
        | Command::ForgetAwaited { .. }
        | Command::ConfirmModel { .. } => {}
    }
}
