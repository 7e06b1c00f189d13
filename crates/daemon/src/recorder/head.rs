//! What every file of a recording begins with.

use std::{fs::File, io, sync::Arc};

use kalmind_offline::recorded::{SessionDocument, StagesDocument};
use kalmind_output::CursorRow;
use kalmind_recording::xdf::writer::{Sink, StreamId, Writer};
use kalmind_types::{LslTime, NumberFormat};

use super::headers;

/// Where a recording is written to.
#[derive(Debug)]
pub(super) enum RecordingFile {
    /// A file.
    Open(File),
    /// Nowhere, for as long as no file can be made: every write fails and is counted.
    Nowhere,
}

impl Sink for RecordingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.write_at(offset, bytes),
            Self::Nowhere => Err(nowhere()),
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        match self {
            Self::Open(file) => file.cut(length),
            Self::Nowhere => Ok(()),
        }
    }

    fn length(&mut self) -> io::Result<u64> {
        match self {
            Self::Open(file) => file.length(),
            Self::Nowhere => Ok(0),
        }
    }
}

fn nowhere() -> io::Error {
    io::Error::other("its file is gone, and no new one can be made")
}

/// Kalmind's own streams in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub(super) ticks: StreamId,
    pub(super) features: StreamId,
    pub(super) cursor: StreamId,
    pub(super) events: StreamId,
    pub(super) record: StreamId,
}

/// A model's file with its names.
#[derive(Clone, Debug)]
pub(super) struct OwnedModel {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) file: Arc<[u8]>,
}

/// What the head of a file is made from.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) session: SessionDocument,
    /// Labels of the features, in their order.
    pub(super) features: Vec<String>,
    pub(super) row: CursorRow,
    /// The generations of stages since the beginning, by stream, the newest last.
    pub(super) stages: Vec<(usize, StagesDocument)>,
}

/// Generations of a stream that a file is begun with, at most: the one in force and those on their way.
const GENERATIONS: usize = 4;

impl Head {
    /// Keeps another generation of a stream's stages for the next file.
    pub(super) fn add_stages(&mut self, stream: usize, stages: StagesDocument) {
        let is_of_it = |(other, _): &(usize, StagesDocument)| *other == stream;
        if self.stages.iter().filter(|stages| is_of_it(stages)).count() >= GENERATIONS
            && let Some(oldest) = self.stages.iter().position(is_of_it)
        {
            self.stages.remove(oldest);
        }
        self.stages.push((stream, stages));
    }

    /// A file with its header and the headers of our own streams, none of it written yet.
    pub(super) fn begin<S: Sink>(&self, sink: S, now: LslTime, date: &str) -> (Writer<S>, Own) {
        let session = &self.session;
        let extra = format!("<kalmind><version>{}</version></kalmind>", env!("CARGO_PKG_VERSION"));
        let mut writer = Writer::new(sink, date, &extra);
        let rate_hz = 1e3 / session.bin_ms;
        let stream = |role, name, content_type, rate_hz, format| headers::OwnStream {
            instance: &session.instance,
            session: &session.session,
            role,
            name,
            content_type,
            rate_hz,
            format,
        };
        let number = Some(NumberFormat::Double64);
        let mut add = |stream, labels: &[(&str, &str)]| {
            headers::own(stream, labels.iter().copied(), now.0, |header| writer.add_stream(header))
        };
        let features: Vec<(&str, &str)> = self.features.iter().map(|label| (label.as_str(), "")).collect();
        let channels: Vec<(&str, &str)> = self.row.channels().collect();
        let own = Own {
            // irregular: what reads the file must not move its stamps
            ticks: add(stream("ticks", "Ticks", "Ticks", 0.0, None), &[]),
            features: add(stream("features", "Features", "Features", rate_hz, number), &features),
            cursor: add(stream("cursor", "Cursor", "Cursor", rate_hz, number), &channels),
            events: add(stream("events", "Events", "Events", 0.0, None), &[]),
            record: add(stream("record", "Recording", "Recording", 0.0, None), &[]),
        };
        (writer, own)
    }
}
