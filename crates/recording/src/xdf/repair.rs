//! Checks an XDF file and mends it: a torn tail is cut off, damage in the middle is left out, footers are made anew.
//!
//! One pass over the chunks with flat memory; a file of many gigabytes is copied only where its middle is damaged.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::{
    chunks::{ChunkReader, Content, XdfError},
    encode::{self, FooterFields},
    header::{StreamFooter, StreamHeader},
    recording::{Problem, find_boundary},
    samples::{SampleDecoder, Values},
};

/// How much is read at once.
const BUFFER: usize = 1 << 20;

/// What is known of a stream after a pass over the file.
#[derive(Clone, Debug)]
pub struct CheckedStream {
    /// What its header says.
    pub header: StreamHeader,
    /// Samples in the file.
    pub samples: u64,
    /// Stamp of the first sample.
    pub first: f64,
    /// Stamp of the last sample.
    pub last: f64,
    /// Gaps between stamps longer than two periods and 100 ms (regular streams).
    pub gaps: u64,
    /// The longest of them, in seconds.
    pub longest_gap: f64,
    /// Time that the stamps went forward by, in seconds: how long the stream is, whatever resets its clock had.
    pub seconds: f64,
    /// Times that a stamp was earlier than the one before it.
    pub backward: u64,
    /// Clock offsets.
    pub clock_offsets: Vec<(f64, f64)>,
    /// What its footer says, if there is one.
    pub footer: Option<StreamFooter>,
    decoder: SampleDecoder,
}

/// What a pass over a file found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// When it was begun, as the file says.
    pub datetime: Option<String>,
    /// Its streams, by the number by which the file knows them.
    pub streams: BTreeMap<u32, CheckedStream>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Length of the file in bytes.
    pub length: u64,
    /// The parts of the file that are whole: from, to.
    whole: Vec<(u64, u64)>,
    /// Streams whose footer is missing or says something else than what stands in the file.
    stale_footers: Vec<u32>,
    /// Where footers stand, which are not copied when a file is made anew.
    footers: Vec<(u64, u64)>,
}

/// What was done to mend a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Bytes that were dropped, by place: what stood there could not be read.
    pub dropped: Vec<(u64, u64)>,
    /// Streams whose footer was made anew.
    pub footers: usize,
    /// Whether anything was done.
    pub changed: bool,
}

/// Why a file cannot be mended.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It cannot be read.
    #[error(transparent)]
    Xdf(#[from] XdfError),
    /// The mended file cannot be written.
    #[error("the mended file {} cannot be written: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl CheckReport {
    /// Whether every chunk is whole and every stream has its footer.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }

    fn note(&mut self, offset: u64, text: impl Into<String>) {
        self.problems.push(Problem { offset, text: text.into() });
    }
}

/// Passes over a file; `progress` is told the bytes read and the bytes in all.
///
/// # Errors
/// [`XdfError::Io`] and [`XdfError::Magic`]; everything else is among the problems.
pub fn check(path: &Path, progress: impl FnMut(u64, u64)) -> Result<CheckReport, XdfError> {
    let io = |source| XdfError::Io { offset: 0, source };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    check_source(BufReader::with_capacity(BUFFER, file), length, progress)
}

/// As [`check`], for any source of `length` bytes.
///
/// # Errors
/// As [`check`].
pub fn check_source<R: Read + Seek>(
    source: R,
    length: u64,
    mut progress: impl FnMut(u64, u64),
) -> Result<CheckReport, XdfError> {
    let mut report = CheckReport { length, ..CheckReport::default() };
    let mut reader = ChunkReader::new(source, length)?;
    let mut begin = 0;
    let (mut stamps, mut values) = (Vec::new(), Values::Texts(Vec::new()));
    loop {
        match reader.next_chunk() {
            Ok(None) => break,
            Ok(Some(chunk)) => {
                let end = chunk.offset + chunk.length;
                let good = report.take(chunk.offset, end, chunk.content, &mut stamps, &mut values);
                if !good {
                    report.whole.push((begin, chunk.offset));
                    begin = end;
                }
                progress(end, length);
            }
            Err(error @ (XdfError::Io { .. } | XdfError::Magic)) => return Err(error),
            Err(error) => {
                let damage = error.offset();
                report.note(damage, error.to_string());
                report.whole.push((begin, damage));
                let Some((source, next)) = find_boundary(reader.into_inner(), damage + 1, length)? else {
                    begin = length;
                    break;
                };
                begin = next;
                reader = ChunkReader::at(source, length, next);
            }
        }
    }
    if begin < length {
        report.whole.push((begin, length));
    }
    report.check_footers();
    Ok(report)
}

/// Mends a file: into `output`, or in place. In place the file is cut and its footers are written behind, or, where its
/// middle is damaged, a new one is made beside it and takes its place.
///
/// # Errors
/// [`RepairError`].
pub fn repair(
    path: &Path,
    output: Option<&Path>,
    progress: impl FnMut(u64, u64),
) -> Result<RepairReport, RepairError> {
    let report = check(path, progress)?;
    let dropped = report.dropped();
    let mut footers = Vec::new();
    for id in &report.stale_footers {
        if let Some(stream) = report.streams.get(id) {
            encode::stream_footer(&mut footers, *id, &stream.footer_fields());
        }
    }
    let done = RepairReport {
        changed: !dropped.is_empty() || !report.stale_footers.is_empty(),
        footers: report.stale_footers.len(),
        dropped,
    };
    let target = output.unwrap_or(path);
    let failed = |source| RepairError::Write { path: target.to_owned(), source };
    if !done.changed && output.is_none() {
        return Ok(done);
    }
    // footers that say the wrong thing must not stay: readers take the last one, but two are no valid file
    let replaced = report.replaces_footers() && !report.footers.is_empty();
    let tail_only = report.whole.len() == 1 && !replaced;
    if output.is_none() && tail_only {
        let end = report.whole.first().map_or(0, |(_, end)| *end);
        append(path, end, &footers).map_err(failed)?;
    } else {
        copy(path, target, &report, &footers).map_err(failed)?;
    }
    Ok(done)
}

/// Cuts a file and writes behind what is left of it.
fn append(path: &Path, end: u64, footers: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(footers)?;
    file.sync_all()
}

/// Writes the whole parts and new footers into a file beside the target, which then takes its place.
fn copy(path: &Path, target: &Path, report: &CheckReport, footers: &[u8]) -> io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = target.with_file_name(name);
    let written = (|| {
        let mut source = File::open(path)?;
        let mut file = io::BufWriter::with_capacity(BUFFER, File::create(&part)?);
        for (from, to) in report.kept() {
            source.seek(SeekFrom::Start(from))?;
            let copied = io::copy(&mut (&mut source).take(to - from), &mut file)?;
            if copied != to - from {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        file.write_all(footers)?;
        file.into_inner()?.sync_all()?;
        std::fs::rename(&part, target)
    })();
    if written.is_err() {
        drop(std::fs::remove_file(&part));
    }
    written
}

impl CheckReport {
    /// Takes a chunk in; `false` where it has to be left out.
    fn take(
        &mut self,
        offset: u64,
        end: u64,
        content: Content<'_>,
        stamps: &mut Vec<f64>,
        values: &mut Values,
    ) -> bool {
        match content {
            Content::FileHeader(xml) => self.datetime = super::header::file_header_text(xml, "datetime"),
            Content::StreamHeader(id, xml) => match StreamHeader::parse(xml) {
                Ok(header) if !self.streams.contains_key(&id) => {
                    self.streams.insert(id, CheckedStream::new(header));
                }
                Ok(_) => {
                    self.note(offset, format!("a second header of stream {id}"));
                    return false;
                }
                Err(problem) => {
                    self.note(offset, format!("stream {id}: {problem}"));
                    return false;
                }
            },
            Content::Samples(id, body) => {
                let Some(stream) = self.streams.get_mut(&id) else {
                    self.note(offset, format!("samples of stream {id}, which has no header before them"));
                    return false;
                };
                stamps.clear();
                match (stream.header.format, &mut *values) {
                    (None, Values::Texts(texts)) => texts.clear(),
                    (format, values) => *values = Values::empty(format),
                }
                if let Err(error) = stream.decoder.decode(offset, body, stamps, values) {
                    self.note(offset, format!("stream {id}: {error}"));
                    return false;
                }
                stream.saw(stamps);
            }
            Content::ClockOffset { stream: id, time, offset: value } => {
                let Some(stream) = self.streams.get_mut(&id) else {
                    self.note(offset, format!("a clock offset of stream {id}, which has no header"));
                    return false;
                };
                stream.clock_offsets.push((time, value));
            }
            Content::StreamFooter(id, xml) => match (StreamFooter::parse(xml), self.streams.get_mut(&id)) {
                (Ok(footer), Some(stream)) => {
                    stream.footer = Some(footer);
                    self.footers.push((offset, end));
                }
                (parsed, _) => {
                    let problem = parsed.err().unwrap_or_else(|| "a footer without a header".to_owned());
                    self.note(offset, format!("stream {id}: {problem}"));
                    return false;
                }
            },
            Content::Boundary | Content::Unknown(_) => {}
        }
        true
    }

    /// Notes footers that are missing or wrong. All are made anew as soon as one is wrong, since a file is then copied.
    fn check_footers(&mut self) {
        let mut wrong = false;
        let mut notes = Vec::new();
        for (id, stream) in &self.streams {
            let name = &stream.header.name;
            match &stream.footer {
                None => {
                    notes.push((self.length, format!("stream {id} (\"{name}\") has no footer")));
                    self.stale_footers.push(*id);
                }
                Some(footer) if footer.sample_count.is_some_and(|count| count != stream.samples) => {
                    let said = footer.sample_count.unwrap_or_default();
                    let text = format!(
                        "stream {id} (\"{name}\"): the footer says {said} samples, the file has {}",
                        stream.samples
                    );
                    notes.push((self.length, text));
                    wrong = true;
                }
                Some(_) => {}
            }
        }
        if wrong {
            self.stale_footers = self.streams.keys().copied().collect();
        }
        for (offset, text) in notes {
            self.note(offset, text);
        }
    }

    /// Whether every footer is made anew, so that those in the file are left out.
    fn replaces_footers(&self) -> bool {
        !self.stale_footers.is_empty() && self.stale_footers.len() == self.streams.len()
    }

    /// The parts that are copied: what is whole, without footers that are made anew.
    fn kept(&self) -> Vec<(u64, u64)> {
        let mut kept = Vec::new();
        for &(from, to) in &self.whole {
            let mut begin = from;
            for &(footer, end) in &self.footers {
                if footer >= begin && end <= to && self.replaces_footers() {
                    kept.push((begin, footer));
                    begin = end;
                }
            }
            kept.push((begin, to));
        }
        kept.retain(|(from, to)| from < to);
        kept
    }

    /// The parts between what is whole.
    fn dropped(&self) -> Vec<(u64, u64)> {
        let mut dropped = Vec::new();
        let mut begin = 0;
        for &(from, to) in &self.whole {
            if from > begin {
                dropped.push((begin, from));
            }
            begin = to;
        }
        if begin < self.length {
            dropped.push((begin, self.length));
        }
        dropped
    }
}

impl CheckedStream {
    fn new(header: StreamHeader) -> Self {
        Self {
            decoder: SampleDecoder::new(header.channels, header.format, header.nominal_rate_hz),
            header,
            samples: 0,
            first: 0.0,
            last: 0.0,
            gaps: 0,
            longest_gap: 0.0,
            seconds: 0.0,
            backward: 0,
            clock_offsets: Vec::new(),
            footer: None,
        }
    }

    fn saw(&mut self, stamps: &[f64]) {
        let rate = self.header.nominal_rate_hz;
        let limit = if rate > 0.0 { (2.0 / rate).max(0.1) } else { f64::INFINITY };
        for &stamp in stamps {
            if self.samples == 0 {
                self.first = stamp;
            } else {
                let step = stamp - self.last;
                if step > limit {
                    self.gaps += 1;
                    self.longest_gap = self.longest_gap.max(step);
                }
                self.seconds += step.max(0.0);
                self.backward += u64::from(step < 0.0);
            }
            self.last = stamp;
            self.samples += 1;
        }
    }

    /// Samples a second as the stamps say, where there are enough of them.
    #[must_use]
    pub fn measured_rate_hz(&self) -> Option<f64> {
        (self.samples > 1 && self.seconds > 0.0).then(|| (self.samples - 1) as f64 / self.seconds)
    }

    fn footer_fields(&self) -> FooterFields<'_> {
        FooterFields {
            first_timestamp: self.first,
            last_timestamp: self.last,
            sample_count: self.samples,
            clock_offsets: &self.clock_offsets,
        }
    }
}
