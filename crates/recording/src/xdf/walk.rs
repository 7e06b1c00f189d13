//! A pass over an XDF file that understands what it sees: every reader here goes through it, so all agree on what is in a
//! file.
//!
//! A chunk is *explained* where its content is what its tag says: XML that can be read, samples that fill their chunk
//! exactly as their stream's header says, a boundary with its mark. Where one is not, or where the lengths lead nowhere, the
//! next explained chunk is looked for byte by byte, within the chunk as well: a wrong length hides no others. What is in
//! between is damage; a chunk with neighbours on both sides that cannot be explained is kept as it is.

mod explaining;

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

use encoding_rs::Encoding;

use super::{
    bytes::{Bytes, Frame, NoFrame},
    chunks::XdfError,
    encode::{MAGIC, Tag},
    header::{FileHeader, Remark, StreamFooter, StreamHeader},
    problem::{Problem, Severity},
    samples::{SampleDecoder, Values},
};

/// Problems of one stream's samples that are told one by one.
const TOLD: u64 = 5;

/// A part of the file: all of them, one after the other, are the file.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) piece: Piece<'a>,
}

/// What a part of the file is.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// The file's header.
    FileHeader(FileHeader),
    /// The header of a stream, now known to the walk.
    StreamHeader(u32),
    /// Samples of a stream; none where they were passed over.
    Samples(u32, &'a [f64], &'a Values),
    /// A clock offset of a stream; both are finite.
    ClockOffset { stream: u32, time: f64, offset: f64 },
    /// A stream's footer.
    Footer(u32, StreamFooter),
    /// A boundary, or a chunk of a kind that the format leaves to others.
    Other,
    /// A chunk that cannot be explained.
    Kept,
    /// Bytes in which there is no chunk.
    Damage,
    /// The chunk that was being written when the file ended.
    Torn,
}

/// What a chunk is, without its content.
enum Kind {
    FileHeader(FileHeader),
    StreamHeader(u32, Box<StreamHeader>),
    Samples(u32),
    ClockOffset { stream: u32, time: f64, offset: f64 },
    Footer(u32, StreamFooter),
    Boundary,
    Unknown,
}

/// A stream of the file.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) header: StreamHeader,
    /// Where its header stands.
    pub(super) offset: u64,
    /// Whether other chunks of the stream come before its header.
    behind: bool,
    wanted: bool,
    decoder: SampleDecoder,
    /// Chunks of samples that could not be explained.
    pub(super) unexplained: u64,
    first_unexplained: u64,
}

/// Which streams are passed over.
pub(super) type Skip<'s> = &'s dyn Fn(&StreamHeader) -> bool;

/// The pass.
pub(super) struct Walk<'s, R> {
    bytes: Bytes<R>,
    offset: u64,
    skip: Skip<'s>,
    encoding: Option<&'static Encoding>,
    streams: BTreeMap<u32, Known>,
    /// Whether headers were looked for that come after their samples.
    looked_ahead: bool,
    /// Bytes that may still be read to see whether a chunk begins at a place: a file made to be slow costs no more.
    effort: u64,
    stamps: Vec<f64>,
    values: Values,
    problems: Vec<Problem>,
}

impl<'s, R: Read + Seek> Walk<'s, R> {
    /// A pass from the beginning of a file of `length` bytes; `encoding` is that of texts, UTF-8 where it is not named.
    ///
    /// # Errors
    /// [`XdfError::Magic`], [`XdfError::Empty`] and [`XdfError::Io`].
    pub(super) fn new(
        source: R,
        length: u64,
        encoding: Option<&'static Encoding>,
        skip: Skip<'s>,
    ) -> Result<Self, XdfError> {
        let mut bytes = Bytes::new(source, length);
        let magic = MAGIC.len();
        if length == 0 {
            return Err(XdfError::Empty);
        }
        if length < magic as u64 || bytes.get(0, magic)? != MAGIC {
            return Err(XdfError::Magic);
        }
        Ok(Self {
            bytes,
            offset: magic as u64,
            skip,
            encoding,
            streams: BTreeMap::new(),
            looked_ahead: false,
            effort: 8 * length + (1 << 20),
            stamps: Vec::new(),
            values: Values::Texts(Vec::new()),
            problems: Vec::new(),
        })
    }

    /// The streams whose header was read.
    pub(super) fn stream(&self, id: u32) -> Option<&Known> {
        self.streams.get(&id)
    }

    /// What was odd or wrong, in the order of the file; at the end of the pass.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        for (id, stream) in &self.streams {
            let name = &stream.header.name;
            if stream.unexplained > TOLD {
                let text = format!(
                    "stream {id} (\"{name}\"): {} chunks of samples in all cannot be read as its header says",
                    stream.unexplained
                );
                self.problems.push(Problem::damage(stream.first_unexplained, text));
            }
            let mut remarks = stream.decoder.remarks();
            if stream.behind {
                remarks.push(
                    "its header stands behind other chunks of the stream, which are read by it".to_owned(),
                );
            }
            for remark in remarks {
                let text = format!("stream {id} (\"{name}\"): {remark}");
                self.problems.push(Problem::odd(stream.offset, text));
            }
        }
        if self.streams.is_empty() && self.problems.is_empty() {
            self.problems.push(Problem::odd(self.offset, "there is no stream in the file"));
        }
        self.problems.sort_by_key(|problem| problem.offset);
        self.problems
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// [`XdfError::Io`]: everything else is a problem.
    pub(super) fn next_part(&mut self) -> Result<Option<Part<'_>>, XdfError> {
        let offset = self.offset;
        if offset >= self.bytes.length() {
            return Ok(None);
        }
        let frame = match self.bytes.frame(offset)? {
            Ok(frame) => frame,
            Err(no_frame) => return self.damage(offset, no_frame).map(Some),
        };
        let piece = match self.explain(&frame, false)? {
            Ok(kind) => {
                let end = self.end_of(&kind, &frame)?;
                self.offset = end;
                return Ok(Some(Part { offset, end, piece: self.take(kind, &frame) }));
            }
            Err(problem) => {
                // its length may be what is wrong: then others begin inside
                if let Some(next) = self.find_chunk(offset + 1, frame.end)? {
                    self.note(offset, Severity::Damage, problem);
                    self.offset = next;
                    return Ok(Some(Part { offset, end: next, piece: Piece::Damage }));
                }
                self.unexplained(&frame, problem)?;
                self.offset = frame.end;
                Piece::Kept
            }
        };
        Ok(Some(Part { offset, end: frame.end, piece }))
    }

    /// Where a chunk ends: as it says, but for a header whose XML cannot be read and that has another chunk in it. Then its
    /// length is what is wrong.
    fn end_of(&mut self, kind: &Kind, frame: &Frame) -> Result<u64, XdfError> {
        let remarks = match kind {
            Kind::FileHeader(header) => &header.remarks,
            Kind::StreamHeader(id, header) => {
                // what is in it may be samples of its own stream
                if header.remarks.iter().any(|remark| remark.damage) && !self.streams.contains_key(id) {
                    self.add(*id, (**header).clone(), frame.offset);
                }
                &header.remarks
            }
            _ => return Ok(frame.end),
        };
        if !remarks.iter().any(|remark| remark.damage) {
            return Ok(frame.end);
        }
        Ok(self.find_chunk(frame.offset + 1, frame.end)?.unwrap_or(frame.end))
    }

    fn note(&mut self, offset: u64, severity: Severity, text: String) {
        self.problems.push(Problem { offset, text, severity });
    }

    /// A place where no chunk begins.
    fn damage(&mut self, offset: u64, why: NoFrame) -> Result<Part<'_>, XdfError> {
        let length = self.bytes.length();
        let mut next = self.find_chunk(offset + 1, length)?;
        if let Some(magic) = self.magic_before(next)?.filter(|magic| *magic >= offset) {
            if magic == offset {
                return Ok(self.joined(offset));
            }
            next = Some(magic);
        }
        let (piece, text) = match (why, next) {
            (NoFrame::Torn(declared), None) => {
                (Piece::Torn, XdfError::Torn { offset, length: declared }.to_string())
            }
            (NoFrame::Torn(declared), Some(_)) => {
                let text = format!(
                    "a chunk that says it has {declared} bytes, which go on past the end of the file"
                );
                (Piece::Damage, text)
            }
            (NoFrame::Width(width), _) => {
                let text = format!("a chunk's length has {width} bytes, where 1, 4 or 8 are possible");
                (Piece::Damage, text)
            }
            (NoFrame::Length(bytes), _) => (Piece::Damage, format!("a chunk of {bytes} bytes")),
        };
        let end = next.unwrap_or(length);
        let text = match (&piece, next) {
            (Piece::Torn, _) => text,
            (_, Some(_)) => format!("{text}; {} bytes up to the next chunk cannot be read", end - offset),
            (_, None) => format!("{text}; {} bytes up to the end of the file cannot be read", end - offset),
        };
        self.note(offset, Severity::Damage, text);
        self.offset = end;
        Ok(Part { offset, end, piece })
    }

    /// Where the mark of another file begins, in front of the chunk at `next`.
    fn magic_before(&mut self, next: Option<u64>) -> Result<Option<u64>, XdfError> {
        let Some((next, begin)) = next.and_then(|next| Some((next, next.checked_sub(MAGIC.len() as u64)?)))
        else {
            return Ok(None);
        };
        let header = self.bytes.frame(next)?.is_ok_and(|frame| frame.tag == Tag::FileHeader as u16);
        Ok((header && self.bytes.get(begin, MAGIC.len())? == MAGIC).then_some(begin))
    }

    /// Another file behind this one, whose streams have nothing to do with these, whatever their numbers.
    fn joined(&mut self, offset: u64) -> Part<'_> {
        let end = self.bytes.length();
        let text = format!(
            "another XDF file begins here: two were joined, and this one alone is read; `tail -c +{} FILE > second.xdf` \
             makes a file of the other {} bytes",
            offset + 1,
            end - offset
        );
        self.note(offset, Severity::Damage, text);
        self.offset = end;
        Part { offset, end, piece: Piece::Kept }
    }

    /// The first explained chunk that begins at `from` or later, before `until`.
    fn find_chunk(&mut self, from: u64, until: u64) -> Result<Option<u64>, XdfError> {
        let mut begin = from;
        while begin < until {
            let (places, next) = self.bytes.candidates(begin, until)?;
            for place in places {
                let Ok(frame) = self.bytes.frame(place)? else { continue };
                let cost = frame.end - frame.offset;
                if frame.tag != Tag::Boundary as u16 {
                    if cost > self.effort {
                        continue;
                    }
                    self.effort -= cost;
                }
                if self.explain(&frame, true)?.is_ok() {
                    return Ok(Some(place));
                }
            }
            begin = next;
        }
        Ok(None)
    }

    fn add(&mut self, id: u32, header: StreamHeader, offset: u64) {
        for Remark { text, damage } in &header.remarks {
            let severity = if *damage { Severity::Damage } else { Severity::Odd };
            self.problems.push(Problem {
                offset,
                text: format!("stream {id} (\"{}\"): {text}", header.name),
                severity,
            });
        }
        let decoder = SampleDecoder::new(header.channels, header.format, header.nominal_rate_hz)
            .with_encoding(self.encoding);
        let wanted = !(self.skip)(&header);
        let behind = false;
        let known = Known { header, offset, behind, wanted, decoder, unexplained: 0, first_unexplained: 0 };
        self.streams.insert(id, known);
    }

    /// Takes an explained chunk in.
    fn take(&mut self, kind: Kind, frame: &Frame) -> Piece<'_> {
        let offset = frame.offset;
        match kind {
            Kind::FileHeader(header) => {
                for remark in &header.remarks {
                    let severity = if remark.damage { Severity::Damage } else { Severity::Odd };
                    self.note(offset, severity, format!("the file's header: {}", remark.text));
                }
                Piece::FileHeader(header)
            }
            Kind::StreamHeader(id, header) => match self.streams.get(&id) {
                None => {
                    self.add(id, *header, offset);
                    Piece::StreamHeader(id)
                }
                Some(known) if known.offset == offset => Piece::StreamHeader(id),
                Some(known) => {
                    let same = known.header == *header;
                    let text = if same {
                        format!("the header of stream {id} (\"{}\") again", header.name)
                    } else {
                        format!(
                            "a second header of stream {id}, which says otherwise (\"{}\", {} channels; the first one, which holds: \"{}\", {} channels)",
                            header.name, header.channels, known.header.name, known.header.channels
                        )
                    };
                    self.note(offset, if same { Severity::Odd } else { Severity::Damage }, text);
                    if same { Piece::Other } else { Piece::Kept }
                }
            },
            Kind::Samples(id) => Piece::Samples(id, &self.stamps, &self.values),
            Kind::ClockOffset { stream, time, offset: value } => {
                if time.is_finite() && value.is_finite() {
                    return Piece::ClockOffset { stream, time, offset: value };
                }
                let text = format!("stream {stream}: a clock offset of {value} s at {time} s is left out");
                self.note(offset, Severity::Odd, text);
                Piece::Other
            }
            Kind::Footer(id, footer) => Piece::Footer(id, footer),
            Kind::Boundary => Piece::Other,
            Kind::Unknown => {
                let text = format!(
                    "a chunk of a kind that the format does not know (tag {}), left as it is",
                    frame.tag
                );
                self.note(offset, Severity::Odd, text);
                Piece::Other
            }
        }
    }

    /// Notes a chunk that cannot be explained.
    fn unexplained(&mut self, frame: &Frame, problem: String) -> Result<(), XdfError> {
        let samples = frame.tag == Tag::Samples as u16 && frame.end - frame.content >= 4;
        let id = if samples { self.bytes.get(frame.content, 4)?.first_chunk::<4>().copied() } else { None };
        let known = id.and_then(|id| self.streams.get_mut(&u32::from_le_bytes(id)));
        if let Some(known) = known {
            if known.unexplained == 0 {
                known.first_unexplained = frame.offset;
            }
            known.unexplained += 1;
            if known.unexplained > TOLD {
                return Ok(());
            }
        }
        self.note(frame.offset, Severity::Damage, problem);
        Ok(())
    }
}
