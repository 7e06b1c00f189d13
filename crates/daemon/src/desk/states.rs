//! What is kept for the next session: the adaptive state of what decodes, and where the session stands.

use kalmind_acquisition::clock;
use kalmind_signal::AdaptiveState;
use kalmind_types::{ModelId, SessionChange};

use super::Desk;
use crate::{
    models::{
        keeper::{Keeper, Kept},
        saved_session::SavedSession,
        saved_state::SavedState,
    },
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
                model = self.logged(model),
                seq = record.input.seq,
                "the features' means and scales follow the signal from here on"
            );
        }
        if let Some(state) = &record.adaptive {
            self.keep_state(model, AdaptiveState::clone(state));
        }
    }

    fn keep_state(&mut self, model: ModelId, state: AdaptiveState) {
        let saved = SavedState::new(model, &self.settings.demand.streams, state, clock::clock_pair().unix);
        self.keep(Kept::State(saved));
    }

    /// Keeps where the session stands, so that a daemon that is started again can say which block was interrupted.
    pub(super) fn keep_session(&mut self, change: &SessionChange) {
        let before = self.saved_session.as_ref();
        if let Some(session) = SavedSession::after(before, change, clock::clock_pair().unix) {
            self.saved_session = Some(session.clone());
            self.keep(Kept::Session(session));
        }
    }

    fn keep(&mut self, kept: Kept) {
        let Some(save) = &self.settings.save else { return };
        if self.keeper.is_none() {
            match Keeper::spawn(save.folder()) {
                Ok(keeper) => self.keeper = Some(keeper),
                Err(error) => {
                    tracing::error!(%error, "no thread that saves what the next session goes on from");
                }
            }
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(kept);
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
