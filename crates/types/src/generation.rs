//! Which settings a derived stream's samples were made with.

use serde::{Deserialize, Serialize};

use crate::ModelId;

/// One generation of a derived stream's settings: the SHA-256 of their JSON text. Equal settings, equal generations. In files
/// in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct GenerationId(pub [u8; 32]);

impl From<GenerationId> for String {
    fn from(generation: GenerationId) -> Self {
        ModelId(generation.0).to_hex()
    }
}

impl TryFrom<String> for GenerationId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ModelId::from_hex(&text).map(|id| Self(id.0)).ok_or("a generation is 64 hexadecimal digits")
    }
}
