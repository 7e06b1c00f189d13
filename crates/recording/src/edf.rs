//! EDF and EDF+ files: signals of clinical devices, with annotations.
//!
//! Sources: Kemp, Värri, Rosa, Nielsen and Gade (1992), A simple format for exchange of digitized polygraphic recordings;
//! Kemp and Olivan (2003), European data format 'plus' (EDF+). Both kinds of EDF+ are read: continuous (EDF+C) and with
//! gaps between records (EDF+D). BDF, its sibling of 24 bits, as well.

use std::{fs::File, io::Read, path::Path};

/// The largest file that is read.
pub const MAX_EDF_BYTES: u64 = 8 << 30;
/// The most signals a file may have.
const MAX_SIGNALS: usize = 4096;
/// Bytes of the header's fixed part, and of its part a signal.
const HEADER: usize = 256;

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
pub enum EdfError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is larger than is read.
    #[error("the file has {0} bytes, more than the {MAX_EDF_BYTES} that are read: cut it into shorter ones")]
    TooLarge(u64),
    /// It is no EDF or BDF file.
    #[error("this is no EDF or BDF file: it does not begin with the version of one")]
    NotEdf,
    /// A field of the header that cannot be.
    #[error("the header's {field} at byte {offset} is {found:?}, where {expected} is expected")]
    Field {
        /// The field.
        field: &'static str,
        /// Where it stands.
        offset: usize,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The file ends before its header does.
    #[error("the header says it has {expected} bytes, and the file has {found}: it was cut off")]
    ShortHeader {
        /// Bytes of the header.
        expected: usize,
        /// Bytes of the file.
        found: usize,
    },
    /// An annotation that cannot be understood.
    #[error("the annotations of record {record} (byte {offset}) cannot be understood: {problem}")]
    Annotation {
        /// The record, from 0.
        record: usize,
        /// Where its annotations begin.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// One signal of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct EdfSignal {
    /// Its label (`EEG Fpz-Cz`).
    pub label: String,
    /// Its physical dimension (`uV`).
    pub unit: String,
    /// What measured it.
    pub transducer: String,
    /// How it was filtered.
    pub prefiltering: String,
    /// Samples a second.
    pub rate_hz: f64,
    /// Samples in a record.
    pub samples_per_record: usize,
    /// Values in its unit, record after record.
    pub values: Vec<f64>,
}

/// Something that was written down while the file was made.
#[derive(Clone, Debug, PartialEq)]
pub struct EdfAnnotation {
    /// Seconds from the start of the file.
    pub onset: f64,
    /// Seconds, where stated.
    pub duration: Option<f64>,
    /// The text.
    pub text: String,
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
    /// Seconds that a record lasts.
    pub record_seconds: f64,
    /// Seconds from the start of the file to each record's first samples. Evenly spaced but in EDF+D.
    pub record_onsets: Vec<f64>,
    /// Signals, annotations left out.
    pub signals: Vec<EdfSignal>,
    /// Annotations, in the order of the file.
    pub annotations: Vec<EdfAnnotation>,
    /// Records that the header promises and the file does not have whole.
    pub missing_records: usize,
}

impl EdfRecording {
    /// Seconds from the start of the file to sample `index` of a signal.
    ///
    /// NaN where the file has no such sample.
    #[must_use]
    pub fn time(&self, signal: &EdfSignal, index: usize) -> f64 {
        if signal.samples_per_record == 0 {
            return f64::NAN;
        }
        let (record, within) = (index / signal.samples_per_record, index % signal.samples_per_record);
        self.record_onsets.get(record).copied().unwrap_or(f64::NAN) + within as f64 / signal.rate_hz
    }
}

/// Reads a file.
///
/// # Errors
/// [`EdfError`].
pub fn read_edf(path: &Path) -> Result<EdfRecording, EdfError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_EDF_BYTES {
        return Err(EdfError::TooLarge(length));
    }
    let mut bytes = Vec::new();
    file.take(MAX_EDF_BYTES).read_to_end(&mut bytes)?;
    edf_from_bytes(&bytes)
}

/// How a signal's numbers become values, and where they stand.
struct Layout {
    signal: EdfSignal,
    gain: f64,
    offset: f64,
    is_annotations: bool,
}

/// Reads a file from its bytes. Memory: four times the samples, and a text with 48 bytes around it for each annotation.
///
/// # Errors
/// [`EdfError`].
pub fn edf_from_bytes(bytes: &[u8]) -> Result<EdfRecording, EdfError> {
    let width = match bytes.first_chunk::<8>() {
        Some(b"0       ") => 2,
        Some(b"\xffBIOSEMI") => 3,
        _ => return Err(EdfError::NotEdf),
    };
    let short = |expected| EdfError::ShortHeader { expected, found: bytes.len() };
    let header = bytes.get(..HEADER).ok_or_else(|| short(HEADER))?;
    let field = |from: usize, length: usize| text(&header[from..from + length]);
    let count = number::<usize>("number of signals", header, 252, 4)?;
    if count == 0 || count > MAX_SIGNALS {
        return Err(wrong("number of signals", 252, &field(252, 4), "a number from 1 to 4096"));
    }
    let has_gaps = matches!(field(192, 5).as_str(), "EDF+D" | "BDF+D");
    let promised = number::<i64>("number of records", header, 236, 8)?;
    let record_seconds = number::<f64>("duration of a record", header, 244, 8)?;
    if !(record_seconds.is_finite() && record_seconds >= 0.0) {
        return Err(wrong("duration of a record", 244, &field(244, 8), "seconds, zero or more"));
    }
    let length = HEADER * (count + 1);
    let header = bytes.get(..length).ok_or_else(|| short(length))?;
    let layouts: Vec<Layout> =
        (0..count).map(|signal| layout(header, signal, count, record_seconds)).collect::<Result<_, _>>()?;

    let record_bytes: usize = layouts.iter().map(|layout| layout.signal.samples_per_record * width).sum();
    if record_bytes == 0 {
        return Err(wrong("number of samples", HEADER + 216 * count, "0", "a signal with samples"));
    }
    let data = &bytes[length..];
    let whole = data.len() / record_bytes;
    // -1: the device did not come to write it
    let records = usize::try_from(promised).map_or(whole, |promised| promised.min(whole));
    let mut file = EdfRecording {
        patient: field(8, 80),
        recording: field(88, 80),
        start_date: field(168, 8),
        start_time: field(176, 8),
        record_seconds,
        missing_records: usize::try_from(promised).map_or(0, |promised| promised - records),
        ..EdfRecording::default()
    };
    let mut layouts = layouts;
    for (record, data) in data.chunks_exact(record_bytes).take(records).enumerate() {
        let mut at = 0;
        let mut onset = None;
        for layout in &mut layouts {
            let size = layout.signal.samples_per_record * width;
            let cells = &data[at..at + size];
            if layout.is_annotations {
                let offset = length + record * record_bytes + at;
                let wrong = |problem| EdfError::Annotation { record, offset, problem };
                let first = annotations(cells, &mut file.annotations).map_err(wrong)?;
                onset = onset.or(first);
            } else {
                let values =
                    cells.chunks_exact(width).map(|cell| layout.offset + layout.gain * digital(cell));
                layout.signal.values.extend(values);
            }
            at += size;
        }
        // where there are gaps, nothing but the record itself says when it was
        let onset = match onset {
            None if has_gaps => {
                let offset = length + record * record_bytes;
                let problem = "there is no onset of the record, which EDF+D needs; of a file without gaps, make \
                               byte 196 a C";
                return Err(EdfError::Annotation { record, offset, problem });
            }
            onset => onset.unwrap_or(record as f64 * record_seconds),
        };
        file.record_onsets.push(onset);
    }
    file.signals =
        layouts.into_iter().filter(|layout| !layout.is_annotations).map(|layout| layout.signal).collect();
    Ok(file)
}

/// One signal's part of the header, which stands field by field for all signals.
fn layout(header: &[u8], signal: usize, count: usize, record_seconds: f64) -> Result<Layout, EdfError> {
    let place = |before: usize, length: usize| HEADER + before * count + signal * length;
    let field = |before: usize, length: usize| {
        let from = place(before, length);
        text(&header[from..from + length])
    };
    let value = |name, before| number::<f64>(name, header, place(before, 8), 8);
    let label = field(0, 16);
    let is_annotations = matches!(label.as_str(), "EDF Annotations" | "BDF Annotations");
    let samples = number::<usize>("number of samples", header, place(216, 8), 8)?;
    let physical = [value("physical minimum", 104)?, value("physical maximum", 112)?];
    let digital = [value("digital minimum", 120)?, value("digital maximum", 128)?];
    if !is_annotations {
        let limits = [(physical[0], 104), (physical[1], 112), (digital[0], 120), (digital[1], 128)];
        if let Some((_, before)) = limits.iter().find(|(value, _)| !value.is_finite()) {
            return Err(wrong("limit of a signal", place(*before, 8), &field(*before, 8), "a finite number"));
        }
        if digital[1] - digital[0] == 0.0 {
            return Err(wrong(
                "digital maximum",
                place(128, 8),
                &field(128, 8),
                "a number other than the digital minimum",
            ));
        }
    }
    let gain = (physical[1] - physical[0]) / (digital[1] - digital[0]);
    Ok(Layout {
        gain,
        offset: physical[0] - gain * digital[0],
        is_annotations,
        signal: EdfSignal {
            label,
            unit: field(96, 8),
            transducer: field(16, 80),
            prefiltering: field(136, 80),
            rate_hz: if record_seconds > 0.0 { samples as f64 / record_seconds } else { 0.0 },
            samples_per_record: samples,
            values: Vec::new(),
        },
    })
}

/// A number as it was digitised: little-endian, two's complement, of two or three bytes.
fn digital(cell: &[u8]) -> f64 {
    match *cell {
        [low, high] => f64::from(i16::from_le_bytes([low, high])),
        [low, middle, high] => f64::from(i32::from_le_bytes([0, low, middle, high]) >> 8),
        _ => f64::NAN,
    }
}

/// Reads a record's annotations; gives the record's own onset, which the first one with an empty text states.
fn annotations(cells: &[u8], into: &mut Vec<EdfAnnotation>) -> Result<Option<f64>, &'static str> {
    const DURATION: u8 = 0x15;
    const SEPARATOR: u8 = 0x14;
    let mut record_onset = None;
    for list in cells.split(|byte| *byte == 0).filter(|list| !list.is_empty()) {
        let mut parts = list.split(|byte| *byte == SEPARATOR);
        let mut times = parts.next().unwrap_or_default().split(|byte| *byte == DURATION);
        let seconds = |bytes: &[u8]| {
            let text = str::from_utf8(bytes).ok()?.trim();
            text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())
        };
        let onset = times.next().and_then(seconds).ok_or("an onset that is no number of seconds")?;
        let duration = match times.next() {
            Some(bytes) => Some(seconds(bytes).ok_or("a duration that is no number of seconds")?),
            None => None,
        };
        for (index, text) in parts.enumerate() {
            if !text.is_empty() {
                let text = String::from_utf8_lossy(text).into_owned();
                into.push(EdfAnnotation { onset, duration, text });
            } else if index == 0 && record_onset.is_none() {
                record_onset = Some(onset);
            }
        }
    }
    Ok(record_onset)
}

fn number<T: core::str::FromStr>(
    field: &'static str,
    header: &[u8],
    offset: usize,
    length: usize,
) -> Result<T, EdfError> {
    let found = text(&header[offset..offset + length]);
    found.parse().map_err(|_not_a_number| wrong(field, offset, &found, "a number"))
}

fn wrong(field: &'static str, offset: usize, found: &str, expected: &'static str) -> EdfError {
    EdfError::Field { field, offset, found: found.to_owned(), expected }
}

/// A field's text: padded with blanks; anything beyond ASCII, which devices do write, byte by byte.
fn text(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    text.trim_matches(|character: char| character == '\0' || character.is_whitespace()).to_owned()
}
