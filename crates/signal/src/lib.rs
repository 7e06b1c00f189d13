//! Samples to features: what a stream's samples become before they are cut into bins, and what a bin's samples become before
//! the decoder sees them.
//!
//! A [`DerivedStream`] makes other samples of a stream's samples, with a [`Chain`] of [stages](STAGES); [`StampGaps`] says which
//! were never sent.
//! [`FeatureExtractor`] turns the rows of each stream that fall into a bin into one raw feature vector, and
//! [`Preparation`] makes of it what a decoder takes: missing and masked features replaced by their training mean, then
//! z-scored where the model asks for it, by fixed statistics or by ones that follow the signal, whose [`AdaptiveState`] goes on
//! where another model takes over. [`FeatureStatistics`] measures the means and deviations that both need.
//!
//! *Invariant:* pure and real-time. After construction nothing here allocates, panics, locks, reads a clock or depends on
//! anything but its arguments; the order of summation is the order of the rows, so equal rows give equal bits.

mod adaptive;
mod binning;
mod extractor;
mod preparation;
mod running_zscore;
mod stages;
mod stamp_gaps;
mod statistics;

pub use adaptive::AdaptiveState;
pub use binning::{BINNINGS, BinningEntry};
pub use extractor::{AcceptError, FeatureExtractor, RawFeatures};
pub use preparation::{Preparation, PreparationError, Prepared};
pub use running_zscore::{follow_running_zscore, running_state};
pub use stages::{
    ArSpectrumSettings, BlankSettings, Chain, ChainError, ChainSettings, ChannelHealth, ChannelName,
    DecimateSettings, DerivedCounts, DerivedStream, FilterKind, FilterSettings, Frequencies, Given,
    IdentitySettings, IirBackwardSettings, IirSettings, InputLog, Mark, PowerSettings, RectifySettings,
    ReferenceKind, ReferenceSettings, Row, Rows, STAGES, Settling, Signal, SpikesSettings, Stage, StageEntry,
    StageError, StageSettings, StagedError, StateError, StateReader, StateWriter,
};
pub use stamp_gaps::StampGaps;
pub use statistics::FeatureStatistics;
