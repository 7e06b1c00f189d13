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
use kalmind_signal::AdaptiveState;
use kalmind_types::{Cause, Command, LslTime, ModelId, StreamTick};

use super::{
    examined::Examiner,
    history::History,
    staged::{Past, StagedModel},
};

/// Models that may wait for the command that swaps them in.
const STAGED: usize = 8;

/// Bins that are over and that a model may still be shown on the tick.
pub(super) const CATCH_UP: usize = 2;

/// How the active model came in, in the tick of its swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newcomer {
    /// It has seen nothing of the bin.
    Cold,
    /// It has seen all bins before.
    Warm,
}

/// The models, by what becomes of them. No box is ever freed here.
#[derive(Debug, Default)]
pub(super) struct Models {
    pub(super) active: Option<Box<StagedModel>>,
    staged: ArrayVec<Box<StagedModel>, STAGED>,
    /// As many as can be swapped in between two calls of [`Models::take_retired`].
    retired: ArrayVec<Box<StagedModel>, STAGED>,
    /// Whether the active one is new in this tick.
    pub(super) newcomer: Option<Newcomer>,
    /// What the first model's adaptive state goes on from, where it can.
    pub(super) resumed: Option<AdaptiveState>,
    /// Whether this tick does not go on from the one before: another adaptive state, or another generation of stages.
    pub(super) turned: bool,
    /// The staged model that takes over with a generation of a stream's stages: which, the stream, the generation.
    awaiting: Option<(ModelId, usize, u32)>,
}

impl Models {
    /// Takes a model that a later swap names. Where eight wait already, returns the oldest, which was never swapped in.
    pub(super) fn stage(&mut self, model: Box<StagedModel>) -> Option<Box<StagedModel>> {
        let mut displaced = if self.staged.is_full() { self.staged.pop_at(0) } else { None };
        if let Some(displaced) = &mut displaced {
            displaced.past.turned_away = true;
        }
        let _room_was_made = self.staged.try_push(model);
        displaced
    }

    /// Hands a model back that still waits for its swap, because the tick of the swap has failed.
    pub(super) fn turn_away(&mut self, id: ModelId) {
        if let Some(mut model) = self.place_of(id).and_then(|place| self.staged.pop_at(place)) {
            model.past.turned_away = true;
            let _has_room = self.retired.try_push(model);
        }
    }

    /// A model that a swap has put out of use.
    pub(super) fn take_retired(&mut self) -> Option<Box<StagedModel>> {
        self.retired.pop_at(0)
    }

    /// The model that decodes, and why it may not control; none where it may.
    pub(super) fn active_with_doubt(&self) -> Option<(ModelId, Option<Cause>)> {
        self.active.as_deref().map(StagedModel::with_doubt)
    }

    /// The same, as a tick with these commands after the `recent` ones would leave it.
    pub(super) fn preview(&self, commands: &[Command], recent: &History) -> Option<(ModelId, Option<Cause>)> {
        let (mut model, mut newcomer) = (self.active_with_doubt(), false);
        for (at, command) in commands.iter().enumerate() {
            match *command {
                // a model that was refused is not swapped in: what decodes goes on, in doubt as it is
                Command::SwapModel(id) | Command::SwapWarmed { model: id, .. } => {
                    let can = |staged: &StagedModel| match *command {
                        Command::SwapWarmed { through, .. } => {
                            !newcomer && catches_up(staged, through, recent)
                        }
                        _ => true,
                    };
                    let staged = self.staged.iter().find(|staged| staged.id == id);
                    if let Some(staged) = staged.filter(|staged| can(staged)) {
                        let mut before = commands.iter().take(at);
                        let confirmed = before.any(|command| confirms(command, id));
                        model = Some((id, staged.doubt.filter(|_| !confirmed)));
                        newcomer = true;
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

    /// Hands the model of this identity back, where it is the one that waits for a generation.
    pub(super) fn forget_awaited(&mut self, id: ModelId) {
        if self.awaiting.take_if(|(awaited, ..)| *awaited == id).is_some()
            && let Some(model) = self.place_of(id).and_then(|place| self.staged.pop_at(place))
        {
            let _has_room = self.retired.try_push(model);
        }
    }

    /// No model waits for a generation any more: the one of this identity because it takes over, another one because of that.
    fn end_waiting(&mut self, id: ModelId) {
        if let Some((awaited, ..)) = self.awaiting.filter(|(awaited, ..)| *awaited != id) {
            self.forget_awaited(awaited);
        }
        self.awaiting = None;
    }

    /// Has a staged model take over at the first bin of a generation of a stream's stages.
    pub(super) fn await_generation(&mut self, id: ModelId, stream: usize, generation: u32) {
        self.end_waiting(id);
        self.awaiting = Some((id, stream, generation));
    }

    /// The model that waits for a generation, where this bin is wholly of it.
    fn due(&self, streams: &[StreamTick]) -> Option<ModelId> {
        let (id, stream, generation) = self.awaiting?;
        streams.get(stream).is_some_and(|stream| stream.generation >= generation).then_some(id)
    }

    /// Hands back the model that was to take over in this tick with a generation, because the tick has failed.
    pub(super) fn turn_away_due(&mut self, streams: &[StreamTick]) {
        if let Some(id) = self.due(streams) {
            self.turn_away(id);
            self.awaiting = None;
        }
    }

    /// Decodes with the model that waits for a generation, where this bin is wholly of it.
    pub(super) fn swap_where_due(&mut self, streams: &[StreamTick], last_complete: Option<LslTime>) {
        if let Some(id) = self.due(streams) {
            self.swap(id, last_complete);
        }
    }

    /// Decodes with the staged model of this identity from now on, if there is one, whatever it was shown before: only mean
    /// and covariance of the model before carry over, where they fit. Else its next bin is row one.
    pub(super) fn swap(&mut self, id: ModelId, last_complete: Option<LslTime>) {
        let Some(place) = self.place_of(id) else { return self.end_waiting(id) };
        // it stays in its place until all is done that could panic
        if let Some(model) = self.staged.get_mut(place) {
            model.forget();
            let active = self.active.as_deref();
            let last_screened = active.and_then(|active| active.past.last_screened);
            model.past = Past { last_complete, last_screened, ..Past::default() };
            if let Some(state) = active.and_then(|active| active.decoder.state()) {
                model.decoder.adopt(state);
            }
        }
        self.activate(place, Newcomer::Cold);
        self.end_waiting(id);
    }

    /// Decodes with the staged model of this identity from now on, if there is one, that was shown all bins until `through`
    /// on the slow side: it is shown the bins since then, and takes mean and covariance of the model before where it has been
    /// shown less than it looks back. Where more than [`CATCH_UP`] bins are missing, stages are others from this tick on, or
    /// another model has come in it, which costs enough, nothing changes, and the model is handed back.
    pub(super) fn swap_warmed(
        &mut self,
        id: ModelId,
        through: u64,
        recent: &History,
        examiner: &mut Examiner,
    ) {
        let Some(place) = self.place_of(id) else { return };
        let (is_first, turned) = (self.newcomer.is_none(), self.turned);
        let Some(model) = self
            .staged
            .get_mut(place)
            .filter(|model| is_first && !turned && catches_up(model, through, recent))
        else {
            return self.turn_away(id);
        };
        // it stays in its place until all is done that could panic
        let newest = recent.held().map_or(through, |(_, newest)| newest);
        for row in (through.saturating_add(1)..=newest).filter_map(|seq| recent.row(seq)) {
            model.warm(&row, examiner);
        }
        if let Some(active) = &self.active {
            model.carry_on(active);
        }
        self.activate(place, Newcomer::Warm);
        self.end_waiting(id);
    }

    /// Lets the adaptive state go on, where both models have it and the stages before them are the same. Else that of the newcomer is the one that it was warmed with,
    /// from its training values on.
    fn carry(&mut self, newcomer: &mut StagedModel) {
        let before = match &self.active {
            Some(active) => active.preparation.adaptive().filter(|_| !self.turned),
            None => self.resumed.as_ref(),
        };
        let carried = before.is_some_and(|before| newcomer.preparation.carry(before));
        let had_one = self.active.is_some() && before.is_some();
        self.turned |= !(carried && had_one) && (had_one || newcomer.preparation.adaptive().is_some());
    }

    /// Named by identity: which others wait, and since when, changes nothing.
    fn place_of(&self, id: ModelId) -> Option<usize> {
        self.staged.iter().position(|staged| staged.id == id)
    }

    fn activate(&mut self, place: usize, newcomer: Newcomer) {
        let Some(mut model) = self.staged.pop_at(place) else { return };
        model.past.turned_away = false;
        self.carry(&mut model);
        self.newcomer = Some(newcomer);
        if let Some(displaced) = self.active.replace(model) {
            let _has_room = self.retired.try_push(displaced);
        }
    }
}

/// Whether a model that was shown all bins until `through` can be shown those since then.
fn catches_up(model: &StagedModel, through: u64, recent: &History) -> bool {
    // nothing is missing where the newest bin is the last that it was shown
    let next = through.saturating_add(1);
    let holds = |(oldest, newest): (u64, u64)| newest == through || (oldest <= next && next <= newest);
    model.warmed_through() == Some(through) && recent.held().is_some_and(holds)
}

/// Whether a command confirms this model.
fn confirms(command: &Command, id: ModelId) -> bool {
    matches!(command, Command::ConfirmModel { model, .. } if *model == id)
}
