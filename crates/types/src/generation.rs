//! Which settings a derived stream's samples were made with.

use serde::{Deserialize, Serialize};

/// One generation of a derived stream's settings: the SHA-256 of their JSON text. Equal settings, equal generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GenerationId(pub [u8; 32]);
