//! The models of an engine: the one that decodes, those that wait for their swap, and those to be freed elsewhere.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use arrayvec::ArrayVec;
use kalmind_filter::{Decoder, Screen};
use kalmind_signal::Preparation;
use kalmind_types::{Cause, Command, ModelId};

/// Models that may wait for the command that swaps them in.
const STAGED: usize = 8;

/// A model ready to decode: built on the slow side, handed to the engine, and handed back to be freed there.
#[derive(Debug)]
pub struct StagedModel {
    /// Its identity.
    pub id: ModelId,
    /// What decodes.
    pub decoder: Box<dyn Decoder>,
    /// Training means and z-score.
    pub preparation: Preparation,
    /// What looks at the features before they are decoded.
    pub screen: Screen,
    /// Why it may not control until a [`Command::ConfirmModel`] names it; none where it may.
    pub doubt: Option<Cause>,
}

impl StagedModel {
    /// Forgets what came before: its next bin is row one.
    pub(super) fn restart(&mut self) {
        self.decoder.restart();
        self.screen.restart();
    }

    fn with_doubt(&self) -> (ModelId, Option<Cause>) {
        (self.id, self.doubt)
    }
}

/// The models, by what becomes of them. No box is ever freed here.
#[derive(Debug, Default)]
pub(super) struct Models {
    pub(super) active: Option<Box<StagedModel>>,
    staged: ArrayVec<Box<StagedModel>, STAGED>,
    /// As many as can be swapped in between two calls of [`Models::take_retired`].
    retired: ArrayVec<Box<StagedModel>, STAGED>,
    /// Whether the active one is new in this tick.
    pub(super) activated: bool,
}

impl Models {
    /// Takes a model that a later swap names. Where eight wait already, returns the oldest, which was never swapped in.
    pub(super) fn stage(&mut self, model: Box<StagedModel>) -> Option<Box<StagedModel>> {
        let displaced = if self.staged.is_full() { self.staged.pop_at(0) } else { None };
        let _room_was_made = self.staged.try_push(model);
        displaced
    }

    /// A model that a swap has put out of use.
    pub(super) fn take_retired(&mut self) -> Option<Box<StagedModel>> {
        self.retired.pop_at(0)
    }

    /// The model that decodes, and why it may not control; none where it may.
    pub(super) fn active_with_doubt(&self) -> Option<(ModelId, Option<Cause>)> {
        self.active.as_deref().map(StagedModel::with_doubt)
    }

    /// The same, as a tick with these commands would leave it.
    pub(super) fn preview(&self, commands: &[Command]) -> Option<(ModelId, Option<Cause>)> {
        let mut model = self.active_with_doubt();
        for (at, command) in commands.iter().enumerate() {
            match *command {
                // a model that was refused is not swapped in: what decodes goes on, in doubt as it is
                Command::SwapModel(id) => {
                    if let Some(staged) = self.staged.iter().find(|staged| staged.id == id) {
                        let mut before = commands.iter().take(at);
                        let confirmed = before.any(|command| confirms(command, id));
                        model = Some((id, staged.doubt.filter(|_| !confirmed)));
                    }
                }
                Command::ConfirmModel { .. } => {
                    model = model.map(|(id, doubt)| (id, doubt.filter(|_| !confirms(command, id))));
                }
                _ => {}
            }
        }
        model
    }

    /// A model that decodes or waits for its swap may control from now on.
    pub(super) fn confirm(&mut self, id: ModelId) {
        let models = self.active.iter_mut().chain(&mut self.staged);
        for model in models.filter(|model| model.id == id) {
            model.doubt = None;
        }
    }

    /// Decodes with the staged model of this identity from now on, if there is one. Whether mean and covariance carried
    /// over: where they do not fit, its next bin is row one.
    pub(super) fn swap(&mut self, id: ModelId) -> Option<bool> {
        // named by identity: which others wait, and since when, changes nothing
        let place = self.staged.iter().position(|staged| staged.id == id)?;
        let mut model = self.staged.pop_at(place)?;
        model.restart();
        let state = self.active.as_ref().and_then(|active| active.decoder.state());
        let carried = state.is_some_and(|state| model.decoder.adopt(state));
        self.activated = true;
        if let Some(displaced) = self.active.replace(model) {
            let _has_room = self.retired.try_push(displaced);
        }
        Some(carried)
    }
}

/// Whether a command confirms this model.
fn confirms(command: &Command, id: ModelId) -> bool {
    matches!(command, Command::ConfirmModel { model, .. } if *model == id)
}
