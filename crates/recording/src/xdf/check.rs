//! Whether an XDF file is whole: what stands in it, and everything odd or wrong, with its place.
//!
//! One pass with flat memory. What is counted here is what [`recording`](super::recording) reads: both go over the file in
//! the same way.

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
    path::Path,
};

use encoding_rs::Encoding;

use super::{
    chunks::XdfError,
    clocks::{clock_groups, mixed_clocks},
    encode::FooterFields,
    header::{StreamFooter, StreamHeader},
    jumps::Jumps,
    problem::Problem,
    recording::{jumped, open, unstamped},
    walk::{Piece, Walk},
};

/// What is known of a stream after a pass over the file.
#[derive(Clone, Debug, Default)]
pub struct CheckedStream {
    /// What its header says.
    pub header: StreamHeader,
    /// Samples in the file.
    pub samples: u64,
    /// The first stamp that is a number.
    pub first: f64,
    /// The last one.
    pub last: f64,
    /// Gaps between stamps longer than two periods and 100 ms (regular streams).
    pub gaps: u64,
    /// The longest of them, in seconds.
    pub longest_gap: f64,
    /// Time that the stamps went forward by, in seconds: how long the stream is, whatever resets its clock had.
    pub seconds: f64,
    /// Times that a stamp was earlier than the one before it.
    pub backward: u64,
    /// Where the stamps jump.
    pub jumps: Jumps,
    /// Clock offsets.
    pub clock_offsets: Vec<(f64, f64)>,
    /// What its footer says, if there is one.
    pub footer: Option<StreamFooter>,
    /// Samples whose stamp is no number.
    pub unstamped: u64,
    /// Chunks of samples that could not be explained.
    pub unexplained_chunks: u64,
    /// Where the header stands.
    offset: u64,
}

/// What a part of a file that is not simply whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A stream's footer.
    Footer(u32),
    /// A chunk that cannot be explained.
    Kept,
    /// Bytes without chunks.
    Damage,
    /// A chunk that was being written when the file ended.
    Torn,
}

/// What a pass over a file found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// When it was begun, as the file says.
    pub datetime: Option<String>,
    /// Its streams, by the number by which the file knows them.
    pub streams: BTreeMap<u32, CheckedStream>,
    /// What is odd or wrong with it, in the order of the file.
    pub problems: Vec<Problem>,
    /// Length of the file in bytes, unpacked.
    pub length: u64,
    /// Parts of the file that repairing it is about: from, to.
    pub(super) marks: Vec<(u64, u64, Mark)>,
}

impl CheckReport {
    /// Whether everything in the file was read, and every stream has a footer that says what is there. Odd things do not
    /// count.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.problems.iter().any(Problem::is_damage)
    }

    /// Whether repairing it would change anything.
    #[must_use]
    pub fn can_be_mended(&self) -> bool {
        let left_out = |mark: &Mark| matches!(mark, Mark::Damage | Mark::Torn);
        self.marks.iter().any(|(_, _, mark)| left_out(mark)) || self.stale_footers().next().is_some()
    }

    /// Streams whose footer is missing, or says something else than what stands in the file.
    pub(super) fn stale_footers(&self) -> impl Iterator<Item = u32> {
        let stale = self.streams.iter().filter(|(_, stream)| match &stream.footer {
            None => true,
            // it may well be right about chunks that are left as they are
            Some(_) if stream.unexplained_chunks > 0 => false,
            Some(footer) => footer.sample_count.is_some_and(|count| count != stream.samples),
        });
        stale.map(|(id, _)| *id)
    }

    fn check_footers(&mut self) {
        for (id, stream) in &self.streams {
            let name = &stream.header.name;
            let text = match &stream.footer {
                None => format!("stream {id} (\"{name}\") has no footer"),
                Some(StreamFooter { sample_count: Some(count), .. }) if *count != stream.samples => format!(
                    "stream {id} (\"{name}\"): the footer says {count} samples, and {} can be read",
                    stream.samples
                ),
                Some(_) => continue,
            };
            self.problems.push(Problem::damage(self.length, text));
        }
    }
}

/// Passes over a file, whose texts are in `encoding` or UTF-8; `progress` is told the bytes read and the bytes in all.
///
/// # Errors
/// [`XdfError::Io`], [`XdfError::Empty`] and [`XdfError::Magic`]; everything else is among the problems.
pub fn check(
    path: &Path,
    encoding: Option<&'static Encoding>,
    progress: impl FnMut(u64, u64),
) -> Result<CheckReport, XdfError> {
    let (source, length) = open(path)?;
    let packed = source.problem().map(|problem| Problem::damage(length, problem));
    let mut report = check_source(source, length, encoding, progress)?;
    report.problems.extend(packed);
    Ok(report)
}

/// As [`check`], for any source of `length` bytes.
///
/// # Errors
/// As [`check`].
#[expect(clippy::single_match_else, reason = "two cases of equal weight read best side by side")]
pub fn check_source<R: Read + Seek>(
    source: R,
    length: u64,
    encoding: Option<&'static Encoding>,
    mut progress: impl FnMut(u64, u64),
) -> Result<CheckReport, XdfError> {
    let mut report = CheckReport { length, ..CheckReport::default() };
    let mut walk = Walk::new(source, length, encoding, &|_| false)?;
    let (mut offsets, mut footers) = (Vec::new(), Vec::new());
    while let Some(part) = walk.next_part()? {
        let (offset, end) = (part.offset, part.end);
        let mut mark = None;
        let mut begun = None;
        match part.piece {
            Piece::FileHeader(header) => report.datetime = report.datetime.or(header.datetime),
            Piece::StreamHeader(id) => begun = Some(id),
            Piece::Samples(id, stamps, _) => match report.streams.get_mut(&id) {
                Some(stream) => stream.saw(stamps),
                None => {
                    let stamps = stamps.to_vec();
                    report.streams.extend(walk.stream(id).map(|known| {
                        let mut stream = CheckedStream::new(known.header.clone(), known.offset);
                        stream.saw(&stamps);
                        (id, stream)
                    }));
                }
            },
            Piece::ClockOffset { stream, time, offset } => offsets.push((stream, (time, offset))),
            Piece::Footer(id, footer) => {
                footers.push((id, footer));
                mark = Some(Mark::Footer(id));
            }
            Piece::Other => {}
            Piece::Kept => mark = Some(Mark::Kept),
            Piece::Damage => mark = Some(Mark::Damage),
            Piece::Torn => mark = Some(Mark::Torn),
        }
        report.marks.extend(mark.map(|mark| (offset, end, mark)));
        if let Some((id, known)) = begun.and_then(|id| Some((id, walk.stream(id)?))) {
            let new = || CheckedStream::new(known.header.clone(), known.offset);
            report.streams.entry(id).or_insert_with(new);
        }
        progress(end, length);
    }
    // their header may have come behind them
    for (id, offset) in offsets {
        report.streams.entry(id).and_modify(|stream| stream.clock_offsets.push(offset));
    }
    for (id, footer) in footers {
        report.streams.entry(id).and_modify(|stream| stream.footer = Some(footer));
    }
    for (id, stream) in &mut report.streams {
        stream.unexplained_chunks = walk.stream(*id).map_or(0, |known| known.unexplained);
    }
    report.problems = walk.into_problems();
    report.check_footers();
    for (id, stream) in &report.streams {
        report.problems.extend(unstamped(*id, &stream.header, stream.unstamped, stream.offset));
        report.problems.extend(jumped(*id, &stream.header, &stream.jumps, stream.offset));
    }
    let spans: Vec<_> = report.streams.values().map(CheckedStream::span).collect();
    let names: Vec<String> = report.streams.values().map(|stream| stream.header.name.clone()).collect();
    report.problems.extend(mixed_clocks(&clock_groups(&spans), &names).map(|text| Problem::odd(0, text)));
    report.problems.sort_by_key(|problem| problem.offset);
    Ok(report)
}

impl CheckedStream {
    fn new(header: StreamHeader, offset: u64) -> Self {
        Self { jumps: Jumps::of(&header), header, offset, ..Self::default() }
    }

    fn saw(&mut self, stamps: &[f64]) {
        let rate = self.header.nominal_rate_hz;
        let limit = if rate > 0.0 { (2.0 / rate).max(0.1) } else { f64::INFINITY };
        for &stamp in stamps {
            let before = self.samples - self.unstamped;
            self.samples += 1;
            self.jumps.saw(stamp);
            if !stamp.is_finite() {
                self.unstamped += 1;
                continue;
            }
            if before == 0 {
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
        }
    }

    /// Samples a second as the stamps say, where there are enough of them.
    #[must_use]
    pub fn measured_rate_hz(&self) -> Option<f64> {
        let stamped = self.jumps.stamped();
        (stamped > 1 && self.seconds > 0.0).then(|| (stamped - 1) as f64 / self.seconds)
    }

    /// The earliest and the latest stamp, roughly on the recorder's clock.
    fn span(&self) -> Option<(f64, f64)> {
        let offset = self.clock_offsets.first().map_or(0.0, |(_, value)| *value);
        self.jumps.span().map(|(first, last)| (first + offset, last + offset))
    }

    pub(super) fn footer_fields(&self) -> FooterFields<'_> {
        FooterFields {
            first_timestamp: self.first,
            last_timestamp: self.last,
            sample_count: self.samples,
            clock_offsets: &self.clock_offsets,
        }
    }
}
