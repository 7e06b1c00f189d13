//! How a stream's samples become features: settings that the configuration states and a model carries.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::GenerationId;

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
    /// How often each unit is named: a sample is an event, and its first value names the unit, from 0.
    Events,
}

impl Binning {
    /// All of them, in the order in which documents name them.
    pub const ALL: [Self; 5] = [Self::Sample, Self::Mean, Self::Sum, Self::Latest, Self::Events];

    /// The name by which configurations and models call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::Latest => "latest",
            Self::Events => "events",
        }
    }
}

/// The features that one stream contributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamFeatures {
    /// How samples become features.
    pub binning: Binning,
    /// Number of channels of the stream, as its sender made it: what masks and labels are of.
    pub channels: usize,
    /// Their labels; `None` where nobody named them, and then only the number is compared.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// The values of a sample that reaches the bins, one feature each, where they are not the channels themselves: those of
    /// a derived stream; or the units of a stream of events. `None`: a value a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<StreamOutput>>,
    /// The settings of the stages that make them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<GenerationId>,
    /// The stretch of rest that thresholds and references among these settings are of, in words; none where they are the
    /// configuration's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
}

impl StreamFeatures {
    /// A stream whose channels are its features.
    #[must_use]
    pub fn of_channels(binning: Binning, channels: usize, labels: Option<Vec<String>>) -> Self {
        Self { binning, channels, labels, outputs: None, generation: None, rest: None }
    }

    /// The counts of so many units that a stream of events names, of `channels` values a sample.
    #[must_use]
    pub fn of_units(units: usize, channels: usize, labels: Option<Vec<String>>) -> Self {
        let counted = |unit: usize| StreamOutput {
            name: format!("unit{unit}"),
            unit: "spikes".to_owned(),
            channel: None,
            sources: Vec::new(),
        };
        let outputs = Some((0..units).map(counted).collect());
        Self { outputs, ..Self::of_channels(Binning::Events, channels, labels) }
    }

    /// Values of a sample that reaches the bins.
    #[must_use]
    pub fn row_width(&self) -> usize {
        if self.binning == Binning::Events { self.channels } else { self.width() }
    }

    /// Features of this stream.
    #[must_use]
    pub fn width(&self) -> usize {
        self.outputs.as_ref().map_or(self.channels, Vec::len)
    }
}

/// One value of a derived stream's samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamOutput {
    /// What it is called.
    pub name: String,
    /// Its unit; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Its own channel: the one whose mask masks it. `None` where no single one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<usize>,
    /// The channels that it is made of, as runs; none where it is made of its own channel alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Range<usize>>,
}

/// The name of a channel that nobody named, counted from 0.
#[must_use]
pub fn unlabelled(channel: usize) -> String {
    format!("channel{channel}")
}
