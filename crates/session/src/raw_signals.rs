//! What a simulated participant's neurons look like to an amplifier: spikes in broadband, events of a sorter, rhythms.
//!
//! Each signal is a pure function of its seed and of what it was told of every bin. Nothing of it reaches into the participant's
//! own draws, so that a participant whose counts are sent is the same as one whose broadband is.

mod broadband;
mod detected;
mod rhythms;
mod spike_times;

pub use broadband::{Broadband, BroadbandError, BroadbandOptions};
pub use detected::{DetectedCounts, DetectedError};
pub use rhythms::{RhythmKind, Rhythms, RhythmsOptions};
pub use spike_times::SpikeTimes;

/// Streams of the seed's generator that no bin and no trial of the participant has.
const SPIKE_TIMES: u64 = u64::MAX - 1;
const NOISE: u64 = u64::MAX - 2;
const GAINS: u64 = u64::MAX - 3;
