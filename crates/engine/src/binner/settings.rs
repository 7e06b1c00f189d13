//! How bins are made, and why they cannot be.

use kalmind_types::{MAX_STREAMS, Seconds};

use super::StreamBinning;

/// How bins are made.
#[derive(Clone, Debug, PartialEq)]
pub struct BinnerSettings {
    /// Width of a bin.
    pub width: Seconds,
    /// How long after its end, on the local clock, a bin waits for its streams.
    pub max_wait: Seconds,
    /// A change of the time base by more than this starts a new epoch.
    pub epoch_jump: Seconds,
    /// The streams, in the configuration's order.
    pub streams: Vec<StreamBinning>,
}

/// Why a binner could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BinnerError {
    /// No stream, or more than [`MAX_STREAMS`].
    #[error("{0} streams are configured; between 1 and {MAX_STREAMS} are possible")]
    StreamCount(usize),
    /// No stream is required, so nothing would ever close a bin.
    #[error("no stream is required; at least one must be")]
    NothingRequired,
    /// Two streams with `sample` binning.
    #[error("two streams have binning = \"sample\"; one at most may lead")]
    TwoLeaders,
    /// A leading stream that is not required or has no rate.
    #[error("the stream with binning = \"sample\" must be required and needs a rate (rate_hz)")]
    BadLeader,
}
