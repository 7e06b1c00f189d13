//! An XDF file while it is being written: chunks collected, written whole or not at all, and accounted for.
//!
//! What is given to the writer waits until [`Writer::commit`], which writes chunks together, up to 64 KiB with one write.
//! When a write fails or falls short, the file is cut back to its last whole chunk, the samples that waited are given up
//! and reported, and what the file cannot do without (headers, models) is kept for the next commit. So the file is valid
//! at every moment but within a write.

use std::{fs::File, io};

use kalmind_types::{SampleRows, Samples, StreamTime};

use super::encode::{self, FooterFields, HeaderFields};

/// The most bytes that one write carries, unless one chunk alone is longer.
pub const MAX_WRITE: usize = 64 * 1024;

/// Where a file's bytes go. Implemented by [`File`]; tests put faults here.
pub trait Sink {
    /// Writes some of `bytes` at `offset`, and says how many.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// How long the file is.
    ///
    /// # Errors
    /// What the system says.
    fn length(&mut self) -> io::Result<u64>;
}

impl Sink for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, offset)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// One stream of the file being written; the first one by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamId(usize);

impl StreamId {
    /// The number by which the file knows the stream.
    #[must_use]
    pub fn number(self) -> u32 {
        number(self.0)
    }
}

/// A commit that did not write everything.
#[derive(Debug, thiserror::Error)]
#[error("the recording could not be written at byte {offset}: {source}")]
pub struct WriteError {
    /// Length of the valid file, where the write was to go.
    pub offset: u64,
    /// What the system said.
    pub source: io::Error,
    /// Samples given up, by stream.
    pub lost: Vec<(StreamId, u64)>,
    /// The file's length where another program has made it shorter: what is written behind would stand after a hole, so
    /// nothing is written any more and the recording has to go on in another file.
    pub shortened: Option<u64>,
}

/// What is known of a stream in the file.
#[derive(Clone, Debug, Default)]
struct Stream {
    samples: u64,
    /// Samples that wait for the commit.
    waiting: u64,
    first: f64,
    last: f64,
    offsets: Vec<(f64, f64)>,
}

/// A chunk that waits.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where it ends in the buffer.
    end: usize,
    /// Whether the file is of no use without it.
    required: bool,
    effect: Effect,
}

/// What a chunk changes in the accounts once it is written.
#[derive(Clone, Copy, Debug)]
enum Effect {
    Nothing,
    Samples { stream: usize, count: u64, first: f64, last: f64 },
    Offset { stream: usize, time: f64, offset: f64 },
}

/// An XDF file while it is being written. One thread; the buffer grows to the largest commit and stays.
#[derive(Debug)]
pub struct Writer<S> {
    sink: S,
    /// Length of the file in whole chunks.
    length: u64,
    /// Whether bytes of a failed write may stand behind the last whole chunk.
    torn: bool,
    /// Its length as last found, where that is less.
    shortened: Option<u64>,
    buffer: Vec<u8>,
    parts: Vec<Part>,
    streams: Vec<Stream>,
}

impl<S: Sink> Writer<S> {
    /// A file that begins with its header at the next commit. See [`encode::file_header`].
    pub fn new(sink: S, datetime: &str, extra: &str) -> Self {
        let mut writer = Self {
            sink,
            length: 0,
            torn: false,
            shortened: None,
            buffer: Vec::new(),
            parts: Vec::new(),
            streams: Vec::new(),
        };
        encode::file_header(&mut writer.buffer, datetime, extra);
        writer.part(true, Effect::Nothing);
        writer
    }

    /// Begins a stream.
    pub fn add_stream(&mut self, header: &HeaderFields<'_>) -> StreamId {
        self.streams.push(Stream::default());
        let stream = self.streams.len() - 1;
        encode::stream_header(&mut self.buffer, number(stream), header);
        self.part(true, Effect::Nothing);
        StreamId(stream)
    }

    /// Adds samples, `channels` values each, in chunks of at most 64 KiB where one sample is not longer than that.
    pub fn samples(&mut self, stream: StreamId, channels: usize, stamps: &[StreamTime], values: &Samples) {
        let width = match values {
            Samples::Int8(_) => 1,
            Samples::Int16(_) => 2,
            Samples::Float32(_) | Samples::Int32(_) => 4,
            Samples::Double64(_) | Samples::Int64(_) => 8,
        };
        let rows = ((MAX_WRITE - 32) / (9 + channels * width)).max(1);
        for (index, stamps) in stamps.chunks(rows).enumerate() {
            let first = index * rows;
            self.rows(stream, stamps, values.rows(channels, first, first + stamps.len()));
        }
    }

    /// Adds samples in one chunk.
    pub fn rows(&mut self, stream: StreamId, stamps: &[StreamTime], values: SampleRows<'_>) {
        let before = self.buffer.len();
        encode::samples(&mut self.buffer, number(stream.0), stamps, values);
        if self.buffer.len() > before {
            self.sampled(stream, stamps, false);
        }
    }

    /// Adds a sample of text, one text a channel. A `required` one is kept until it can be written.
    pub fn text(&mut self, stream: StreamId, stamp: StreamTime, texts: &[&str], required: bool) {
        encode::text_sample(&mut self.buffer, number(stream.0), stamp, texts);
        self.sampled(stream, &[stamp], required);
    }

    /// Adds a clock offset, measured at `time` on the stream's clock.
    pub fn clock_offset(&mut self, stream: StreamId, time: f64, offset: f64) {
        encode::clock_offset(&mut self.buffer, number(stream.0), time, offset);
        self.part(false, Effect::Offset { stream: stream.0, time, offset });
    }

    /// Adds a boundary.
    pub fn boundary(&mut self) {
        encode::boundary(&mut self.buffer);
        self.part(false, Effect::Nothing);
    }

    /// Adds every stream's footer: how many samples of it stand in the file, from when to when. Commit what waits first.
    pub fn footers(&mut self) {
        for (stream, account) in self.streams.iter().enumerate() {
            let fields = FooterFields {
                first_timestamp: account.first,
                last_timestamp: account.last,
                sample_count: account.samples,
                clock_offsets: &account.offsets,
            };
            encode::stream_footer(&mut self.buffer, number(stream), &fields);
            self.parts.push(Part { end: self.buffer.len(), required: true, effect: Effect::Nothing });
        }
    }

    /// Samples of a stream that stand in the file or wait for the commit: the row of the next one.
    #[must_use]
    pub fn row(&self, stream: StreamId) -> u64 {
        self.streams.get(stream.0).map_or(0, |account| account.samples + account.waiting)
    }

    /// Length of the file in bytes, whole chunks only.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Goes on writing to another file, behind what this writer has written so far.
    pub fn set_sink(&mut self, sink: S) {
        self.sink = sink;
        self.torn = false;
        self.shortened = None;
    }

    /// Samples of a stream that stand in the file.
    #[must_use]
    pub fn written(&self, stream: StreamId) -> u64 {
        self.streams.get(stream.0).map_or(0, |account| account.samples)
    }

    /// What the writer writes to.
    #[must_use]
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// [`WriteError`] with the samples that were given up; what is required still waits, and the file ends with its last
    /// whole chunk.
    pub fn commit(&mut self) -> Result<(), WriteError> {
        let (mut part, mut begin) = (0, 0);
        while part < self.parts.len() {
            let mut next = part + 1;
            while next < self.parts.len() && self.parts[next].end - begin <= MAX_WRITE {
                next += 1;
            }
            let end = self.parts[next - 1].end;
            if let Err(source) = self.write(begin, end) {
                return Err(self.give_up(part, begin, source));
            }
            for index in part..next {
                self.account(self.parts[index].effect);
            }
            (part, begin) = (next, end);
        }
        self.parts.clear();
        self.buffer.clear();
        Ok(())
    }

    fn sampled(&mut self, stream: StreamId, stamps: &[StreamTime], required: bool) {
        let ends = stamps.first().zip(stamps.last());
        let Some(((first, last), account)) = ends.zip(self.streams.get_mut(stream.0)) else { return };
        let count = stamps.len() as u64;
        account.waiting += count;
        self.part(required, Effect::Samples { stream: stream.0, count, first: first.0, last: last.0 });
    }

    fn part(&mut self, required: bool, effect: Effect) {
        self.parts.push(Part { end: self.buffer.len(), required, effect });
    }

    /// Writes part of the buffer behind the file's last whole chunk, or leaves the file as it was.
    fn write(&mut self, begin: usize, end: usize) -> io::Result<()> {
        // asked before every write: afterwards the file would be as long as it should be, with zeros in it
        let found = self.sink.length()?;
        if found < self.length {
            self.shortened = Some(found);
            return Err(io::Error::other(format!(
                "another program cut the file to {found} of {} bytes",
                self.length
            )));
        }
        if self.torn {
            self.sink.cut(self.length)?;
            self.torn = false;
        }
        let mut written = begin;
        while written < end {
            let offset = self.length + (written - begin) as u64;
            match self.sink.write_at(offset, &self.buffer[written..end]) {
                Ok(0) => return Err(self.cut_back(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count.min(end - written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.cut_back(error)),
            }
        }
        self.length += (end - begin) as u64;
        Ok(())
    }

    fn cut_back(&mut self, error: io::Error) -> io::Error {
        // never to be made longer than it is
        let longer = self.sink.length().map(|found| found > self.length);
        self.torn = match longer {
            Ok(false) => false,
            _ => self.sink.cut(self.length).is_err(),
        };
        error
    }

    fn account(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Samples { stream, count, first, last } => {
                let account = &mut self.streams[stream];
                if account.samples == 0 {
                    account.first = first;
                }
                account.last = last;
                account.samples += count;
                account.waiting -= count;
            }
            Effect::Offset { stream, time, offset } => self.streams[stream].offsets.push((time, offset)),
        }
    }

    /// Drops what waits from `part` on, but for what is required.
    fn give_up(&mut self, part: usize, begin: usize, source: io::Error) -> WriteError {
        let mut lost: Vec<(StreamId, u64)> = Vec::new();
        let (mut kept, mut kept_parts) = (Vec::new(), Vec::new());
        let mut start = begin;
        for part in self.parts.drain(part..) {
            if part.required {
                kept.extend_from_slice(&self.buffer[start..part.end]);
                kept_parts.push(Part { end: kept.len(), ..part });
            } else if let Effect::Samples { stream, count, .. } = part.effect {
                self.streams[stream].waiting -= count;
                match lost.iter_mut().find(|(known, _)| known.0 == stream) {
                    Some((_, sum)) => *sum += count,
                    None => lost.push((StreamId(stream), count)),
                }
            }
            start = part.end;
        }
        self.buffer = kept;
        self.parts = kept_parts;
        WriteError { offset: self.length, source, lost, shortened: self.shortened }
    }
}

/// The number by which the file knows a stream.
fn number(stream: usize) -> u32 {
    u32::try_from(stream + 1).unwrap_or(u32::MAX)
}
