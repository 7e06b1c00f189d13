//! What may be wrong with a channel of a raw stream.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::LslTime;

/// What is wrong with a channel, as its raw samples show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelFault {
    /// It stands still.
    Flat,
    /// It sticks at the ends of what the amplifier can show.
    Saturated,
    /// Its size is far from what it was before and from that of other channels.
    Disconnected,
    /// It sends what is no number.
    Nan,
    /// Most of it is power line, and far more than it was before.
    LineNoise,
    /// It crosses the threshold for spikes far more often than other channels do.
    RateOutlier,
}

impl ChannelFault {
    /// The name by which messages and tables show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Saturated => "saturated",
            Self::Disconnected => "disconnected",
            Self::Nan => "nan",
            Self::LineNoise => "line_noise",
            Self::RateOutlier => "rate_outlier",
        }
    }

    /// What is wrong and what may be the reason, as what a sentence says of channels.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Flat => "flat: an electrode may have come off, or an amplifier is off",
            Self::Saturated => "saturated: the amplifier is at its limits",
            Self::Disconnected => "far from the usual size: an electrode or cable may have come loose",
            Self::Nan => "without numbers: look at the program that sends the stream",
            Self::LineNoise => "full of power line noise: an electrode may have come loose",
            Self::RateOutlier => "spiking far more often than the others: that may be noise, not neurons",
        }
    }
}

/// A channel that is left out, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelOut {
    /// Its place in the stream as it is received, counted from 0.
    pub index: usize,
    /// Its label.
    pub channel: String,
    /// Why.
    pub fault: ChannelFault,
    /// When that was found.
    pub since: LslTime,
}

impl fmt::Display for ChannelFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
