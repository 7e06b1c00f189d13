//! A whole XDF file in memory, read as far as it can be read.
//!
//! Files by other recorders come without footers, with a torn tail, with damage in the middle: whatever is whole is read,
//! and every problem is noted with its place.

use std::{
    io::{Read, Seek},
    ops::ControlFlow,
    path::Path,
};

use encoding_rs::Encoding;

use super::{
    chunks::XdfError,
    clocks::{clock_groups, mixed_clocks},
    header::{StreamFooter, StreamHeader},
    jumps::Jumps,
    samples::Values,
    source::{Source, SourceError},
    walk::{Piece, Walk},
};

pub use super::problem::{Problem, Severity};

/// A whole file.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// When it was begun, as the file says.
    pub datetime: Option<String>,
    /// Its streams, in the order of their headers.
    pub streams: Vec<RecordedStream>,
    /// What was odd or wrong with it.
    pub problems: Vec<Problem>,
    /// Length of the file in bytes, unpacked.
    pub length: u64,
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
}

/// Reads a file whole.
///
/// # Errors
/// [`XdfError::Io`], [`XdfError::Empty`] and [`XdfError::Magic`]; everything else is among the problems.
pub fn read_xdf(path: &Path) -> Result<Recorded, XdfError> {
    read_xdf_but(path, None, |_| false)
}

/// Reads a file without the samples of the streams that `skip` names by their header; texts are in `encoding`, or UTF-8.
///
/// # Errors
/// As [`read_xdf`].
pub fn read_xdf_but(
    path: &Path,
    encoding: Option<&'static Encoding>,
    skip: impl Fn(&StreamHeader) -> bool,
) -> Result<Recorded, XdfError> {
    let (source, length) = open(path)?;
    let packed = source.problem().map(|problem| Problem::damage(length, problem));
    let mut recorded = read_in(source, length, encoding, skip)?;
    recorded.problems.extend(packed);
    Ok(recorded)
}

/// Samples of a stream that stand together in a file.
#[derive(Clone, Copy, Debug)]
pub struct SampleChunk<'a> {
    /// The number by which the file knows the stream.
    pub stream: u32,
    /// Stamps on the stream's own clock, one a sample.
    pub stamps: &'a [f64],
    /// Values.
    pub values: &'a Values,
    /// Bytes of the file read so far,
    pub read: u64,
    /// and in all.
    pub length: u64,
}

/// Shows the samples of a file's streams, chunk by chunk in its order, but for those that `skip` names by their header, until
/// `visit` breaks off. Memory: a chunk. Problems are those that [`read_xdf_but`] tells.
///
/// # Errors
/// As [`read_xdf`].
pub fn visit_samples(
    path: &Path,
    encoding: Option<&'static Encoding>,
    skip: impl Fn(&StreamHeader) -> bool,
    mut visit: impl FnMut(SampleChunk<'_>) -> ControlFlow<()>,
) -> Result<(), XdfError> {
    let (source, length) = open(path)?;
    let mut walk = Walk::new(source, length, encoding, &skip)?;
    while let Some(part) = walk.next_part()? {
        if let Piece::Samples(stream, stamps, values) = part.piece
            && !stamps.is_empty()
        {
            let shown = visit(SampleChunk { stream, stamps, values, read: part.end, length });
            if shown.is_break() {
                break;
            }
        }
    }
    Ok(())
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<(Source, u64), XdfError> {
    Source::open(path).map_err(|error| match error {
        SourceError::Io(source) => XdfError::Io { offset: 0, source },
        error @ SourceError::TooLarge => XdfError::Io { offset: 0, source: std::io::Error::other(error) },
    })
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
    read_in(source, length, None, skip)
}

#[expect(clippy::single_match_else, reason = "two cases of equal weight read best side by side")]
fn read_in<R: Read + Seek>(
    source: R,
    length: u64,
    encoding: Option<&'static Encoding>,
    skip: impl Fn(&StreamHeader) -> bool,
) -> Result<Recorded, XdfError> {
    let mut recorded = Recorded { length, ..Recorded::default() };
    let mut walk = Walk::new(source, length, encoding, &skip)?;
    // a stream is known from its header on, or from its first samples where they come before it
    let mut places = std::collections::HashMap::new();
    let (mut offsets, mut footers) = (Vec::new(), Vec::new());
    loop {
        let id = match walk.next_part()?.map(|part| part.piece) {
            None => break,
            Some(Piece::FileHeader(header)) => {
                recorded.datetime = recorded.datetime.or(header.datetime);
                continue;
            }
            Some(Piece::StreamHeader(id)) => id,
            Some(Piece::Samples(id, stamps, values)) => match places.get(&id) {
                Some(&place) => {
                    let stream: &mut RecordedStream = &mut recorded.streams[place];
                    stream.stamps.extend_from_slice(stamps);
                    stream.values.append(values);
                    continue;
                }
                None => {
                    let (stamps, values) = (stamps.to_vec(), values.clone());
                    if let Some(known) = walk.stream(id) {
                        let mut stream = RecordedStream::new(id, known.header.clone());
                        (stream.stamps, stream.values) = (stamps, values);
                        places.insert(id, recorded.streams.len());
                        recorded.streams.push(stream);
                    }
                    continue;
                }
            },
            Some(Piece::ClockOffset { stream, time, offset }) => {
                offsets.push((stream, (time, offset)));
                continue;
            }
            Some(Piece::Footer(id, footer)) => {
                footers.push((id, footer));
                continue;
            }
            Some(Piece::Other | Piece::Kept | Piece::Damage | Piece::Torn) => continue,
        };
        if let (Some(known), false) = (walk.stream(id), places.contains_key(&id)) {
            places.insert(id, recorded.streams.len());
            recorded.streams.push(RecordedStream::new(id, known.header.clone()));
        }
    }
    // their header may have come behind them
    for (id, offset) in offsets {
        recorded
            .streams
            .iter_mut()
            .filter(|stream| stream.id == id)
            .for_each(|stream| stream.clock_offsets.push(offset));
    }
    for (id, footer) in footers {
        let mut streams = recorded.streams.iter_mut().filter(|stream| stream.id == id);
        streams.by_ref().for_each(|stream| stream.footer = Some(footer.clone()));
    }
    let headers: Vec<u64> = recorded
        .streams
        .iter()
        .map(|stream| walk.stream(stream.id).map_or(0, |known| known.offset))
        .collect();
    recorded.problems = walk.into_problems();
    for (stream, offset) in recorded.streams.iter().zip(headers) {
        let jumps = stream.jumps();
        let wrong = stream.stamps.len() as u64 - jumps.stamped();
        recorded.problems.extend(unstamped(stream.id, &stream.header, wrong, offset));
        recorded.problems.extend(jumped(stream.id, &stream.header, &jumps, offset));
    }
    recorded.problems.extend(recorded.mixed_clocks().map(|text| Problem::odd(0, text)));
    recorded.problems.sort_by_key(|problem| problem.offset);
    Ok(recorded)
}

/// What to say of samples whose stamps are not numbers.
pub(super) fn unstamped(id: u32, header: &StreamHeader, count: u64, offset: u64) -> Option<Problem> {
    let text = format!("stream {id} (\"{}\"): samples whose stamp is no number: {count}", header.name);
    (count > 0).then(|| Problem::odd(offset, text))
}

/// What to say of stamps that jump.
pub(super) fn jumped(id: u32, header: &StreamHeader, jumps: &Jumps, offset: u64) -> Option<Problem> {
    let told = jumps.sentence()?;
    Some(Problem::odd(offset, format!("stream {id} (\"{}\"): {told}", header.name)))
}

impl Recorded {
    /// What to tell of streams that are on different clocks.
    #[must_use]
    pub fn mixed_clocks(&self) -> Option<String> {
        let spans: Vec<_> = self.streams.iter().map(RecordedStream::span).collect();
        let names: Vec<String> = self.streams.iter().map(|stream| stream.header.name.clone()).collect();
        mixed_clocks(&clock_groups(&spans), &names)
    }
}

impl RecordedStream {
    fn new(id: u32, header: StreamHeader) -> Self {
        Self {
            id,
            stamps: Vec::new(),
            values: Values::empty(header.format),
            clock_offsets: Vec::new(),
            footer: None,
            header,
        }
    }

    /// Where its stamps jump.
    #[must_use]
    pub fn jumps(&self) -> Jumps {
        let mut jumps = Jumps::of(&self.header);
        self.stamps.iter().for_each(|stamp| jumps.saw(*stamp));
        jumps
    }

    /// The earliest and the latest stamp, roughly on the recorder's clock; `None` where no stamp is a number.
    #[must_use]
    pub fn span(&self) -> Option<(f64, f64)> {
        let offset = self.clock_offsets.first().map_or(0.0, |(_, value)| *value);
        self.jumps().span().map(|(first, last)| (first + offset, last + offset))
    }
}
