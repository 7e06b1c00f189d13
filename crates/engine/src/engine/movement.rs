//! What a decoded bin does: it moves the cursor, and presses the button.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Click, ClickTuning, CursorDrive, OutputState, Seconds, TaskState, Velocity};

use super::{Engine, staged::Clicking};
use crate::cursor::Cursor;

impl Engine {
    /// What the button makes of a bin in which a click is meant with this probability; it is up where nothing decodes clicks.
    /// `is_another` says that the model decodes from this bin on. Clicks count where the decoder may move the cursor.
    pub(super) fn press(
        &mut self,
        seq: u64,
        clicking: Option<Clicking>,
        complete: bool,
        is_another: bool,
    ) -> Option<Click> {
        let Some(Clicking { probability, is_new, law }) = clicking else {
            let up = self.button.up(0.0);
            return self.button.is_used().then_some(up);
        };
        if is_new {
            self.button.begin_anew();
        } else if is_another {
            self.button.forget();
        }
        let drives = match self.states.state() {
            OutputState::Control => true,
            OutputState::Calibrating => self.task.drive == CursorDrive::Decoder,
            _ => false,
        };
        let counts = drives && !self.states.decoder_is_at_rest(self.settings.doubted_calibrates);
        Some(self.button.step(law.tuned(self.press), seq, probability, complete, counts))
    }

    /// What an operator has set of what counts as a press, if a button can be pressed so.
    pub(super) fn tune_click(&mut self, tuning: ClickTuning) {
        if tuning.is_valid() {
            self.press = tuning;
        }
    }

    pub(super) fn move_cursor(&mut self, duration: Seconds) -> Velocity {
        let TaskState { target, drive, assistance } = self.task;
        let label = |cursor: &Cursor| {
            target.map_or_else(Velocity::default, |target| {
                self.settings.label_law.label(cursor.position(), target.position)
            })
        };
        match (self.states.state(), drive) {
            (OutputState::Calibrating, CursorDrive::Label) => {
                let wanted = label(&self.cursor);
                self.cursor.advance(wanted, duration)
            }
            (state @ (OutputState::Calibrating | OutputState::Control), _) => match &self.intent {
                Some(intent) if !self.states.decoder_is_at_rest(self.settings.doubted_calibrates) => {
                    let helps = state == OutputState::Calibrating && !assistance.is_none();
                    let help = helps.then(|| (assistance, label(&self.cursor)));
                    self.cursor.decode(intent.mean(), help, duration)
                }
                _ => self.cursor.rest(),
            },
            _ => self.cursor.rest(),
        }
    }
}
