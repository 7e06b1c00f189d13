//! What may be wrong with a channel of a raw stream.

use core::fmt;

use serde::{Deserialize, Serialize};

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

    /// What is wrong and what may be the reason, as the end of a sentence that begins with the channel.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Flat => "is flat: its electrode may have come off, or its amplifier is off",
            Self::Saturated => "is saturated: its amplifier is at its limits",
            Self::Disconnected => "is far from its usual size: its electrode or cable may have come loose",
            Self::Nan => "sends values that are no numbers: look at the program that sends it",
            Self::LineNoise => "is full of power line noise: its electrode may have come loose",
            Self::RateOutlier => "spikes far more often than the others: it may be noise, not neurons",
        }
    }
}

impl fmt::Display for ChannelFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
