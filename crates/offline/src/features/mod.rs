//! The features of recordings, as a run with the same configuration would have made them: the same stages, binner and engine,
//! over samples that are read in place of received.
//!
//! [`make_features`] makes them of any recording's streams. Nothing is late here: every sample counts as received when its
//! stamp says, so a bin lacks only what its stamps lack. [`FeatureFile`] writes rows as files.
//! [`learn_reference`] learns from a stretch of rest what stages take from it, and [`learn_rest`] does while the recording is
//! still written.

mod error;
mod intake;
mod learning;
mod making;
mod pieces;
mod plan;
mod reach;
mod reference;
mod reference_document;
mod stretch;
mod table;

pub use error::FeaturesError;
pub use intake::Crossing;
pub use learning::unlearnt;
pub use making::{FeatureRow, make_features};
pub use plan::{FeaturePlan, FeaturePlanner, FeatureStages, FeatureStream};
pub use reference::{is_learnt, learn_reference, learn_rest};
pub use reference_document::{AverageBy, ReferenceDocument, ReferenceOptions, ReferenceStream, ScaleBy};
pub use stretch::Stretch;
pub use table::{FeatureFile, WrittenFeatures, write_crossings};
