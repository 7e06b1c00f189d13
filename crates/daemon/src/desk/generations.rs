//! Other generations of the streams' stages: handed to the streams' threads, followed until bins are of them, and shown.

use kalmind_acquisition::{GenerationNews, NextGeneration, clock};
use kalmind_offline::recorded::StagesDocument;
use kalmind_types::{Actor, Command, EventBody, GenerationId, StagesAction, StagesEvent, TickInput};

use super::{
    Desk,
    steered_stages::{NextStages, StagesStatus},
};

impl Desk {
    /// Hands another generation of a stream's stages to its thread. One at a time: the next waits until bins are of it.
    pub(super) fn change_stages(
        &mut self,
        place: usize,
        next: NextGeneration,
        document: StagesDocument,
        by: Actor,
    ) {
        let generation = document.generation;
        let steered = self.settings.stages.iter().position(|stages| stages.place == place);
        let is_changing = steered.is_none_or(|at| self.stages_status(at).is_none_or(|s| s.next.is_some()));
        let Some(at) = steered.filter(|_| !is_changing) else {
            return self.tell_stages(place, StagesAction::StagesRefused, generation, by, None, None);
        };
        // the recording knows its settings before anything says that it is in force
        if let Some(recorder) = &self.settings.recorder {
            recorder.stages(place, document);
        }
        // it has room: none is on its way
        let sent = self.settings.stages.get_mut(at).is_some_and(|stages| stages.control.send(next).is_ok());
        if sent {
            self.update_stages(at, |status| {
                status.next = Some(NextStages { generation, at: None, by });
            });
        }
        let action = if sent { StagesAction::StagesChanging } else { StagesAction::StagesRefused };
        self.tell_stages(place, action, generation, by, None, None);
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
                        let next = self.stages_status(at).and_then(|status| status.next);
                        self.update_stages(at, |status| status.next = None);
                        self.forget_awaited();
                        if let (Some(next), Some(stages)) = (next, self.settings.stages.get(at)) {
                            let (place, refused) = (stages.place, StagesAction::StagesRefused);
                            self.tell_stages(place, refused, chain.generation(), next.by, None, None);
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
                features.generation = Some(next.generation);
            }
            let action = StagesAction::StagesInForce;
            self.tell_stages(place, action, next.generation, next.by, next.at, Some(input.seq));
        }
    }

    /// The model that waits for a generation waits for nothing: it is never put in with another one.
    fn forget_awaited(&mut self) {
        let Some((model, _)) = self.awaited.take() else { return };
        let (stream, never) = (0, u32::MAX);
        self.command(Command::SwapAtGeneration { model: model.id, stream, generation: never });
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
        at: Option<u64>,
        seq: Option<u64>,
    ) {
        let stages = self.settings.stages.iter().find(|stages| stages.place == place);
        let stream = stages.map(|stages| stages.key.clone()).unwrap_or_default();
        let event = StagesEvent { action, by, stream, generation, at, seq };
        self.events.publish(clock::now(), EventBody::Stages(event));
    }
}
