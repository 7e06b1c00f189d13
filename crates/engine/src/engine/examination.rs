//! Which bins can be decoded from: channels without a value, dead or unlike training, and decoders that take nothing in.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Cause, Command, CursorDrive, Mode, Seconds, TickInput};

use super::{
    Engine,
    examined::{Examined, FeatureSets},
    history::HistoryRow,
};
use crate::freshness::{Silence, TickFacts, Verdict};

/// Sums of bin widths may be off by so much.
const ROUNDING_S: f64 = 1e-9;

/// Whether the decoder moves the cursor in a mode.
fn decodes(mode: Mode, drive: CursorDrive) -> bool {
    match mode {
        Mode::Idle => false,
        Mode::Calibrating => drive == CursorDrive::Decoder,
        Mode::Control => true,
    }
}

/// Whether the task itself moves the cursor, to gather what the next decoder is fitted to.
fn gathers((mode, drive): (Mode, CursorDrive)) -> bool {
    mode == Mode::Calibrating && drive == CursorDrive::Label
}

impl Engine {
    /// Whether the decoder would move the cursor. Where it would not, signals unlike training are shown and stop nothing:
    /// a decoder that no longer fits must not be in the way of calibrating the next one.
    pub(super) fn is_decoding(&self) -> bool {
        decodes(self.states.mode(), self.task.drive)
    }

    /// Mode and drive once the commands of a tick are obeyed.
    fn after(&self, input: &TickInput) -> (Mode, CursorDrive) {
        let (mut mode, mut drive) = (self.states.mode(), self.task.drive);
        for command in &input.commands {
            match *command {
                Command::Request { mode: asked, .. } => mode = asked,
                Command::Task(task) => drive = task.drive,
                _ => {}
            }
        }
        (mode, drive)
    }

    /// Whether the decoder would move the cursor once the commands of a tick are obeyed.
    pub(super) fn decodes_after(&self, input: &TickInput) -> bool {
        let (mode, drive) = self.after(input);
        decodes(mode, drive)
    }

    /// Which features of the bin can be decoded from by the model that decodes, and why the bin cannot, if so.
    pub(super) fn examine(&mut self, input: &TickInput) -> Examined {
        let Self { models, raw, bin, examiner, .. } = self;
        if let Some(model) = &mut models.active {
            return model.examine(&HistoryRow::of(input, *bin, raw), examiner);
        }
        examiner.switch_off(&input.masked);
        let FeatureSets { missing, switched_off, .. } = &mut examiner.sets;
        missing.copy_from(switched_off);
        for (feature, _) in raw.iter().enumerate().filter(|(_, value)| !value.is_finite()) {
            missing.insert(feature);
        }
        examiner.count(None)
    }

    /// `failing` is why features that arrived are not decoded. An array unlike training is not decoded for one more bin;
    /// too many masked channels may be a matter of a few bins, as missing samples are, but no decoder begins to move the
    /// cursor in one of them.
    pub(super) fn note_freshness(
        &mut self,
        complete: bool,
        gap: Seconds,
        input: &TickInput,
        failing: Option<Cause>,
    ) {
        let silence = input.commands.iter().map(|command| match command {
            Command::InputNotFresh => Silence::Shown,
            Command::InputWasSilent => Silence::Long,
            _ => Silence::None,
        });
        let silence = silence.max().unwrap_or_default();
        let resumed = input.commands.iter().any(|command| {
            matches!(command, Command::Request { resume: true, .. } | Command::AcceptInput { .. })
        });
        let (mode, drive) = self.after(input);
        let begins = !self.is_decoding() && decodes(mode, drive);
        let implausible = failing.is_some_and(|cause| begins || cause != Cause::ChannelsMasked);
        let facts = TickFacts { time: input.time, complete, gap, silence, implausible, resumed };
        match self.freshness.judge(facts) {
            Verdict::Fresh => {}
            Verdict::Silent => match failing {
                Some(cause) => self.states.input_unusable(cause),
                None => self.states.input_not_fresh(),
            },
            Verdict::Unsteady => {
                self.states.input_unsteady();
                if let Some(cause) = failing {
                    self.states.input_unusable(cause);
                }
            }
            Verdict::Back { brief } => {
                // signals that were there all the time, and a decoder that no longer fits: the next one may be calibrated
                let superseded = gathers(self.after(input)) && self.states.input_is_implausible();
                self.states.input_not_fresh();
                self.states.input_fresh(brief || superseded);
                if self.unusable {
                    // the signal is back, and the decoder has not used it yet
                    self.states.input_unusable(Cause::DecoderFallsBack);
                }
            }
        }
    }

    /// Notes whether the decoder could use the features of a bin.
    pub(super) fn note_use(&mut self, input: &TickInput, complete: bool, unused: bool) {
        if !complete {
            return;
        }
        if unused && self.is_decoding() {
            let since = *self.unused_since.get_or_insert(input.start);
            if (input.time - since).0 >= self.settings.fallback_stale.0 - ROUNDING_S {
                self.unusable = true;
                self.states.input_unusable(Cause::DecoderFallsBack);
            }
        } else if let Some(since) = self.unused_since.take()
            && core::mem::take(&mut self.unusable)
        {
            let stale_for = (input.time - since).0 - self.settings.fallback_stale.0;
            if !self.freshness.is_away() {
                self.states
                    .input_fresh(stale_for < self.settings.auto_resume.0 || gathers(self.after(input)));
            }
        }
    }
}
