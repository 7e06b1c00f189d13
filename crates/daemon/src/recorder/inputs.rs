//! The streams that a recording takes in, and what their headers are made from.

use std::sync::{Arc, atomic::AtomicU64};

use crossbeam_channel::Receiver;
use kalmind_acquisition::{StreamMonitor, TextSample, pool::PoolReader};
use kalmind_recording::xdf::{
    encode::HeaderFields,
    writer::{Sink, StreamId, Writer},
};
use kalmind_types::{ClockOffset, LslTime, NumberFormat, SampleBlock, Samples, StreamDescription};

use super::headers::{self, RoleTag};

/// A stream of numbers, as the recorder gets it.
#[derive(Debug)]
pub(super) struct NumericInput {
    pub(super) blocks: PoolReader<SampleBlock>,
    pub(super) header: NumericHeader,
    pub(super) stream: StreamId,
    /// Index of the next sample, as the stream counts.
    pub(super) next: u64,
    /// Index less row in the file, as a reader knows it.
    pub(super) shift: Option<u64>,
    pub(super) clock: Clock,
    /// Samples that could not be written since this was last told.
    pub(super) unrecorded: u64,
}

/// What the header of a stream of numbers is made from, in every file of the recording.
#[derive(Clone, Debug, Default)]
pub(super) struct NumericHeader {
    pub(super) description: StreamDescription,
    /// Its name in the configuration.
    pub(super) key: String,
    /// Its place among the decoded streams; none for a further stream.
    pub(super) index: Option<usize>,
    /// Whether it is the stream as it was received, of one that is decoded from what its stages make of it.
    pub(super) raw: bool,
}

impl NumericHeader {
    /// Begins the stream in a file.
    pub(super) fn add_to<S: Sink>(&self, writer: &mut Writer<S>, now: LslTime) -> StreamId {
        let role = match self.index {
            Some(_) if self.raw => "raw",
            Some(_) => "input",
            None => "extra",
        };
        let tag = RoleTag { role, key: Some(&self.key), index: self.index };
        headers::received(&self.description, tag, now.0, |header: &HeaderFields<'_>| {
            writer.add_stream(header)
        })
    }
}

/// A stream of text, as the recorder gets it. It may appear at any time.
#[derive(Debug)]
pub(super) struct TextInput {
    pub(super) key: String,
    pub(super) samples: Receiver<TextSample>,
    /// Samples that found no room on their way here.
    pub(super) refused: Arc<AtomicU64>,
    /// Knows the stream's header once there is a sample.
    pub(super) monitor: Arc<StreamMonitor>,
    /// Its place in the file, its number of channels, and its format where it came as numbers.
    pub(super) stream: Option<(StreamId, usize, Option<NumberFormat>)>,
    /// Those of them that have been told.
    pub(super) told: u64,
    pub(super) clock: Clock,
}

impl TextInput {
    /// The stream's place in the file, its number of channels and its format; the first call writes its header.
    pub(super) fn place<S: Sink>(
        &mut self,
        writer: &mut Writer<S>,
        sample: &TextSample,
        now: LslTime,
    ) -> (StreamId, usize, Option<NumberFormat>) {
        if let Some(known) = self.stream {
            return known;
        }
        let description = self
            .monitor
            .status(now)
            .description
            .unwrap_or_else(|| StreamDescription { name: self.key.clone(), ..StreamDescription::default() });
        let channels = description.channels.max(1);
        let format = sample.numbers.as_ref().map(format_of);
        let description = StreamDescription { channels, format, ..description };
        let tag = RoleTag { role: "extra", key: Some(&self.key), index: None };
        let id = headers::received(&description, tag, now.0, |header| writer.add_stream(header));
        *self.stream.insert((id, channels, format))
    }
}

/// What is known of a stream's clock, and whether it is time to write it down.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    pub(super) known: Option<ClockOffset>,
    pub(super) written: bool,
}

/// The number format of samples.
pub(super) fn format_of(samples: &Samples) -> NumberFormat {
    match samples {
        Samples::Float32(_) => NumberFormat::Float32,
        Samples::Double64(_) => NumberFormat::Double64,
        Samples::Int8(_) => NumberFormat::Int8,
        Samples::Int16(_) => NumberFormat::Int16,
        Samples::Int32(_) => NumberFormat::Int32,
        Samples::Int64(_) => NumberFormat::Int64,
    }
}
