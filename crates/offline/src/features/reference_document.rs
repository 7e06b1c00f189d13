//! What is learnt of a stretch of rest, and the file that holds it.

use kalmind_signal::ChainSettings;
use serde::{Deserialize, Serialize};

use super::Stretch;

/// What the threshold of spikes is a multiple of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleBy {
    /// The root mean square.
    #[default]
    Rms,
    /// The median absolute deviation over 0.6745, which many large spikes do not inflate.
    Mad,
}

/// What becomes of common averages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AverageBy {
    /// They stay averages, less their dead channels.
    #[default]
    All,
    /// They are the average of each array's quietest channels, a number of them.
    Quietest,
    /// They become regressions.
    Regression,
}

/// What is learnt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceOptions {
    /// For `spikes`.
    pub scale: ScaleBy,
    /// For `reference`.
    pub average: AverageBy,
    /// How many are the quietest.
    pub quietest: usize,
    /// The penalty of a regression, as part of the mean variance of an array's channels.
    pub ridge: f64,
}

/// The stages of one stream, as the stretch fixed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceStream {
    /// The stream's key.
    pub key: String,
    /// Its rate.
    pub rate_hz: f64,
    /// Which of its samples it was, from the one to before the other, counted from the recording's first; none where the document
    /// is older than that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<[u64; 2]>,
    /// Its channels, by name.
    pub channels: Vec<String>,
    /// The stages.
    pub stages: ChainSettings,
}

/// One generation of what stages need of a stretch of rest; a file of its own, apart from any decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceDocument {
    /// The version of the file: 1.
    pub format: u32,
    /// What it is called.
    pub name: String,
    /// When it was learnt in a session; none where it was learnt from a recording later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// The recording.
    pub recording: String,
    /// From when to when, in seconds from its first sample of any of these streams.
    pub seconds: [f64; 2],
    /// The streams of whose stages something was learnt.
    pub streams: Vec<ReferenceStream>,
    /// What to know before using it, a sentence each.
    pub warnings: Vec<String>,
}

impl ReferenceDocument {
    /// The stretch, as each stream's samples; none where the document does not tell.
    #[must_use]
    pub fn stretch(&self) -> Option<Stretch> {
        let samples = self.streams.iter().map(|stream| Some((stream.key.clone(), stream.samples?)));
        Some(Stretch::Samples { of: samples.collect::<Option<_>>()?, seconds: self.seconds })
    }

    /// Which stretch it is of, in words: when, and how long.
    #[must_use]
    pub fn text(&self) -> String {
        let [from, to] = self.seconds;
        let when = match &self.made {
            // `2026-01-31T14:22:33+0000`
            Some(made) => made.get(..16).unwrap_or(made).replace('T', " ") + " UTC",
            None => self.recording.clone(),
        };
        format!("of {when}, {:.0} s", to - from)
    }
}
