//! A source of bytes that is read mostly forward, with looks ahead: what reading a damaged file takes.

use std::io::{Read, Seek, SeekFrom};

use super::chunks::{MAX_CHUNK, XdfError};

/// Bytes read at once.
const WINDOW: usize = 1 << 20;

/// A source of `length` bytes and the window of it that was read last. Memory: the window, and the longest chunk asked for.
#[derive(Debug)]
pub(super) struct Bytes<R> {
    read: R,
    length: u64,
    /// Where the source stands.
    position: u64,
    window: Vec<u8>,
    begin: u64,
}

/// A chunk's frame: where its parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) offset: u64,
    pub(super) tag: u16,
    /// Where the content begins, behind the tag.
    pub(super) content: u64,
    pub(super) end: u64,
}

/// Why there is no chunk at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// It would go on past the end of the file.
    Torn(u64),
    /// Its length has so many bytes.
    Width(u8),
    /// It has so many bytes, which none can have.
    Length(u64),
}

impl<R: Read + Seek> Bytes<R> {
    pub(super) fn new(read: R, length: u64) -> Self {
        Self { read, length, position: 0, window: Vec::new(), begin: 0 }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// `count` bytes at `offset`, which the file is known to have.
    pub(super) fn get(&mut self, offset: u64, count: usize) -> Result<&[u8], XdfError> {
        let inside = offset >= self.begin && offset + count as u64 <= self.begin + self.window.len() as u64;
        if !inside {
            let io = |source| XdfError::Io { offset, source };
            if self.position != offset {
                self.read.seek(SeekFrom::Start(offset)).map_err(io)?;
            }
            let wanted = (count.max(WINDOW) as u64).min(self.length.saturating_sub(offset)) as usize;
            self.window.resize(wanted, 0);
            self.begin = offset;
            self.read.read_exact(&mut self.window).map_err(io)?;
            self.position = offset + wanted as u64;
        }
        let at = (offset - self.begin) as usize;
        self.window
            .get(at..at + count)
            .ok_or_else(|| XdfError::Io { offset, source: std::io::ErrorKind::UnexpectedEof.into() })
    }

    /// The frame of the chunk at `offset`, which lies within the file.
    pub(super) fn frame(&mut self, offset: u64) -> Result<Result<Frame, NoFrame>, XdfError> {
        let left = self.length - offset;
        let head = self.get(offset, left.min(11) as usize)?;
        let (&width, rest) = head.split_first().unwrap_or((&0, &[]));
        if !matches!(width, 1 | 4 | 8) {
            return Ok(Err(NoFrame::Width(width)));
        }
        let mut number = [0; 8];
        let Some(bytes) = rest.get(..usize::from(width)) else { return Ok(Err(NoFrame::Torn(0))) };
        number[..usize::from(width)].copy_from_slice(bytes);
        let length = u64::from_le_bytes(number);
        let content = offset + 1 + u64::from(width);
        if length > self.length - content {
            return Ok(Err(NoFrame::Torn(length)));
        }
        if !(2..=MAX_CHUNK).contains(&length) {
            return Ok(Err(NoFrame::Length(length)));
        }
        let tag = self.get(content, 2)?;
        let tag = u16::from_le_bytes([tag[0], tag[1]]);
        Ok(Ok(Frame { offset, tag, content: content + 2, end: content + length }))
    }

    /// The content of a chunk.
    pub(super) fn content(&mut self, frame: &Frame) -> Result<&[u8], XdfError> {
        self.get(frame.content, (frame.end - frame.content) as usize)
    }

    /// Places from `from` on, up to `until`, where a chunk with a known tag could begin: a few, cheaply. The second value is
    /// where to go on.
    pub(super) fn candidates(&mut self, from: u64, until: u64) -> Result<(Vec<u64>, u64), XdfError> {
        // the longest length, and a tag
        const HEAD: usize = 11;
        let (length, end) = (self.length, until.min(from + WINDOW as u64 / 2));
        let bytes = self.get(from, ((end - from) as usize + HEAD).min((length - from) as usize))?;
        let places = (0..(end - from) as usize).filter(|&at| {
            let width = usize::from(bytes[at]);
            if !matches!(width, 1 | 4 | 8) {
                return false;
            }
            let (Some(number), Some(&[low, high])) =
                (bytes.get(at + 1..at + 1 + width), bytes.get(at + 1 + width..at + 3 + width))
            else {
                return false;
            };
            let mut value = [0; 8];
            value[..width].copy_from_slice(number);
            let content = from + at as u64 + 1 + width as u64;
            high == 0 && (1..=6).contains(&low) && u64::from_le_bytes(value) <= length - content
        });
        Ok((places.map(|at| from + at as u64).collect(), end))
    }
}
