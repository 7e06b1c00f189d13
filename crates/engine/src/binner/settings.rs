//! How bins are made, and why they cannot be.

use kalmind_types::{Binning, MAX_STREAMS, Seconds};

use super::intake::StreamBinning;

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

impl BinnerSettings {
    /// The stream whose samples are bins, if there is one.
    pub(super) fn leader(&self) -> Result<Option<usize>, BinnerError> {
        let count = self.streams.len();
        if count == 0 || count > MAX_STREAMS {
            return Err(BinnerError::StreamCount(count));
        }
        if !self.streams.iter().any(StreamBinning::is_waited_for) {
            return Err(BinnerError::NothingRequired);
        }
        let mut leaders =
            self.streams.iter().enumerate().filter(|(_, stream)| stream.binning == Binning::Sample);
        let leader = leaders.next();
        if leaders.next().is_some() {
            return Err(BinnerError::TwoLeaders);
        }
        if leader.is_some_and(|(_, stream)| !stream.required || stream.rate_hz.is_none_or(|rate| rate <= 0.0))
        {
            return Err(BinnerError::BadLeader);
        }
        Ok(leader.map(|(index, _)| index))
    }
}
