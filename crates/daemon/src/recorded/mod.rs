//! A recording of Kalmind's own: what its documents mean.

mod documents;

pub use documents::{
    ClockReading, ConfigurationText, FORMAT, InputStream, LossKind, ModelPart, RecordDocument,
    SessionDocument, TickDocument,
};
