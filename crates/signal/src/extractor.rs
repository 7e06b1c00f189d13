//! One bin's samples of every stream, made into one raw feature vector.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use kalmind_types::{Binning, ChannelMask, SampleRows, StreamFeatures};

use crate::binning::{self, Channel};

/// Why a set of streams cannot make a feature vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No stream, or only streams without channels: there would be nothing to decode.
    #[error("no features: name at least one stream with at least one channel")]
    NoFeatures,
    /// More features than a channel mask can name.
    #[error("{features} features in all, but at most {most} can be decoded from; choose fewer channels")]
    TooManyFeatures {
        /// Features of all streams together (saturating).
        features: usize,
        /// [`ChannelMask::CAPACITY`].
        most: usize,
    },
    /// A stream names more or fewer labels than it has channels.
    #[error("stream {stream} has {channels} channels but {labels} labels")]
    Labels {
        /// Position of the stream in the configuration, from 0.
        stream: usize,
        /// Its channels.
        channels: usize,
        /// Its labels.
        labels: usize,
    },
}

/// Why rows were not taken into a bin; the bin is as it was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The layout has no such stream.
    #[error("no stream {stream} in the feature layout, which has {streams}")]
    UnknownStream {
        /// The stream asked for.
        stream: usize,
        /// Streams in the layout.
        streams: usize,
    },
    /// The values are no whole number of rows.
    #[error("{values} values are no whole rows of {channels} channels")]
    PartialRow {
        /// Values given.
        values: usize,
        /// Channels of the stream.
        channels: usize,
    },
}

/// Where one stream's features stand in the vector, and what becomes of its samples.
#[derive(Clone, Copy, Debug)]
struct StreamLayout {
    binning: Binning,
    offset: usize,
    channels: usize,
}

/// A bin's raw feature vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawFeatures<'a> {
    /// One value a feature, streams concatenated in the configuration's order; NaN where a channel had no valid sample.
    pub values: &'a [f64],
    /// Non-finite sample values that were left out.
    pub nonfinite: u32,
}

/// Turns the sample rows of a bin into a raw feature vector.
///
/// [`reset`](Self::reset), then [`accept`](Self::accept) for every run of rows, then [`finish`](Self::finish). Streams
/// may be accepted in any order and in any number of runs: each feature depends on its own channel's values in the
/// order given, and on nothing else. Values become `f64` exactly (64-bit integers beyond 2^53: to the nearest). Lives on
/// the tick thread; costs one pass over the values and allocates only when built. What becomes of a channel's values is the
/// matter of its stream's [`Binning`].
#[derive(Clone, Debug)]
pub struct FeatureExtractor {
    streams: Vec<StreamLayout>,
    channels: Vec<Channel>,
    values: Vec<f64>,
    nonfinite: u32,
}

impl FeatureExtractor {
    /// An extractor for these streams, in this order, at the start of a bin.
    ///
    /// # Errors
    /// When there are no features, more than [`ChannelMask::CAPACITY`], or labels that do not match the channels.
    pub fn new(streams: &[StreamFeatures]) -> Result<Self, LayoutError> {
        let mut layout = Vec::with_capacity(streams.len());
        let mut width: usize = 0;
        for (index, stream) in streams.iter().enumerate() {
            if let Some(labels) = &stream.labels
                && labels.len() != stream.channels
            {
                return Err(LayoutError::Labels {
                    stream: index,
                    channels: stream.channels,
                    labels: labels.len(),
                });
            }
            layout.push(StreamLayout { binning: stream.binning, offset: width, channels: stream.channels });
            width = width.saturating_add(stream.channels);
        }
        if width == 0 {
            return Err(LayoutError::NoFeatures);
        }
        if width > ChannelMask::CAPACITY {
            return Err(LayoutError::TooManyFeatures { features: width, most: ChannelMask::CAPACITY });
        }
        Ok(Self {
            streams: layout,
            channels: vec![Channel::default(); width],
            values: vec![f64::NAN; width],
            nonfinite: 0,
        })
    }

    /// Number of features: the channels of all streams together.
    pub fn width(&self) -> usize {
        self.values.len()
    }

    /// Where the features of `stream` start in the vector.
    pub fn offset(&self, stream: usize) -> Option<usize> {
        self.streams.get(stream).map(|layout| layout.offset)
    }

    /// Begins a bin: forgets what was accepted.
    pub fn reset(&mut self) {
        self.channels.fill(Channel::default());
        self.nonfinite = 0;
    }

    /// Takes whole rows of `stream` into the bin. Non-finite values are left out and counted.
    ///
    /// # Errors
    /// When the stream is not in the layout or the values are no whole rows; then nothing is taken.
    pub fn accept(&mut self, stream: usize, rows: SampleRows<'_>) -> Result<(), AcceptError> {
        match rows {
            SampleRows::Float32(values) => self.accept_values(stream, values, |value| f64::from(*value)),
            SampleRows::Double64(values) => self.accept_values(stream, values, |value| *value),
            SampleRows::Int8(values) => self.accept_values(stream, values, |value| f64::from(*value)),
            SampleRows::Int16(values) => self.accept_values(stream, values, |value| f64::from(*value)),
            SampleRows::Int32(values) => self.accept_values(stream, values, |value| f64::from(*value)),
            SampleRows::Int64(values) => self.accept_values(stream, values, |value| *value as f64),
        }
    }

    fn accept_values<T>(
        &mut self,
        stream: usize,
        values: &[T],
        to_f64: impl Fn(&T) -> f64,
    ) -> Result<(), AcceptError> {
        let streams = self.streams.len();
        let Some(layout) = self.streams.get(stream) else {
            return Err(AcceptError::UnknownStream { stream, streams });
        };
        let whole = if layout.channels == 0 {
            values.is_empty()
        } else {
            values.len().checked_rem(layout.channels) == Some(0)
        };
        if !whole {
            return Err(AcceptError::PartialRow { values: values.len(), channels: layout.channels });
        }
        if values.is_empty() {
            return Ok(());
        }
        let end = layout.offset.saturating_add(layout.channels);
        let channels = self.channels.get_mut(layout.offset..end).unwrap_or_default();
        let nonfinite = binning::take_rows(layout.binning, channels, values, to_f64);
        self.nonfinite = self.nonfinite.saturating_add(nonfinite);
        Ok(())
    }

    /// The bin's feature vector. A channel without a valid value, or whose sum overflows, gives NaN.
    pub fn finish(&mut self) -> RawFeatures<'_> {
        for layout in &self.streams {
            let range = layout.offset..layout.offset.saturating_add(layout.channels);
            if let (Some(channels), Some(values)) =
                (self.channels.get(range.clone()), self.values.get_mut(range))
            {
                binning::finish_into(layout.binning, channels, values);
            }
        }
        RawFeatures { values: &self.values, nonfinite: self.nonfinite }
    }
}
