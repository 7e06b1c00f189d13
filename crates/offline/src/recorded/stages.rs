//! What a recording says of the stages of its streams.

use kalmind_signal::ChainSettings;
use kalmind_types::GenerationId;
use serde::{Deserialize, Serialize};

/// Bytes of a checkpoint in one part: with base64 and its frame well within a chunk.
const PART: usize = 36 * 1024;

/// The stages that a derived stream was made with, and the raw stream that they were made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagesDocument {
    /// Their settings.
    pub settings: ChainSettings,
    /// What stands for these.
    pub generation: GenerationId,
    /// Rate of the raw stream.
    pub rate_hz: f64,
    /// Its channels.
    pub channels: usize,
    /// Which of the two streams are recorded.
    #[serde(default, skip_serializing_if = "RecordedAs::is_both")]
    pub recorded: RecordedAs,
}

/// What of a stream with stages is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedAs {
    /// The stream as it was received, and what its stages made of it; or, in recordings that do not say, perhaps the latter
    /// alone.
    #[default]
    Both,
    /// What its stages made of it.
    Derived,
    /// The stream as it was received, from which a replay makes the other.
    Raw,
}

impl RecordedAs {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// A part of what the stages of a stream remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPart {
    /// The input stream.
    pub stream: usize,
    /// Derived samples that had come out by then, since the start.
    pub derived: u64,
    /// Which part, from 0.
    pub part: u64,
    /// How many there are.
    pub parts: u64,
    /// The bytes.
    pub base64: String,
}

impl CheckpointPart {
    /// What the stages of a stream remembered, cut into parts.
    pub fn all_of(stream: usize, derived: u64, state: &[u8]) -> impl Iterator<Item = Self> {
        use base64::Engine as _;
        let parts = state.len().div_ceil(PART) as u64;
        state.chunks(PART).zip(0_u64..).map(move |(bytes, part)| Self {
            stream,
            derived,
            part,
            parts,
            base64: base64::prelude::BASE64_STANDARD.encode(bytes),
        })
    }

    /// Its bytes, if they are base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.decode(&self.base64).ok()
    }
}
