//! The desk shows models the past and sends them to the tick.

use std::sync::atomic::Ordering;

use kalmind_engine::StagedModel;
use kalmind_session::SessionInput;
use kalmind_types::{Command, ModelId};

use super::{
    Desk, TOO_MANY, Then,
    swaps::{Back, Next, Swap, TRIES},
};
use crate::tick::TickRecord;

impl Desk {
    /// Lets a model take over, warmed, and does `then` once it is on its way. False where too many wait.
    pub(super) fn warm_in(&mut self, model: Box<StagedModel>, then: Then) -> bool {
        self.swaps.push(model, then)
    }

    /// Shows the model that waits longest some bins. Whether there is more to do at once.
    pub(super) fn warm(&mut self) -> bool {
        match self.swaps.next() {
            None => false,
            Some(Next::Show(first, newest)) => {
                if let Err(Some(Swap { model, then, .. })) = self.swaps.show(first, newest) {
                    let problem = "its decoder failed on the bins of the last seconds";
                    self.handle.models(|models| models.settle(model.id));
                    self.not_put_in(model.id, problem, then);
                }
                true
            }
            Some(Next::Send) => self.send(false),
            Some(Next::SendCold) => self.send(true),
        }
    }

    /// Sends the model that waits longest. Whether there may be more to do; where the tick has no room yet, not now.
    fn send(&mut self, cold: bool) -> bool {
        let Some(Swap { model, from, tries, then }) = self.swaps.take() else { return false };
        let id = model.id;
        if !self.has_room() {
            self.handle.refused.fetch_add(1, Ordering::Relaxed);
            self.handle.models(|models| models.settle(id));
            self.not_put_in(id, TOO_MANY, then);
            return true;
        }
        let command = match model.warmed_through() {
            Some(through) if !cold => Command::SwapWarmed { model: id, from, through },
            _ => Command::SwapModel(id),
        };
        if let Err(full) = self.queues.models.push(model) {
            self.swaps.put_back(Swap { model: full.0, from, tries, then });
            return false;
        }
        if tries >= TRIES {
            let model = self.logged(id);
            tracing::warn!(
                model,
                tries,
                "a model was behind the ticks each time it was warmed: it takes over cold"
            );
        }
        let again = self.swaps.sent(id, tries, then.is_some());
        self.in_flight.push(id);
        // a confirmation that follows from it is on its way first: no tick decodes by a model in doubt that is not
        if let Some(then) = then {
            then(self, Ok(()));
        }
        self.command(command);
        for said in again.into_iter().flatten() {
            self.command(said);
        }
        true
    }

    /// A model that the tick is done with: freed here, unless it was not put in.
    pub(super) fn take_back(&mut self, model: Box<StagedModel>) {
        let id = model.id;
        match self.swaps.take_back(model) {
            Back::Done => {
                // it has not decoded yet: another one took over before, or the tick failed
                if self.awaited.take_if(|(awaited, _)| awaited.id == id).is_some() {
                    self.handle.models(|models| models.settle(id));
                    self.not_put_in(id, "another one took over before its stages were in force, or the tick of its swap failed", None);
                }
            }
            Back::Waits => {
                self.handle.models(|models| models.want_again(id));
                tracing::warn!(
                    model = self.logged(id),
                    "a model came too late for its swap, or in a tick that failed, and is warmed again"
                );
            }
            Back::GivenUp => self.not_put_in(id, "the ticks that were to put it in have failed", None),
        }
    }

    /// Whoever wanted this model put in wants it no more: where it still waits it does not take over, and stays one of the run's.
    pub(super) fn take_back_waiting(&mut self, id: ModelId) {
        if self.swaps.remove(id) {
            self.handle.models(|models| models.settle(id));
            self.show_newest_instead_of(id);
        }
    }

    /// Shows what decodes in place of a model that does not take over.
    fn show_newest_instead_of(&mut self, id: ModelId) {
        if self.put_in == Some(id) {
            let newest = self.handle.models(|models| models.newest().and_then(|newest| models.get(newest)));
            self.show_decoder(newest.as_deref());
        }
    }

    /// A model does not take over that was to: what decodes goes on.
    pub(super) fn not_put_in(&mut self, id: ModelId, problem: &str, then: Option<Then>) {
        let problem = format!("{problem}; the model before it goes on");
        tracing::error!(problem, model = self.logged(id), "a model was not put in");
        self.show_newest_instead_of(id);
        self.publish_failed_swap(id, &problem);
        match then {
            Some(then) => then(self, Err(problem)),
            // what was to follow has begun without it
            None => self.tell_session(SessionInput::PutIn { model: id, result: Err(problem) }),
        }
    }

    /// Follows a tick: which models' commands it had, and which one decodes.
    pub(super) fn follow_swaps(&mut self, record: &TickRecord) {
        if record.lost_before > 0 {
            // theirs may have been among the commands of a tick that was never seen here
            for id in core::mem::take(&mut self.in_flight) {
                self.handle.models(|models| models.settle(id));
            }
        }
        for command in &record.input.commands {
            let (Command::SwapModel(id) | Command::SwapWarmed { model: id, .. }) = *command else { continue };
            if let Some(place) = self.in_flight.iter().position(|other| *other == id) {
                self.in_flight.remove(place);
                self.handle.models(|models| models.settle(id));
            }
        }
        let decodes = record.model.map(|(model, _)| model);
        if self.decodes != decodes {
            self.decodes = decodes;
            self.handle.models(|models| models.activate(decodes));
            if let Some((model, by)) = self.awaited.take_if(|(model, _)| Some(model.id) == decodes) {
                self.handle.models(|models| models.settle(model.id));
                self.follow_swap(&model, Some(by));
            }
        }
    }
}
