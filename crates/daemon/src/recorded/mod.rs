//! A recording of Kalmind's own: what its documents mean, and the engine driven by it.

mod documents;
mod playback;
mod samples;

pub use documents::{
    ClockReading, ConfigurationText, FORMAT, InputStream, LossKind, ModelPart, RecordDocument,
    SessionDocument, TickDocument,
};
pub use playback::{Playback, PlaybackError};
pub use samples::RecordedSamples;
