//! A recording of Kalmind's own: what its documents mean, and the engine driven by it.

mod comparison;
mod derived_items;
mod deriving;
mod documents;
mod example;
mod gathering;
mod generations;
mod item;
mod model_parts;
mod models;
mod playback;
mod reading;
mod samples;
mod stages;
mod ticks;

pub use comparison::{Comparison, Difference, PublishedRow};
pub use derived_items::DerivedItems;
pub use deriving::{DerivedSamples, Deriving, ResumedAt};
pub use documents::{
    ClockReading, ConfigurationText, FORMAT, InputStream, LossKind, RecordDocument, SessionDocument,
    TickDocument, WindowResult,
};
pub use gathering::{GatherError, Gathered, gather};
pub use generations::{NewestGeneration, StageChanges};
pub use item::{Item, RecordedTick, Unreadable};
pub use model_parts::{ModelPart, TickFeatures};
pub use models::{FittedTicks, RecordedModelError, RecordedModels, recorded_report};
pub use playback::{Playback, PlaybackError, swapped_in};
pub use reading::{ReadError, SessionReader, Wanted};
pub use samples::RecordedSamples;
pub use stages::{CheckpointPart, RecordedAs, StagesDocument};
