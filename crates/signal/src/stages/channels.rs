//! Channels as settings name them.

use serde::{Deserialize, Serialize};

use super::stage::{Signal, StageError};

/// A channel of what comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "channels by place, counted from 0, or by label")]
pub enum ChannelName {
    /// Its place, counted from 0.
    Index(usize),
    /// Its label.
    Label(String),
}

impl ChannelName {
    /// Where it is in the signal.
    pub(super) fn find(&self, input: &Signal) -> Result<usize, StageError> {
        match self {
            Self::Index(index) if *index < input.outputs.len() => Ok(*index),
            Self::Index(index) => Err(StageError::of_signal(format!(
                "there is no channel {index}; there are {}, counted from 0",
                input.outputs.len()
            ))),
            Self::Label(label) => {
                input.outputs.iter().position(|output| output.name == *label).ok_or_else(|| {
                    let names: Vec<&str> =
                        input.outputs.iter().map(|output| output.name.as_str()).take(12).collect();
                    StageError::of_signal(format!(
                        "there is no channel \"{label}\"; the channels are called {}{}",
                        names.join(", "),
                        if input.outputs.len() > names.len() { " and so on" } else { "" }
                    ))
                })
            }
        }
    }
}
