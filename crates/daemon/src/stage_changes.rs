//! Requests for other settings of a stream's stages: checked and built here, by whoever asks, so that neither the desk nor the
//! stream's thread waits for it.

use kalmind_acquisition::{NextGeneration, Stages};
use kalmind_offline::{model::Demand, recorded::RecordedAs};
use kalmind_output::{ControlRefused, StagesRequest};
use kalmind_signal::Chain;
use kalmind_types::Actor;

use crate::{
    desk::{DeskHandle, FROZEN, Message, NextStages, StagesStatus},
    running::recording::stages_document,
    starting::{plan::Plan, stages::generation},
};

/// The stages of a run as they were at its start.
#[derive(Debug)]
pub struct StageChanges {
    /// Those of each decoded stream.
    stages: Vec<Option<Stages>>,
    /// What of their streams is recorded.
    recorded: RecordedAs,
}

/// What a model has to match.
#[derive(Debug)]
pub struct Demands {
    /// Now.
    pub now: Demand,
    /// Once the generation that is on its way is in force: with the stream, and the generation's number.
    pub next: Option<(Demand, (usize, u32))>,
}

impl Demands {
    /// Those of the start, with the generations that are in force.
    #[must_use]
    pub fn of(at_start: &Demand, shown: &[StagesStatus]) -> Self {
        let mut now = at_start.clone();
        for status in shown {
            if let Some(stream) = now.streams.get_mut(status.place) {
                stream.generation = Some(status.generation);
            }
        }
        let changing = shown.iter().find_map(|status| Some((status, status.next?)));
        let next = changing.map(|(status, next)| {
            let mut demand = now.clone();
            if let Some(stream) = demand.streams.get_mut(status.place) {
                stream.generation = Some(next.generation);
            }
            (demand, (status.place, status.number.saturating_add(1)))
        });
        Self { now, next }
    }
}

impl StageChanges {
    /// Those of a run.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            stages: plan.streams.iter().map(|stream| stream.inlet.stages.clone()).collect(),
            recorded: plan.recorded_as(),
        }
    }

    /// Whether another generation of a stream's stages can follow the one in force.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn check(&self, desk: &DeskHandle, request: StagesRequest) -> Result<(), ControlRefused> {
        self.build(desk, request).map(|_built| ())
    }

    /// Has another generation of a stream's stages follow the one in force.
    ///
    /// # Errors
    /// Where the stages cannot be built, or cannot follow those in force; or where another change is under way.
    pub fn ask(&self, desk: &DeskHandle, request: StagesRequest, by: Actor) -> Result<(), ControlRefused> {
        let at = request.at;
        let (status, after, chain) = self.build(desk, request)?;
        for warning in chain.warnings() {
            tracing::warn!(stream = status.stream, "{warning}");
        }
        let (place, generation) = (status.place, after.generation);
        if !desk.claim_stages(place, NextStages { generation, at: None, by }) {
            return Err(ControlRefused::NotNow("another change of stages is under way".to_owned()));
        }
        let message = Message::ChangeStages {
            place,
            next: Box::new(NextGeneration { chain: Box::new(chain), at }),
            document: Box::new(stages_document(&after, self.recorded)),
            by,
        };
        if desk.send(message) {
            return Ok(());
        }
        desk.release_stages(place);
        Err(ControlRefused::Busy("too many requests wait; ask again".to_owned()))
    }

    /// The chain that would follow the one in force, with its stream as it is now.
    fn build(
        &self,
        desk: &DeskHandle,
        request: StagesRequest,
    ) -> Result<(StagesStatus, Stages, Chain), ControlRefused> {
        let shown = desk.stages();
        let StagesRequest { stream, stages: settings, .. } = request;
        let known = shown.iter().find(|status| status.stream == stream);
        let stages = known.and_then(|status| Some((status, self.stages.get(status.place)?.as_ref()?)));
        let Some((status, before)) = stages else {
            let all: Vec<&str> = shown.iter().map(|status| status.stream.as_str()).collect();
            return Err(ControlRefused::Invalid(format!(
                "no stream \"{stream}\" with stages; those that have some: {}",
                if all.is_empty() { "none".to_owned() } else { all.join(", ") }
            )));
        };
        let settings = serde_json::from_value(settings)
            .map_err(|error| ControlRefused::Invalid(format!("`stages` are not understood: {error}")))?;
        let after = Stages { generation: generation(&settings), settings, ..before.clone() };
        if desk.progress().frozen {
            return Err(ControlRefused::NotNow(FROZEN.to_owned()));
        }
        if shown.iter().any(|status| status.next.is_some()) {
            return Err(ControlRefused::NotNow("another change of stages is under way".to_owned()));
        }
        if after.generation == status.generation {
            return Err(ControlRefused::NotNow("these stages are in force already".to_owned()));
        }
        let built = |stages: &Stages| {
            stages
                .chain()
                .map_err(|error| ControlRefused::Invalid(format!("`stages` cannot be used: {error}")))
        };
        let (chain, first) = (built(&after)?, built(before)?);
        if !chain.signal().is_like(first.signal()) || chain.delay() != first.delay() {
            return Err(ControlRefused::Invalid(
                "these stages give other channels, another rate or another delay than those in force: begin a run with them"
                    .to_owned(),
            ));
        }
        if let Some(output) = chain.signal().made_of_more(first.signal()) {
            return Err(ControlRefused::Invalid(format!(
                "{output} would be made of channels that it was not made of when the run began, and that masking them would \
                 not reach: give them a weight other than 0 from the start, or begin a run with these stages"
            )));
        }
        Ok((status.clone(), after, chain))
    }
}
