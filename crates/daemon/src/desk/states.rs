//! The adaptive state of what decodes: it is told where it begins, and kept for the next session.

use kalmind_acquisition::clock;
use kalmind_signal::AdaptiveState;
use kalmind_types::ModelId;

use super::Desk;
use crate::{
    models::saved_state::{SavedState, StateKeeper},
    tick::TickRecord,
};

impl Desk {
    /// Follows the state after a tick.
    pub(super) fn follow_state(&mut self, record: &TickRecord) {
        self.swaps.history.follow(&record.row(), record.adaptive.as_deref());
        let Some((model, _)) = record.model.filter(|_| record.bin.weight > 0.0) else { return };
        self.adapts = Some(model);
        if record.bin.turned {
            tracing::info!(
                model = model.to_hex(),
                seq = record.input.seq,
                "the features' means and scales follow the signal from here on"
            );
        }
        if let Some(state) = &record.adaptive {
            self.keep_state(model, AdaptiveState::clone(state));
        }
    }

    fn keep_state(&mut self, model: ModelId, state: AdaptiveState) {
        let Some(save) = &self.settings.save else { return };
        if self.keeper.is_none() {
            match StateKeeper::spawn(save.folder()) {
                Ok(keeper) => self.keeper = Some(keeper),
                Err(error) => tracing::error!(%error, "no thread that saves the adaptive state"),
            }
        }
        let saved = SavedState::new(model, &self.settings.demand.streams, state, clock::clock_pair().unix);
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(saved);
        }
    }

    /// Keeps the state at the end of the run.
    pub(super) fn keep_last_state(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        let streams = &self.settings.demand.streams;
        let last = self.adapts.zip(self.swaps.history.newest_state());
        keeper.finish(
            last.map(|(model, state)| SavedState::new(model, streams, state, clock::clock_pair().unix)),
        );
    }
}
