//! The chunks of an XDF 1.0 file, one after the other, from any reader.
//!
//! A declared length is believed only as far as the file goes: nothing is ever allocated by it alone, and every problem
//! names the byte where it is.

use std::io::{self, Read, Seek};

use super::encode::{BOUNDARY, MAGIC, Tag};

/// The longest chunk that is read whole; recorders write chunks of kilobytes, and headers are no longer than megabytes.
pub const MAX_CHUNK: u64 = 1 << 30;

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum XdfError {
    /// It could not be read.
    #[error("the file cannot be read at byte {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is no XDF file.
    #[error("this is no XDF file: it does not begin with \"XDF:\"")]
    Magic,
    /// A chunk goes on past the end of the file.
    #[error(
        "the chunk at byte {offset} says it has {length} bytes, and the file ends before: it was cut off there, and `kalmind recording repair` repairs it"
    )]
    Torn {
        /// Where the chunk begins.
        offset: u64,
        /// Its declared length.
        length: u64,
    },
    /// A chunk that cannot be one.
    #[error("damaged at byte {offset}: {problem}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
}

impl XdfError {
    pub(super) fn damaged(offset: u64, problem: impl Into<String>) -> Self {
        Self::Damaged { offset, problem: problem.into() }
    }

    /// Where in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Self::Empty | Self::Magic => 0,
            Self::Io { offset, .. } | Self::Torn { offset, .. } | Self::Damaged { offset, .. } => *offset,
        }
    }
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chunk<'a> {
    /// Where in the file it begins.
    pub offset: u64,
    /// Bytes that it takes in the file, its length included.
    pub length: u64,
    /// What it is.
    pub content: Content<'a>,
}

/// What a chunk is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// The file's header: XML.
    FileHeader(&'a [u8]),
    /// A stream's header: XML.
    StreamHeader(u32, &'a [u8]),
    /// Samples of a stream, to be decoded by its [`SampleDecoder`](super::samples::SampleDecoder). Empty where the stream
    /// is skipped.
    Samples(u32, &'a [u8]),
    /// A clock offset of a stream.
    ClockOffset {
        /// The stream.
        stream: u32,
        /// When it was measured, on the stream's clock.
        time: f64,
        /// Added to stamps it gives local time.
        offset: f64,
    },
    /// A boundary.
    Boundary,
    /// A stream's footer: XML.
    StreamFooter(u32, &'a [u8]),
    /// Something of another kind, or a chunk that does not hold what its tag says.
    Unknown(u16),
}

/// Reads chunk after chunk. Memory: the longest chunk.
#[derive(Debug)]
pub struct ChunkReader<R> {
    read: R,
    /// Length of the file.
    length: u64,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: Read + Seek> ChunkReader<R> {
    /// A reader at the start of a file of `length` bytes.
    ///
    /// # Errors
    /// [`XdfError::Magic`] and [`XdfError::Io`].
    pub fn new(read: R, length: u64) -> Result<Self, XdfError> {
        let mut reader = Self { read, length, offset: 0, buffer: Vec::new() };
        if length == 0 {
            return Err(XdfError::Empty);
        }
        if length < MAGIC.len() as u64 {
            return Err(XdfError::Magic);
        }
        let mut magic = [0; 4];
        reader.take(&mut magic)?;
        if magic == MAGIC { Ok(reader) } else { Err(XdfError::Magic) }
    }

    /// Where the next chunk begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next chunk; `None` at the end of the file.
    ///
    /// # Errors
    /// [`XdfError`]: after one the reader is of no more use at this place.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk<'_>>, XdfError> {
        self.next_but(|_| false)
    }

    /// As [`Self::next_chunk`], without the samples of the streams that `skip` names: they are not read.
    ///
    /// # Errors
    /// [`XdfError`].
    pub fn next_but(&mut self, skip: impl FnOnce(u32) -> bool) -> Result<Option<Chunk<'_>>, XdfError> {
        let begin = self.offset;
        if begin >= self.length {
            return Ok(None);
        }
        let mut width = [0; 1];
        self.take(&mut width)?;
        let width = width[0];
        if !matches!(width, 1 | 4 | 8) {
            return Err(XdfError::damaged(
                begin,
                format!("a chunk's length has {width} bytes, where 1, 4 or 8 are possible"),
            ));
        }
        let torn = |length| XdfError::Torn { offset: begin, length };
        let mut bytes = [0; 8];
        if self.left() < u64::from(width) {
            return Err(torn(u64::from(width)));
        }
        self.take(&mut bytes[..usize::from(width)])?;
        let length = u64::from_le_bytes(bytes);
        if length > self.left() {
            return Err(torn(length));
        }
        if !(2..=MAX_CHUNK).contains(&length) {
            return Err(XdfError::damaged(begin, format!("a chunk of {length} bytes")));
        }
        let mut tag = [0; 2];
        self.take(&mut tag)?;
        let tag = u16::from_le_bytes(tag);
        let mut rest = length - 2;
        let has_stream = [Tag::StreamHeader, Tag::Samples, Tag::ClockOffset, Tag::StreamFooter]
            .iter()
            .any(|known| *known as u16 == tag);
        let mut stream = 0;
        if has_stream {
            if rest < 4 {
                return Err(XdfError::damaged(begin, "a chunk too short to name its stream"));
            }
            let mut id = [0; 4];
            self.take(&mut id)?;
            stream = u32::from_le_bytes(id);
            rest -= 4;
        }
        if tag == Tag::Samples as u16 && skip(stream) {
            self.pass(rest)?;
            let length = self.offset - begin;
            return Ok(Some(Chunk { offset: begin, length, content: Content::Samples(stream, &[]) }));
        }
        self.fill(rest)?;
        let length = self.offset - begin;
        let content = content(tag, stream, &self.buffer);
        Ok(Some(Chunk { offset: begin, length, content }))
    }

    fn left(&self) -> u64 {
        self.length - self.offset
    }

    fn take(&mut self, into: &mut [u8]) -> Result<(), XdfError> {
        self.read.read_exact(into).map_err(|source| XdfError::Io { offset: self.offset, source })?;
        self.offset += into.len() as u64;
        Ok(())
    }

    /// Reads `count` bytes, which the file is known to have, into the buffer.
    fn fill(&mut self, count: u64) -> Result<(), XdfError> {
        // the chunk is no longer than the file and no longer than it may be, but the file may shrink meanwhile
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.buffer.resize(count, 0);
        let offset = self.offset;
        self.read.read_exact(&mut self.buffer).map_err(|source| XdfError::Io { offset, source })?;
        self.offset += count as u64;
        Ok(())
    }

    /// Goes past `count` bytes, which the file is known to have, without reading them.
    fn pass(&mut self, count: u64) -> Result<(), XdfError> {
        // a chunk is no longer than a gigabyte
        let distance = i64::try_from(count).unwrap_or(i64::MAX);
        self.read.seek_relative(distance).map_err(|source| XdfError::Io { offset: self.offset, source })?;
        self.offset += count;
        Ok(())
    }
}

fn content(tag: u16, stream: u32, bytes: &[u8]) -> Content<'_> {
    let is = |known: Tag| known as u16 == tag;
    if is(Tag::FileHeader) {
        Content::FileHeader(bytes)
    } else if is(Tag::StreamHeader) {
        Content::StreamHeader(stream, bytes)
    } else if is(Tag::Samples) {
        Content::Samples(stream, bytes)
    } else if is(Tag::ClockOffset) {
        match (f64_at(bytes, 0), f64_at(bytes, 8), bytes.len()) {
            (Some(time), Some(offset), 16) => Content::ClockOffset { stream, time, offset },
            _ => Content::Unknown(tag),
        }
    } else if is(Tag::Boundary) && bytes == BOUNDARY {
        Content::Boundary
    } else if is(Tag::StreamFooter) {
        Content::StreamFooter(stream, bytes)
    } else {
        Content::Unknown(tag)
    }
}

pub(super) fn f64_at(bytes: &[u8], at: usize) -> Option<f64> {
    let bytes = bytes.get(at..at + 8)?;
    bytes.try_into().ok().map(f64::from_le_bytes)
}

/// A number of variable length at the start of `bytes`, and what is behind it.
pub(super) fn variable_length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&width, rest) = bytes.split_first()?;
    let width = usize::from(width);
    if !matches!(width, 1 | 4 | 8) {
        return None;
    }
    let (number, rest) = rest.split_at_checked(width)?;
    let mut value = [0; 8];
    value[..width].copy_from_slice(number);
    Some((u64::from_le_bytes(value), rest))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, SeekFrom};

    use super::*;

    /// Bytes, and how many of them have been read.
    struct Counted(Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1 += read;
            Ok(read)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn samples(stream: u32, content: &[u8]) -> Vec<u8> {
        let length = content.len() as u32 + 6;
        let tag = Tag::Samples as u16;
        [&[4][..], &length.to_le_bytes(), &tag.to_le_bytes(), &stream.to_le_bytes(), content].concat()
    }

    #[test]
    fn samples_that_are_passed_over_are_not_read_and_what_follows_them_is() {
        let file = [&MAGIC[..], &samples(7, &[0; 5000]), &samples(8, &[1, 2, 3])].concat();
        let length = file.len() as u64;
        let mut counted = Counted(Cursor::new(file), 0);
        let mut reader = ChunkReader::new(&mut counted, length).unwrap();
        let passed = reader.next_but(|stream| stream == 7).unwrap().unwrap();
        assert_eq!((passed.length, passed.content), (5011, Content::Samples(7, &[])));
        let read = reader.next_but(|stream| stream == 7).unwrap().unwrap();
        assert_eq!((read.offset, read.content), (5015, Content::Samples(8, &[1, 2, 3])));
        assert!(reader.next_chunk().unwrap().is_none());
        assert_eq!(counted.1, 4 + 11 + 14);
    }

    #[test]
    fn a_chunk_that_is_passed_over_may_not_go_on_past_the_end_of_the_file() {
        let file = [&MAGIC[..], &samples(7, &[0; 100])[..50]].concat();
        let length = file.len() as u64;
        let mut reader = ChunkReader::new(Cursor::new(file), length).unwrap();
        let error = reader.next_but(|_| true).unwrap_err();
        assert!(matches!(error, XdfError::Torn { offset: 4, length: 106 }), "{error}");
    }
}
