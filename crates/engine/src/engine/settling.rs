//! Bins that are not complete because the stages of a stream settle after a start: for as long as they declare, and no longer.
//!
//! Such a bin has arrived, and what it lacks comes by itself. So it counts as heard, where a silence or dead channels would have
//! the operator asked; and nothing moves meanwhile, since nothing is decoded.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{Cause, TickInput};

use super::{
    Engine,
    examined::{Examined, SettlingStages},
};

impl Engine {
    /// What settled in the newest tick's bin, and kept it from being complete.
    pub fn settling(&self) -> Option<SettlingStages> {
        self.settling
    }

    /// What settles in a bin that cannot be decoded; nothing where it could not be decoded either if nothing settled.
    pub(super) fn find_settling(
        &self,
        input: &TickInput,
        arrived: bool,
        found: &Examined,
    ) -> Option<SettlingStages> {
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
        let others = sets.lost.features().filter(|feature| !settles(feature)).count();
        (others as f64 <= found.most_lost).then_some(SettlingStages { stream, left })
    }

    /// Shows that stages settle, where it takes long enough to be seen, until a bin can be decoded or the input is `stale`:
    /// what was decoded before moves nothing in between.
    pub(super) fn note_settling(&mut self, complete: bool) {
        let goes_on = self.states.stages_are_settling();
        match self.settling {
            Some(SettlingStages { left, .. }) => {
                self.states.stages_settle(goes_on || left > self.settings.stale_after);
            }
            None if complete || !self.states.input_is_fresh() => self.states.stages_settle(false),
            None => {}
        }
    }
}
