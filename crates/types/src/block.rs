//! Samples as they were received: a block of rows in the stream's own number type.

use crate::{ClockOffset, LslTime, NumberFormat, Seconds, StreamHealth, StreamTime};

/// Values of several rows, row-major (all channels of the first sample, then of the second), in one number type.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are the number formats")]
pub enum Samples {
    Float32(Vec<f32>),
    Double64(Vec<f64>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
}

/// Some whole rows of [`Samples`], borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are the number formats")]
pub enum SampleRows<'a> {
    Float32(&'a [f32]),
    Double64(&'a [f64]),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
}

impl Samples {
    /// No rows yet, room for `values` numbers.
    #[must_use]
    pub fn with_capacity(format: NumberFormat, values: usize) -> Self {
        match format {
            NumberFormat::Float32 => Self::Float32(Vec::with_capacity(values)),
            NumberFormat::Double64 => Self::Double64(Vec::with_capacity(values)),
            NumberFormat::Int8 => Self::Int8(Vec::with_capacity(values)),
            NumberFormat::Int16 => Self::Int16(Vec::with_capacity(values)),
            NumberFormat::Int32 => Self::Int32(Vec::with_capacity(values)),
            NumberFormat::Int64 => Self::Int64(Vec::with_capacity(values)),
        }
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Float32(values) => values.clear(),
            Self::Double64(values) => values.clear(),
            Self::Int8(values) => values.clear(),
            Self::Int16(values) => values.clear(),
            Self::Int32(values) => values.clear(),
            Self::Int64(values) => values.clear(),
        }
    }

    /// Rows `first..end`, of `channels` values each; empty where they are out of range.
    #[must_use]
    pub fn rows(&self, channels: usize, first: usize, end: usize) -> SampleRows<'_> {
        let range = first * channels..end * channels;
        match self {
            Self::Float32(values) => SampleRows::Float32(values.get(range).unwrap_or_default()),
            Self::Double64(values) => SampleRows::Double64(values.get(range).unwrap_or_default()),
            Self::Int8(values) => SampleRows::Int8(values.get(range).unwrap_or_default()),
            Self::Int16(values) => SampleRows::Int16(values.get(range).unwrap_or_default()),
            Self::Int32(values) => SampleRows::Int32(values.get(range).unwrap_or_default()),
            Self::Int64(values) => SampleRows::Int64(values.get(range).unwrap_or_default()),
        }
    }
}

impl SampleRows<'_> {
    /// Writes one whole row after the other over `row`, whose length is that of a row, and shows it each time. Values become
    /// `f64` exactly (64-bit integers beyond 2^53: to the nearest).
    pub fn each_row(self, row: &mut [f64], visit: impl FnMut(&[f64])) {
        match self {
            Self::Float32(values) => each_row(values, |value| f64::from(*value), row, visit),
            Self::Double64(values) => each_row(values, |value| *value, row, visit),
            Self::Int8(values) => each_row(values, |value| f64::from(*value), row, visit),
            Self::Int16(values) => each_row(values, |value| f64::from(*value), row, visit),
            Self::Int32(values) => each_row(values, |value| f64::from(*value), row, visit),
            Self::Int64(values) => each_row(values, |value| *value as f64, row, visit),
        }
    }
}

fn each_row<T>(values: &[T], to_f64: impl Fn(&T) -> f64, row: &mut [f64], mut visit: impl FnMut(&[f64])) {
    for values in values.chunks_exact(row.len().max(1)) {
        for (kept, value) in row.iter_mut().zip(values) {
            *kept = to_f64(value);
        }
        visit(row);
    }
}

/// What one pull returned: consecutive samples of one stream with their raw stamps. Allocated once, then pooled.
///
/// Sample indices count every sample that the stream delivered since the daemon started, lost ones included, so a loss
/// shows as a hole: `first_index` = end of the block before + `lost_before`.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleBlock {
    /// Values per sample.
    pub channels: usize,
    /// Index of the first sample of the block.
    pub first_index: u64,
    /// Samples received and dropped directly before this block (full ring or backlog), counted.
    pub lost_before: u64,
    /// How often the stream was connected anew before this block.
    pub connection: u32,
    /// Which generation of the stream's stages made the samples, counted from 0: one alone in a block.
    pub generation: u32,
    /// For how long, from the first sample on, the stream's stages settle after a start, by what they declare; zero where they
    /// have settled: a block is of one or the other.
    pub settling: Seconds,
    /// When the pull returned.
    pub received: LslTime,
    /// The measured offset of the sender's clock, as known at that time.
    pub clock: ClockOffset,
    /// What the monitor says of the stream.
    pub health: StreamHealth,
    /// Raw stamps, one a sample.
    pub stamps: Vec<StreamTime>,
    /// Values, `channels` a sample.
    pub values: Samples,
}

impl SampleBlock {
    /// An empty block with room for `samples` rows.
    #[must_use]
    pub fn with_capacity(format: NumberFormat, channels: usize, samples: usize) -> Self {
        Self {
            channels,
            first_index: 0,
            lost_before: 0,
            connection: 0,
            generation: 0,
            settling: Seconds(0.0),
            received: LslTime::default(),
            clock: ClockOffset::default(),
            health: StreamHealth::Waiting,
            stamps: Vec::with_capacity(samples),
            values: Samples::with_capacity(format, channels * samples),
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Whether it holds no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// Index past the last sample.
    #[must_use]
    pub fn end_index(&self) -> u64 {
        self.first_index + self.stamps.len() as u64
    }
}
