//! One bin's samples of every stream, made into one raw feature vector.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::ops::Range;

use kalmind_types::{Binning, FeatureLayout, LayoutError, SampleRows, StreamFeatures};

use crate::binning::{self, Channel};

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
    #[error("{values} values are no whole rows of {width} values")]
    PartialRow {
        /// Values given.
        values: usize,
        /// Values of a row.
        width: usize,
    },
}

/// A bin's raw feature vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawFeatures<'a> {
    /// One value a feature, in the layout's order; NaN where it had no valid sample.
    pub values: &'a [f64],
    /// Sample values that were left out: not finite, or events of no unit that there is.
    pub nonfinite: u32,
}

/// Turns the sample rows of a bin into a raw feature vector.
///
/// [`reset`](Self::reset), then [`accept`](Self::accept) for every run of rows, then [`finish`](Self::finish). Streams
/// may be accepted in any order and in any number of runs: each feature depends on its own values in the rows, in the
/// order given, and on nothing else. Values become `f64` exactly (64-bit integers beyond 2^53: to the nearest). Lives on
/// the tick thread; costs one pass over the values and allocates only when built. What becomes of its values is the
/// matter of its stream's [`Binning`].
#[derive(Clone, Debug)]
pub struct FeatureExtractor {
    layout: FeatureLayout,
    /// Of each stream, its features and how many values a row has.
    streams: Vec<(Binning, Range<usize>, usize)>,
    channels: Vec<Channel>,
    values: Vec<f64>,
    nonfinite: u32,
}

impl FeatureExtractor {
    /// An extractor for these streams, in this order, at the start of a bin.
    ///
    /// # Errors
    /// Where the streams' features cannot be laid out.
    pub fn new(streams: &[StreamFeatures]) -> Result<Self, LayoutError> {
        let layout = FeatureLayout::new(streams)?;
        let width = layout.width();
        Ok(Self {
            streams: layout
                .streams()
                .zip(streams)
                .map(|((binning, features), stream)| (binning, features, stream.row_width()))
                .collect(),
            layout,
            channels: vec![Channel::default(); width],
            values: vec![f64::NAN; width],
            nonfinite: 0,
        })
    }

    /// Which features they are.
    pub fn layout(&self) -> &FeatureLayout {
        &self.layout
    }

    /// Begins a bin: forgets what was accepted.
    pub fn reset(&mut self) {
        self.channels.fill(Channel::default());
        self.nonfinite = 0;
    }

    /// Takes whole rows of `stream` into the bin. What is not finite, and events of no unit that there is, are left out and counted.
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
        let Some((binning, range, width)) = self.streams.get(stream) else {
            return Err(AcceptError::UnknownStream { stream, streams });
        };
        let width = *width;
        let whole = if width == 0 { values.is_empty() } else { values.len().checked_rem(width) == Some(0) };
        if !whole {
            return Err(AcceptError::PartialRow { values: values.len(), width });
        }
        if values.is_empty() {
            return Ok(());
        }
        let channels = self.channels.get_mut(range.clone()).unwrap_or_default();
        let nonfinite = binning::take_rows(*binning, channels, width, values, to_f64);
        self.nonfinite = self.nonfinite.saturating_add(nonfinite);
        Ok(())
    }

    /// The bin's feature vector. One without a valid value, or whose sum overflows, is NaN.
    pub fn finish(&mut self) -> RawFeatures<'_> {
        for (binning, range, _) in &self.streams {
            if let (Some(channels), Some(values)) =
                (self.channels.get(range.clone()), self.values.get_mut(range.clone()))
            {
                binning::finish_into(*binning, channels, values);
            }
        }
        RawFeatures { values: &self.values, nonfinite: self.nonfinite }
    }
}
