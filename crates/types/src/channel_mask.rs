//! Channels that are switched off.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use arrayvec::ArrayVec;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{MAX_STREAMS, feature_set::ones};

const WORDS: usize = ChannelMask::CHANNELS / 64;

/// The channels that the operator has switched off, each by its stream and its place in it. Which features that concerns
/// is the matter of a [`FeatureLayout`](crate::FeatureLayout).
///
/// A bit a channel, for as many streams as the mask reaches into: most runs mask nothing, or a few channels of one stream,
/// and then copying and comparing it in every tick costs next to nothing. Of fixed size (1 KiB), no heap.
///
/// As JSON, a list of channels for each of those streams: `[]`, `[[3, 7]]`, `[[], [12]]`. Recordings of format 1 have
/// sixteen words of 64 bits instead, which count the channels of all streams on from the first one's; they are read as
/// channels of the first stream, and [`FeatureLayout::switch_off`](crate::FeatureLayout::switch_off) counts on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChannelMask(ArrayVec<[u64; WORDS], MAX_STREAMS>);

impl ChannelMask {
    /// The channels of a stream that a mask can name.
    pub const CHANNELS: usize = 1024;

    /// Masks a channel; one that no mask can name is refused with `false`.
    pub fn mask(&mut self, stream: usize, channel: usize) -> bool {
        if stream >= MAX_STREAMS || channel >= Self::CHANNELS {
            return false;
        }
        while self.0.len() <= stream {
            let _there_is_room = self.0.try_push([0; WORDS]);
        }
        let word = self.0.get_mut(stream).and_then(|words| words.get_mut(channel / 64));
        word.map(|word| *word |= 1 << (channel % 64)).is_some()
    }

    /// Whether a channel is masked.
    #[must_use]
    pub fn is_masked(&self, stream: usize, channel: usize) -> bool {
        let word = self.0.get(stream).and_then(|words| words.get(channel / 64));
        word.is_some_and(|word| word & (1 << (channel % 64)) != 0)
    }

    /// The masked channels of a stream, rising.
    pub fn channels(&self, stream: usize) -> impl Iterator<Item = usize> + '_ {
        ones(self.0.get(stream).map_or(&[], <[u64; WORDS]>::as_slice))
    }
}

impl Clone for ChannelMask {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }

    /// Copies the streams that it reaches into and nothing else, as a derived one would not.
    fn clone_from(&mut self, source: &Self) {
        self.0.clone_from(&source.0);
    }
}

/// What stands for a stream in a recording; or for 64 channels, in one of format 1.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Channels(Vec<usize>),
    Word(u64),
}

impl Serialize for ChannelMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0.len()).map(|stream| self.channels(stream).collect::<Vec<_>>()))
    }
}

impl<'de> Deserialize<'de> for ChannelMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut mask = Self::default();
        for (at, recorded) in Vec::<Recorded>::deserialize(deserializer)?.into_iter().enumerate() {
            let holds = match recorded {
                Recorded::Channels(channels) => {
                    at < MAX_STREAMS && channels.into_iter().all(|channel| mask.mask(at, channel))
                }
                Recorded::Word(word) => ones(&[word]).all(|bit| mask.mask(0, 64 * at + bit)),
            };
            if !holds {
                let problem =
                    format!("a mask names up to {MAX_STREAMS} streams of {} channels", Self::CHANNELS);
                return Err(serde::de::Error::custom(problem));
            }
        }
        Ok(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(channels: &[(usize, usize)]) -> ChannelMask {
        let mut mask = ChannelMask::default();
        for (stream, channel) in channels {
            assert!(mask.mask(*stream, *channel));
        }
        mask
    }

    #[test]
    fn channels_are_named_by_stream_and_place() {
        let mut mask = of(&[(0, 3), (2, 1023), (2, 64), (7, 0)]);
        assert!(mask.is_masked(2, 1023) && mask.is_masked(7, 0) && !mask.is_masked(1, 3));
        assert_eq!(mask.channels(2).collect::<Vec<_>>(), [64, 1023]);
        assert!(!mask.mask(8, 0) && !mask.mask(0, 1024), "no such stream, no such channel");
        assert_eq!((mask.channels(1).next(), mask.channels(9).next()), (None, None));
    }

    #[test]
    fn a_mask_is_written_sparsely_and_read_as_it_was() {
        for (mask, text) in [
            (of(&[]), "[]"),
            (of(&[(0, 3), (0, 70)]), "[[3,70]]"),
            (of(&[(2, 12)]), "[[],[],[12]]"),
            (of(&[(0, 1023), (7, 1023)]), "[[1023],[],[],[],[],[],[],[1023]]"),
        ] {
            assert_eq!(serde_json::to_string(&mask).ok().as_deref(), Some(text));
            assert_eq!(serde_json::from_str::<ChannelMask>(text).ok(), Some(mask));
        }
        for wrong in ["[[1024]]", "[[],[],[],[],[],[],[],[],[]]", "[[-1]]", "[0.5]", "{}", "3"] {
            assert!(serde_json::from_str::<ChannelMask>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sixteen_words_of_an_older_recording_are_read() {
        let mut words = [0_u64; 16];
        (words[0], words[1], words[15]) = (8, 1, 1 << 63);
        let text = serde_json::to_string(&words).unwrap_or_default();
        let read: Option<ChannelMask> = serde_json::from_str(&text).ok();
        assert_eq!(read, Some(of(&[(0, 3), (0, 64), (0, 1023)])));
        let none = serde_json::to_string(&[0_u64; 16]).unwrap_or_default();
        assert_eq!(serde_json::from_str::<ChannelMask>(&none).ok(), Some(ChannelMask::default()));
        assert!(serde_json::from_str::<ChannelMask>(&text.replace(']', ",1]")).is_err(), "a word too many");
    }
}
