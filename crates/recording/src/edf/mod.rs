//! EDF and EDF+ files: signals of clinical devices, with annotations.
//!
//! Sources: Kemp, Värri, Rosa, Nielsen and Gade (1992), A simple format for exchange of digitized polygraphic recordings;
//! Kemp and Olivan (2003), European data format 'plus' (EDF+). Both kinds of EDF+ are read: continuous (EDF+C) and with
//! gaps between records (EDF+D). BDF, its sibling of 24 bits, as well.
//!
//! Devices and converters write files that the standard does not allow. Whatever can be read of such a file is read, signal
//! by signal and annotation by annotation, and [`EdfRecording::remarks`] says in sentences what was assumed or left out.

mod annotations;
mod error;
mod header;

use std::{fs::File, io::Read, path::Path};

use encoding_rs::Encoding;

use header::{Header, SignalHeader};

pub use annotations::EdfAnnotation;
pub use error::{EdfError, MAX_EDF_BYTES};
pub use header::EdfSignal;

use crate::xdf::Source;

/// Where one record does not begin when the one before it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaks {
    /// Records that begin later.
    pub gaps: usize,
    /// Records that begin before the one before them has ended.
    pub overlaps: usize,
    /// Records that begin before the one before them began.
    pub backward: usize,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EdfRecording {
    /// Who, as the file says; in EDF+ code, sex, birthdate and name.
    pub patient: String,
    /// What, where and with what, as the file says.
    pub recording: String,
    /// Date of the start, `dd.mm.yy`.
    pub start_date: String,
    /// Time of the start, `hh.mm.ss`.
    pub start_time: String,
    /// Seconds that a record lasts; zero where the file does not say.
    pub record_seconds: f64,
    /// Seconds from the start of the file to each record's first samples. Evenly spaced but in EDF+D.
    pub record_onsets: Vec<f64>,
    /// Signals, annotations left out.
    pub signals: Vec<EdfSignal>,
    /// Annotations, in the order of the file.
    pub annotations: Vec<EdfAnnotation>,
    /// Records that the header promises and the file does not have whole.
    pub missing_records: usize,
    /// What was assumed, and what could not be read: a sentence each.
    pub remarks: Vec<String>,
}

impl EdfRecording {
    /// Seconds from the start of the file to sample `index` of a signal; none where the file has no such sample, or does not
    /// say how long its records last.
    #[must_use]
    pub fn time(&self, signal: &EdfSignal, index: usize) -> Option<f64> {
        if signal.samples_per_record == 0 || signal.rate_hz <= 0.0 {
            return None;
        }
        let (record, within) = (index / signal.samples_per_record, index % signal.samples_per_record);
        self.record_onsets.get(record).map(|onset| onset + within as f64 / signal.rate_hz)
    }

    /// Seconds from the first record's beginning to the last one's end.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let first = self.record_onsets.iter().copied().fold(f64::INFINITY, f64::min);
        let last = self.record_onsets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if first.is_finite() { last + self.record_seconds - first } else { 0.0 }
    }

    /// Where records do not follow each other. A difference below half a sample of the fastest signal is none; where the file
    /// does not say how long its records last, steps back in time alone can be told.
    #[must_use]
    pub fn breaks(&self) -> Breaks {
        let rate = self.signals.iter().map(|signal| signal.rate_hz).fold(0.0, f64::max);
        let tolerance = if rate > 0.0 { 0.5 / rate } else { 0.0 };
        let mut breaks = Breaks::default();
        for pair in self.record_onsets.windows(2) {
            let late = pair[1] - (pair[0] + self.record_seconds);
            if self.record_seconds > 0.0 && late > tolerance {
                breaks.gaps += 1;
            } else if pair[1] < pair[0] - tolerance {
                breaks.backward += 1;
            } else if self.record_seconds > 0.0 && late < -tolerance {
                breaks.overlaps += 1;
            }
        }
        breaks
    }
}

/// Reads a file. `encoding` is that of its annotations; where none is given they are UTF-8, as the standard has it, and
/// those that are not are read as Windows-1252 (Latin-1), with a remark.
///
/// # Errors
/// [`EdfError`].
pub fn read_edf(path: &Path, encoding: Option<&'static Encoding>) -> Result<EdfRecording, EdfError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_EDF_BYTES {
        return Err(EdfError::TooLarge(length));
    }
    drop(file);
    let (source, _) = Source::open(path).map_err(std::io::Error::other)?;
    let packed = source.problem().map(str::to_owned);
    let mut bytes = Vec::new();
    source.take(MAX_EDF_BYTES).read_to_end(&mut bytes)?;
    let mut recording = edf_from_bytes(&bytes, encoding)?;
    recording.remarks.extend(packed);
    Ok(recording)
}

/// Whether a file begins as EDF or BDF files do.
#[must_use]
pub fn is_edf(first: &[u8]) -> bool {
    header::sample_bytes(first).is_some()
}

/// Reads a file from its bytes. Memory: four times the samples, and a text with 48 bytes around it for each annotation.
///
/// # Errors
/// [`EdfError`].
pub fn edf_from_bytes(bytes: &[u8], encoding: Option<&'static Encoding>) -> Result<EdfRecording, EdfError> {
    let mut header = Header::read(bytes, encoding)?;
    let width = header.sample_bytes;
    let record_bytes: usize = header.signals.iter().map(|signal| signal.samples * width).sum();
    let data = &bytes[header.length..];
    let whole = data.len() / record_bytes;
    header.remark_on_length(whole, data.len() % record_bytes);
    let mut annotations = annotations::Reader::new(encoding);
    let mut onsets: Vec<f64> = Vec::with_capacity(whole);
    let mut guessed = 0_usize;
    for (record, data) in data.chunks_exact(record_bytes).enumerate() {
        let mut at = 0;
        let mut onset = None;
        for signal in &mut header.signals {
            let size = signal.samples * width;
            let cells = &data[at..at + size];
            if signal.is_annotations {
                let offset = header.length + record * record_bytes + at;
                onset = onset.or(annotations.read(cells, record, offset));
            } else {
                signal.read(cells.chunks_exact(width).map(digital));
            }
            at += size;
        }
        // where there are gaps, nothing but the record itself says when it was
        guessed += usize::from(onset.is_none() && header.has_gaps);
        let follows = onsets.last().map_or(0.0, |last| last + header.record_seconds);
        onsets.push(onset.unwrap_or(if header.has_gaps {
            follows
        } else {
            record as f64 * header.record_seconds
        }));
    }
    if guessed > 0 {
        header.remarks.push(format!(
            "{guessed} of {} records do not say when they began, though the file says that it has gaps (EDF+D): each was \
             put right after the record before it",
            onsets.len()
        ));
    }
    if let Some(first) = onsets.first().filter(|first| first.abs() >= 1.0) {
        header
            .remarks
            .push(format!("the first record begins {first} s after the start that the header states"));
    }
    let continuous = header.is_continuous;
    let missing_records = header.promised.map_or(0, |promised| promised.saturating_sub(whole));
    let mut recording = finish(header, annotations, onsets, missing_records);
    if continuous && recording.breaks() != Breaks::default() {
        recording
            .remarks
            .push("the file says that its records follow each other (EDF+C), and they do not".to_owned());
    }
    Ok(recording)
}

fn finish(
    mut header: Header,
    annotations: annotations::Reader,
    record_onsets: Vec<f64>,
    missing_records: usize,
) -> EdfRecording {
    let mut remarks = header.remarks;
    for (place, signal) in header.signals.iter_mut().enumerate() {
        signal.settle(place, &mut remarks);
    }
    remarks.extend(annotations.remarks());
    let signals = header.signals.into_iter().filter(|signal| !signal.is_annotations);
    let (left_out, kept): (Vec<SignalHeader>, Vec<SignalHeader>) =
        signals.partition(|signal| signal.left_out.is_some());
    remarks.extend(left_out.into_iter().filter_map(|signal| signal.left_out));
    let mut recording = EdfRecording {
        patient: header.patient,
        recording: header.recording,
        start_date: header.start_date,
        start_time: header.start_time,
        record_seconds: header.record_seconds,
        record_onsets,
        signals: kept.into_iter().map(SignalHeader::into_signal).collect(),
        annotations: annotations.found,
        missing_records,
        remarks,
    };
    let breaks = recording.breaks();
    if breaks != Breaks::default() {
        recording.remarks.push(format!(
            "the {} records do not all follow each other: {} after a gap, {} that overlap the one before, {} that step \
             back in time",
            recording.record_onsets.len(),
            breaks.gaps,
            breaks.overlaps,
            breaks.backward
        ));
    }
    recording
}

/// A number as it was digitised: little-endian, two's complement, of two or three bytes.
fn digital(cell: &[u8]) -> f64 {
    match *cell {
        [low, high] => f64::from(i16::from_le_bytes([low, high])),
        [low, middle, high] => f64::from(i32::from_le_bytes([0, low, middle, high]) >> 8),
        _ => f64::NAN,
    }
}
