//! How a stream's samples become features: settings that the configuration states and a model carries.

use serde::{Deserialize, Serialize};

/// What one stream's samples in a bin become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binning {
    /// Every sample is a feature vector and makes a bin of its own.
    #[default]
    Sample,
    /// The mean of each channel's valid samples in the bin.
    Mean,
    /// The sum of each channel's valid samples in the bin (counts).
    Sum,
    /// The newest sample, kept from bin to bin until it is too old.
    Latest,
}

impl Binning {
    /// All of them, in the order in which documents name them.
    pub const ALL: [Self; 4] = [Self::Sample, Self::Mean, Self::Sum, Self::Latest];

    /// The name by which configurations and models call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::Latest => "latest",
        }
    }
}

/// The features that one stream contributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamFeatures {
    /// How samples become features.
    pub binning: Binning,
    /// Number of channels, each one feature.
    pub channels: usize,
    /// Their labels; `None` where nobody named them, and then only the number is compared.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
}

/// The name of a channel that nobody named, counted from 0.
#[must_use]
pub fn unlabelled(channel: usize) -> String {
    format!("channel{channel}")
}
