//! Other generations of the streams' stages: handed to the streams' threads, followed until bins are of them, and shown.

use kalmind_acquisition::{GenerationNews, NextGeneration, clock};
use kalmind_offline::recorded::StagesDocument;
use kalmind_session::SessionInput;
use kalmind_types::{
    Actor, Command, EventBody, GenerationId, StagesAction, StagesEvent, StreamHealth, TickInput,
};

use super::{Desk, FROZEN, steered_stages::StagesStatus};

impl Desk {
    /// Hands another generation of a stream's stages to its thread, which was [claimed](super::DeskHandle::claim_stages).
    pub(super) fn change_stages(
        &mut self,
        place: usize,
        next: NextGeneration,
        document: StagesDocument,
        by: Actor,
    ) {
        let generation = document.generation;
        // whoever asked may have done so before the block began
        if self.session.freezes_stages() {
            return self.refuse_stages(place, generation, by, FROZEN);
        }
        // the recording knows its settings before anything says that it is in force
        let recorder = self.settings.recorder.as_ref();
        if recorder.is_some_and(|recorder| !recorder.stages(place, document)) {
            return self.refuse_stages(place, generation, by, "the recorder is too far behind to note them");
        }
        // it has room: none is on its way
        let steered = self.settings.stages.iter_mut().find(|stages| stages.place == place);
        if steered.is_some_and(|stages| stages.control.send(next).is_ok()) {
            self.tell_what_comes();
            self.tell_stages(place, StagesAction::StagesChanging, generation, by, (None, None), None);
        } else {
            self.refuse_stages(place, generation, by, "the stream's thread takes none");
        }
    }

    /// Another generation of a stream's stages comes to nothing, and so does the model that waits for it.
    fn refuse_stages(&mut self, place: usize, generation: GenerationId, by: Actor, reason: &str) {
        self.handle.release_stages(place);
        self.forget_awaited();
        self.tell_what_comes();
        self.tell_learner(generation, Err(reason.to_owned()));
        let refused = StagesAction::StagesRefused;
        self.tell_stages(place, refused, generation, by, (None, None), Some(reason.to_owned()));
    }

    /// Takes in what the streams' threads tell of generations; frees the chains that they have no use for.
    pub(super) fn follow_generations(&mut self) {
        for at in 0..self.settings.stages.len() {
            while let Some(news) = self.settings.stages.get_mut(at).and_then(|stages| stages.control.news()) {
                match news {
                    GenerationNews::Started { at: sample, .. } => self.update_stages(at, |status| {
                        if let Some(next) = &mut status.next {
                            next.at = Some(sample);
                        }
                    }),
                    // bins tell when it is
                    GenerationNews::InForce { .. } | GenerationNews::Retired(_) => {}
                    GenerationNews::Refused(chain) => {
                        let next =
                            self.stages_status(at).and_then(|status| Some((status.place, status.next?)));
                        if let Some((place, next)) = next {
                            let reason = "they give something else than those in force";
                            self.refuse_stages(place, chain.generation(), next.by, reason);
                        }
                    }
                }
            }
        }
    }

    /// Notes which generations the bins of a tick are of.
    pub(super) fn follow_stages(&mut self, input: &TickInput) {
        for at in 0..self.settings.stages.len() {
            let Some(stages) = self.settings.stages.get_mut(at) else { continue };
            let place = stages.place;
            let number = input.streams.get(place).map_or(0, |stream| stream.generation);
            if core::mem::replace(&mut stages.number, number) == number {
                continue;
            }
            self.follow_generations();
            let Some(next) = self.stages_status(at).and_then(|status| status.next) else { continue };
            self.update_stages(at, |status| {
                (status.generation, status.number, status.next) = (next.generation, number, None);
            });
            // what is fitted from now on belongs to it
            if let Some(features) = self.settings.demand.streams.get_mut(place) {
                // where they are of a rest, that is told next
                (features.generation, features.rest) = (Some(next.generation), None);
            }
            self.tell_learner(next.generation, Ok(()));
            let action = StagesAction::StagesInForce;
            let since = (next.at, Some(input.seq));
            self.tell_stages(place, action, next.generation, next.by, since, None);
            self.tell_what_comes();
            self.tell_session(SessionInput::StagesChanged);
        }
    }

    /// Tells the session whether stages are on their way.
    pub(super) fn tell_what_comes(&mut self) {
        // those of a stream that sends nothing come with its first samples: nobody waits for that
        let sends = |place: usize| {
            let steered = self.settings.stages.iter().find(|stages| stages.place == place);
            steered.is_some_and(|stages| stages.monitor.health() == StreamHealth::Live)
        };
        let is_coming =
            self.handle.stages().iter().any(|stages| stages.next.is_some() && sends(stages.place));
        self.tell_session(SessionInput::StagesComing(is_coming));
    }

    /// The model that waits for a generation waits for nothing: it is never put in with another one.
    fn forget_awaited(&mut self) {
        let Some((model, _)) = self.awaited.take() else { return };
        self.command(Command::ForgetAwaited { model: model.id });
        self.handle.models(|models| models.settle(model.id));
        self.not_put_in(model.id, "the stages that it was to take over with cannot be put in force", None);
    }

    fn stages_status(&self, at: usize) -> Option<StagesStatus> {
        self.handle.stages().get(at).cloned()
    }

    fn update_stages(&self, at: usize, change: impl FnOnce(&mut StagesStatus)) {
        self.handle.update(|progress| {
            if let Some(status) = progress.stages.get_mut(at) {
                change(status);
            }
        });
    }

    fn tell_stages(
        &self,
        place: usize,
        action: StagesAction,
        generation: GenerationId,
        by: Actor,
        (at, seq): (Option<u64>, Option<u64>),
        refused: Option<String>,
    ) {
        let stages = self.settings.stages.iter().find(|stages| stages.place == place);
        let stream = stages.map(|stages| stages.key.clone()).unwrap_or_default();
        let event = StagesEvent { action, by, stream, generation, at, seq, refused };
        self.events.publish(clock::now(), EventBody::Stages(event));
    }
}
