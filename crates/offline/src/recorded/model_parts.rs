//! How models stand in a recording: cut into parts, and the features that it takes to unpack them.

use std::ops::Range;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kalmind_recording::PackedModel;
use serde::{Deserialize, Serialize};

/// A part of a model's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPart {
    /// SHA-256 of the file in hexadecimal.
    pub id: String,
    /// Decoder with options, for people.
    pub name: String,
    /// Which part, from 0.
    pub part: u64,
    /// How many there are.
    pub parts: u64,
    /// The bytes.
    pub base64: String,
    /// Whether they are those of a [packed model](kalmind_recording::PackedModel), not of the file.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub packed: bool,
    /// Ticks whose features it takes to unpack it; they stand in the first part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<Range<u64>>,
}

/// Features of some ticks that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickFeatures {
    /// The first tick.
    pub first: u64,
    /// Features of each.
    pub width: usize,
    /// Their raw features, tick by tick, as little-endian 64-bit numbers; not a number where there was no valid value.
    pub base64: String,
}

impl TickFeatures {
    /// Features of so many ticks fit into a document; one at least.
    #[must_use]
    pub fn ticks_at_once(width: usize) -> usize {
        (PART / (8 * width).max(1)).max(1)
    }

    /// Those of some ticks, one after the other.
    #[must_use]
    pub fn of(first: u64, width: usize, features: &[f64]) -> Self {
        let bytes: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { first, width, base64: BASE64_STANDARD.encode(bytes) }
    }

    /// Each tick with its features, if they are base64.
    #[must_use]
    pub fn rows(&self) -> Option<Vec<(u64, Vec<f64>)>> {
        let bytes = BASE64_STANDARD.decode(&self.base64).ok()?;
        let values: Vec<f64> =
            bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        Some((self.first..).zip(values.chunks(self.width.max(1)).map(<[f64]>::to_vec)).collect())
    }
}

/// Bytes of a model's file in one part: with base64 and its frame well within a chunk.
const PART: usize = 36 * 1024;

impl ModelPart {
    /// A model's file, cut into parts.
    pub fn all_of<'a>(id: &'a str, name: &'a str, file: &'a [u8]) -> impl Iterator<Item = Self> + 'a {
        Self::cut(id, name, file, None)
    }

    /// A packed model, cut into parts.
    pub fn all_of_packed<'a>(
        id: &'a str,
        name: &'a str,
        packed: &'a PackedModel,
    ) -> impl Iterator<Item = Self> + 'a {
        Self::cut(id, name, &packed.bytes, Some(&packed.ticks))
    }

    fn cut<'a>(
        id: &'a str,
        name: &'a str,
        file: &'a [u8],
        packed: Option<&'a [Range<u64>]>,
    ) -> impl Iterator<Item = Self> + 'a {
        let parts = file.len().div_ceil(PART) as u64;
        file.chunks(PART).zip(0_u64..).map(move |(bytes, part)| Self {
            id: id.to_owned(),
            name: name.to_owned(),
            part,
            parts,
            base64: BASE64_STANDARD.encode(bytes),
            packed: packed.is_some(),
            ticks: packed.filter(|_| part == 0).map(<[_]>::to_vec).unwrap_or_default(),
        })
    }

    /// Its bytes, if they are base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(&self.base64).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_the_sum_of_its_parts() {
        let file: Vec<u8> = (0..100_000_u32).map(|byte| (byte * 7) as u8).collect();
        let parts: Vec<ModelPart> = ModelPart::all_of("id", "kalman", &file).collect();
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.parts == 3 && part.base64.len() < 60_000));
        assert_eq!(parts.iter().filter_map(ModelPart::bytes).flatten().collect::<Vec<_>>(), file);
    }

    #[test]
    fn features_of_ticks_come_back_to_the_last_bit() {
        let values = [0.1 + 0.2, f64::MIN_POSITIVE, -0.0, 1e300];
        let features = TickFeatures::of(7, 2, &values);
        let rows = features.rows().expect("base64");
        assert_eq!(rows, [(7, values[..2].to_vec()), (8, values[2..].to_vec())]);
        assert_eq!((TickFeatures::ticks_at_once(192), TickFeatures::ticks_at_once(16_384)), (24, 1));
    }
}
