//! Bins that are not complete because the stages of a stream settle after a start: for as long as they declare, and no longer.
//!
//! Such a bin has arrived, and what it lacks comes by itself. So it counts as heard, where a silence or dead channels would be
//! `stale`; and nothing moves meanwhile, since nothing is decoded. How long that may take is what they declared at first: a stream
//! that starts again and again settles for ever, and is not waited for. At the start of a run that time is waited for however long
//! it is; once something was decoded, what took longer than `auto_resume` waits for the operator, as any gap does.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Cause, Seconds, TickInput};

use super::{
    Engine,
    examined::{Examined, SettlingStages},
};

/// For how much longer settling stages are waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// What is left of the time that was declared at the first such bin since the newest complete one.
    left: Option<Seconds>,
    /// Whether there has been a complete bin.
    begun: bool,
    /// Before there was one: whether they started once more, and that was waited for too.
    lengthened: bool,
}

impl Patience {
    /// Whether a bin of this width may still settle, by what it declares; less than `worth` more than before is no other start.
    fn lasts(&mut self, declared: Option<Seconds>, width: Seconds, worth: Seconds) -> bool {
        if let Some(left) = &mut self.left {
            left.0 -= width.0;
        }
        let Some(declared) = declared else { return false };
        let left = self.left.get_or_insert(declared);
        if !self.begun && !self.lengthened && declared.0 > left.0 + worth.0 {
            (*left, self.lengthened) = (declared, true);
        }
        left.0 + width.0 > 0.0
    }

    /// A bin is complete: whether stages settled in between, after another one.
    fn end(&mut self) -> bool {
        let settled = self.left.take().is_some();
        core::mem::replace(&mut self.begun, true) && settled
    }
}

impl Engine {
    /// What settled in the newest tick's bin, and kept it from being complete.
    pub fn settling(&self) -> Option<SettlingStages> {
        self.settling
    }

    /// What settles in a bin that cannot be decoded, for no longer than is waited for.
    pub(super) fn settling_in_time(
        &mut self,
        input: &TickInput,
        arrived: bool,
        found: &Examined,
    ) -> Option<SettlingStages> {
        let settling = self.find_settling(input, arrived, found);
        let (declared, width) = (settling.map(|stages| stages.left), input.time - input.start);
        let lasts = self.patience.lasts(declared, width, self.settings.stale_after);
        settling.filter(|_| lasts)
    }

    /// What settles in a bin that cannot be decoded; nothing where it could not be decoded either if nothing settled.
    fn find_settling(&self, input: &TickInput, arrived: bool, found: &Examined) -> Option<SettlingStages> {
        if !arrived || found.failing != Some(Cause::ChannelsMasked) {
            return None;
        }
        let of = |stream: usize| input.streams.get(stream).and_then(|stream| stream.settling);
        let all = (0..input.streams.len()).filter_map(|stream| Some((stream, of(stream)?)));
        let (stream, left) = all.reduce(|most, next| if next.1 > most.1 { next } else { most })?;
        let sets = &self.examiner.sets;
        let settles = |feature: &usize| {
            let stream = self.layout().features().get(*feature).map(|feature| feature.stream);
            stream.and_then(of).is_some() && sets.missing.contains(*feature)
        };
        let others = || sets.lost.features().filter(|feature| !settles(feature));
        let left_out = self.models.active.as_ref().and_then(|model| model.decoder.left_out());
        let too_few_taken = left_out.is_some_and(|left_out| {
            let taken = others().filter(|feature| !left_out.contains(*feature));
            self.examiner.too_few_of(left_out, taken.count())
        });
        let fails = too_few_taken || others().count() as f64 > found.most_lost;
        (!fails).then_some(SettlingStages { stream, left })
    }

    /// Shows that stages settle, where it takes long enough to be seen, until a bin can be decoded or the input is `stale`:
    /// what was decoded before moves nothing in between.
    pub(super) fn note_settling(&mut self, complete: bool, gap: Seconds) {
        self.end_settling(complete, gap);
        let goes_on = self.states.stages_are_settling();
        match self.settling {
            Some(SettlingStages { left, .. }) => {
                self.states.stages_settle(goes_on || left > self.settings.stale_after);
            }
            None if complete || !self.states.input_is_fresh() => self.states.stages_settle(false),
            None => {}
        }
    }

    /// Ends it with a complete bin. Where something had been decoded before, so long ago that a silence would have somebody asked,
    /// somebody is; `gap` is the time since.
    pub(super) fn end_settling(&mut self, complete: bool, gap: Seconds) {
        let is_long = gap.0 - self.settings.stale_after.0 >= self.settings.auto_resume.0;
        if complete && self.patience.end() && is_long {
            self.states.await_resume();
        }
    }
}
