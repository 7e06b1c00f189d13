//! A whole XDF file in memory, read as far as it can be read.
//!
//! Files by other recorders come without footers, with a torn tail, with damage in the middle: whatever is whole is read,
//! and every problem is noted with its place.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    chunks::{ChunkReader, Content, XdfError},
    encode::BOUNDARY,
    header::{StreamFooter, StreamHeader, file_header_text},
    samples::{SampleDecoder, Values},
};

/// How much is read at once.
const BUFFER: usize = 1 << 20;

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The byte.
    pub offset: u64,
    /// What is wrong, in a sentence.
    pub text: String,
}

/// A whole file.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// When it was begun, as the file says.
    pub datetime: Option<String>,
    /// Its streams, in the order of their headers.
    pub streams: Vec<RecordedStream>,
    /// What was wrong with it.
    pub problems: Vec<Problem>,
    /// Length of the file in bytes.
    pub length: u64,
    /// Where a stream stands, by the number by which the file knows it.
    places: HashMap<u32, usize>,
}

/// One stream of a file.
#[derive(Clone, Debug)]
pub struct RecordedStream {
    /// The number by which the file knows it.
    pub id: u32,
    /// What its header says.
    pub header: StreamHeader,
    /// Stamps on its own clock, one a sample; empty where the samples were left out.
    pub stamps: Vec<f64>,
    /// Values, `header.channels` a sample; likewise.
    pub values: Values,
    /// Clock offsets in the order of the file: time of measurement on the stream's clock, and offset.
    pub clock_offsets: Vec<(f64, f64)>,
    /// What its footer says, if there is one.
    pub footer: Option<StreamFooter>,
    decoder: SampleDecoder,
    wanted: bool,
}

/// Reads a file whole.
///
/// # Errors
/// [`XdfError::Io`] and [`XdfError::Magic`]; everything else is among the problems.
pub fn read_xdf(path: &Path) -> Result<Recorded, XdfError> {
    read_xdf_but(path, |_| false)
}

/// Reads a file without the samples of the streams that `skip` names by their header.
///
/// # Errors
/// As [`read_xdf`].
pub fn read_xdf_but(path: &Path, skip: impl Fn(&StreamHeader) -> bool) -> Result<Recorded, XdfError> {
    let io = |source| XdfError::Io { offset: 0, source };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    read(BufReader::with_capacity(BUFFER, file), length, skip)
}

/// Reads a file from any source of `length` bytes.
///
/// # Errors
/// As [`read_xdf`].
pub fn read<R: Read + Seek>(
    source: R,
    length: u64,
    skip: impl Fn(&StreamHeader) -> bool,
) -> Result<Recorded, XdfError> {
    let mut recorded = Recorded { length, ..Recorded::default() };
    let mut reader = ChunkReader::new(source, length)?;
    loop {
        let (streams, places) = (&recorded.streams, &recorded.places);
        let unwanted = |id| places.get(&id).is_some_and(|place| !streams[*place].wanted);
        match reader.next_but(unwanted) {
            Ok(None) => break,
            Ok(Some(chunk)) => recorded.take(chunk.offset, chunk.content, &skip),
            Err(error @ (XdfError::Io { .. } | XdfError::Magic)) => return Err(error),
            Err(error) => {
                let begin = error.offset();
                recorded.note(begin, error.to_string());
                let source = reader.into_inner();
                let Some((source, next)) = find_boundary(source, begin + 1, length)? else {
                    recorded.note(begin, format!("{} bytes up to the end are dropped", length - begin));
                    break;
                };
                recorded.note(begin, format!("{} bytes up to the next boundary are dropped", next - begin));
                reader = ChunkReader::at(source, length, next);
            }
        }
    }
    Ok(recorded)
}

/// The chunk of the next boundary from byte `from` on: the source, standing there, and where that is.
pub(super) fn find_boundary<R: Read + Seek>(
    mut source: R,
    from: u64,
    length: u64,
) -> Result<Option<(R, u64)>, XdfError> {
    // the chunk's frame, as every recorder writes it: a length of one byte (18), and the tag
    const FRAME: [u8; 4] = [1, 18, 5, 0];
    const MARK: usize = FRAME.len() + BOUNDARY.len();
    let io = |source| XdfError::Io { offset: from, source };
    source.seek(SeekFrom::Start(from)).map_err(io)?;
    let mut window = Vec::new();
    let mut begin = from;
    // little at first: a file may be damaged in very many places, each a few bytes before the next boundary
    let mut read = 1 << 12;
    while begin < length {
        let kept = window.len();
        let count = (&mut source).take(read).read_to_end(&mut window).map_err(io)?;
        read = (2 * read).min(BUFFER as u64);
        let found =
            window.windows(MARK).position(|bytes| bytes.starts_with(&FRAME) && bytes.ends_with(&BOUNDARY));
        if let Some(at) = found {
            let offset = begin + at as u64;
            source.seek(SeekFrom::Start(offset)).map_err(io)?;
            return Ok(Some((source, offset)));
        }
        if count == 0 {
            return Ok(None);
        }
        // a mark may lie across two reads
        let done = window.len().saturating_sub(MARK - 1);
        window.drain(..done);
        begin += done as u64;
        debug_assert!(kept < MARK, "what is kept is shorter than a mark");
    }
    Ok(None)
}

impl Recorded {
    fn note(&mut self, offset: u64, text: impl Into<String>) {
        self.problems.push(Problem { offset, text: text.into() });
    }

    fn take(&mut self, offset: u64, content: Content<'_>, skip: impl Fn(&StreamHeader) -> bool) {
        match content {
            Content::FileHeader(xml) => self.datetime = file_header_text(xml, "datetime"),
            Content::StreamHeader(id, xml) => match StreamHeader::parse(xml) {
                Ok(_) if self.stream(id).is_some() => {
                    self.note(offset, format!("a second header of stream {id}, which is left aside"));
                }
                Ok(header) => {
                    self.places.insert(id, self.streams.len());
                    self.streams.push(RecordedStream::new(id, skip(&header), header));
                }
                Err(problem) => self.note(offset, format!("stream {id}: {problem}")),
            },
            Content::Samples(id, body) => match self.stream(id) {
                Some(stream) => {
                    if let Err(error) = stream.decode(offset, body) {
                        self.note(offset, format!("stream {id}: {error}"));
                    }
                }
                None => self.note(offset, format!("samples of stream {id}, which has no header before them")),
            },
            Content::ClockOffset { stream, time, offset: value } => match self.stream(stream) {
                Some(stream) => stream.clock_offsets.push((time, value)),
                None => self.note(offset, format!("a clock offset of stream {stream}, which has no header")),
            },
            Content::StreamFooter(id, xml) => match (StreamFooter::parse(xml), self.stream(id)) {
                (Ok(footer), Some(stream)) => stream.footer = Some(footer),
                (Err(problem), _) => self.note(offset, format!("stream {id}: {problem}")),
                (_, None) => self.note(offset, format!("a footer of stream {id}, which has no header")),
            },
            Content::Boundary | Content::Unknown(_) => {}
        }
    }

    fn stream(&mut self, id: u32) -> Option<&mut RecordedStream> {
        self.places.get(&id).and_then(|place| self.streams.get_mut(*place))
    }
}

impl RecordedStream {
    fn new(id: u32, skipped: bool, header: StreamHeader) -> Self {
        Self {
            id,
            stamps: Vec::new(),
            values: Values::empty(header.format),
            clock_offsets: Vec::new(),
            footer: None,
            decoder: SampleDecoder::new(header.channels, header.format, header.nominal_rate_hz),
            wanted: !skipped,
            header,
        }
    }

    fn decode(&mut self, offset: u64, body: &[u8]) -> Result<(), XdfError> {
        if self.wanted {
            self.decoder.decode(offset, body, &mut self.stamps, &mut self.values)?;
        }
        Ok(())
    }
}
