//! The stages of a stream as the desk steers and shows them.

use std::sync::Arc;

use kalmind_acquisition::{GenerationControl, StreamMonitor};
use kalmind_types::{Actor, ChannelOut, GenerationId};
use serde::Serialize;

/// The generation of a stream's stages, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StagesStatus {
    /// The stream's place among those that are decoded.
    #[serde(skip)]
    pub place: usize,
    /// Its key.
    pub stream: String,
    /// The generation that the newest bin is wholly of.
    pub generation: GenerationId,
    /// Its number in ticks, counted from 0.
    pub number: u32,
    /// The one that follows, where one is on its way.
    pub next: Option<NextStages>,
}

/// A generation that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NextStages {
    /// Which.
    pub generation: GenerationId,
    /// The raw sample from which it will be in force, as soon as that is known.
    pub at: Option<u64>,
    /// Who asked for it.
    pub by: Actor,
}

/// The stages of a stream, as the desk steers them.
#[derive(Debug)]
pub struct SteeredStages {
    /// Its place among the decoded streams.
    pub place: usize,
    /// The stream's key.
    pub key: String,
    /// The generation at the start.
    pub generation: GenerationId,
    /// By which others are put in force.
    pub control: GenerationControl,
    /// The number of the generation that the newest bin is of.
    pub number: u32,
    /// What is known of the stream.
    pub monitor: Arc<StreamMonitor>,
    /// The channels that are left out, as they were told last, and how often they had changed by then.
    pub channels_out: Vec<ChannelOut>,
    /// See `channels_out`.
    pub channel_changes: u64,
}

impl SteeredStages {
    /// Those of the decoded stream at this place, as they begin.
    #[must_use]
    pub fn new(
        place: usize,
        key: String,
        generation: GenerationId,
        control: GenerationControl,
        monitor: Arc<StreamMonitor>,
    ) -> Self {
        Self {
            place,
            key,
            generation,
            control,
            number: 0,
            monitor,
            channels_out: Vec::new(),
            channel_changes: 0,
        }
    }

    /// What is shown before anything has changed.
    #[must_use]
    pub fn status(&self) -> StagesStatus {
        let (place, stream, generation) = (self.place, self.key.clone(), self.generation);
        StagesStatus { place, stream, generation, number: 0, next: None }
    }
}
