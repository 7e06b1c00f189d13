//! The header of an EDF file: 256 bytes for the file, then 256 for each signal, field by field for all signals.

use encoding_rs::Encoding;

use super::error::EdfError;
use crate::encoding::{self, Reading};

/// The most signals a file may have.
const MAX_SIGNALS: usize = 4096;
/// Bytes of the header's fixed part, and of its part a signal.
const PART: usize = 256;

/// One signal of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct EdfSignal {
    /// Its label (`EEG Fpz-Cz`).
    pub label: String,
    /// Its physical dimension (`uV`); `digital` where the file does not say how numbers become values.
    pub unit: String,
    /// What measured it.
    pub transducer: String,
    /// How it was filtered.
    pub prefiltering: String,
    /// Samples a second; zero where the file states no duration of a record.
    pub rate_hz: f64,
    /// Samples in a record.
    pub samples_per_record: usize,
    /// Values in its unit, record after record.
    pub values: Vec<f64>,
}

/// Bytes of a sample, by the version that a file begins with; none where it is no EDF or BDF file. Some programs pad the
/// version with NUL instead of blanks.
pub(super) fn sample_bytes(first: &[u8]) -> Option<usize> {
    let version = first.first_chunk::<8>()?;
    match version {
        b"\xffBIOSEMI" => Some(3),
        [b'0', padding @ ..] if padding.iter().all(|byte| matches!(byte, b' ' | 0)) => Some(2),
        _ => None,
    }
}

/// What the header says, and what was assumed where it says something else than it should.
pub(super) struct Header {
    pub(super) sample_bytes: usize,
    /// Bytes before the first record.
    pub(super) length: usize,
    pub(super) patient: String,
    pub(super) recording: String,
    pub(super) start_date: String,
    pub(super) start_time: String,
    /// EDF+D: records may be apart.
    pub(super) has_gaps: bool,
    /// EDF+C: they may not.
    pub(super) is_continuous: bool,
    /// Records that the header promises; none where it does not know.
    pub(super) promised: Option<usize>,
    pub(super) record_seconds: f64,
    /// At least one; together they have samples.
    pub(super) signals: Vec<SignalHeader>,
    pub(super) remarks: Vec<String>,
}

/// One signal's part of the header, and the values read so far.
pub(super) struct SignalHeader {
    pub(super) is_annotations: bool,
    /// Samples in a record.
    pub(super) samples: usize,
    /// Why its values are not read, in a sentence.
    pub(super) left_out: Option<String>,
    /// Its digital minimum, where the maximum is the same.
    one_limit: Option<f64>,
    values: Vec<f64>,
    signal: EdfSignal,
    gain: f64,
    offset: f64,
}

impl SignalHeader {
    /// Adds digital numbers to the values, in the signal's unit.
    pub(super) fn read(&mut self, digital: impl Iterator<Item = f64>) {
        let (offset, gain) = (self.offset, self.gain);
        self.values.extend(digital.map(|digital| offset + gain * digital));
    }

    /// Decides what a signal is whose digital minimum and maximum are the same, now that its values are read.
    pub(super) fn settle(&mut self, place: usize, remarks: &mut Vec<String>) {
        let Some(limit) = self.one_limit else { return };
        let limits = format!("its digital minimum and maximum are both {limit}");
        let name = format!("signal {} ({:?})", place + 1, self.signal.label);
        if self.values.windows(2).all(|pair| pair[0].total_cmp(&pair[1]).is_eq()) {
            self.left_out = Some(format!("{name} was left out: {limits}, so nothing was measured by it"));
            return;
        }
        remarks.push(format!(
            "{name}: {limits}, so its values are the digital numbers, not {}",
            unit_or_none(&self.signal.unit)
        ));
        "digital".clone_into(&mut self.signal.unit);
    }

    pub(super) fn into_signal(self) -> EdfSignal {
        EdfSignal { values: self.values, ..self.signal }
    }
}

impl Header {
    /// Reads a header. Where its number of signals cannot be, the one that its length means is taken.
    pub(super) fn read(bytes: &[u8], named: Option<&'static Encoding>) -> Result<Self, EdfError> {
        let sample_bytes = sample_bytes(bytes).ok_or(EdfError::NotEdf)?;
        let short = |expected| EdfError::ShortHeader { expected, found: bytes.len() };
        let fixed = bytes.get(..PART).ok_or_else(|| short(PART))?;
        let found = ascii(&fixed[252..256]);
        let allowed = 1..=MAX_SIGNALS;
        let stated = whole_number(&found)
            .filter(|count| allowed.contains(count))
            .ok_or_else(|| wrong("number of signals", 252, &found, "a number from 1 to 4096"));
        let read = stated.and_then(|count| Self::with_signals(bytes, sample_bytes, count, named));
        let Err(error) = read else { return read };
        let length = whole_number(&ascii(&fixed[184..192])).filter(|length| length % PART == 0);
        let meant = length.and_then(|length| (length / PART).checked_sub(1));
        let meant = meant.filter(|count| allowed.contains(count) && whole_number(&found) != Some(*count));
        let Some(count) = meant else { return Err(error) };
        let mut header =
            Self::with_signals(bytes, sample_bytes, count, named).map_err(|_of_the_other_count| error)?;
        header.remarks.insert(
            0,
            format!(
                "the header's number of signals is {found:?}; its length is that of {count}, which were read"
            ),
        );
        Ok(header)
    }

    fn with_signals(
        bytes: &[u8],
        sample_bytes: usize,
        count: usize,
        named: Option<&'static Encoding>,
    ) -> Result<Self, EdfError> {
        let length = PART * (count + 1);
        let short = || EdfError::ShortHeader { expected: length, found: bytes.len() };
        let header = bytes.get(..length).ok_or_else(short)?;
        let mut remarks = Vec::new();
        let mut texts = Texts::new(named);
        let mut field = |from: usize, length: usize| texts.read(&header[from..from + length]);
        let found = field(244, 8);
        let record_seconds = decimal(&found).filter(|seconds| *seconds >= 0.0).unwrap_or_else(|| {
            remarks.push(format!(
                "the header's duration of a record is {found:?}, which is no number of seconds"
            ));
            0.0
        });
        let stated = field(184, 8);
        if whole_number(&stated) != Some(length) {
            remarks.push(format!(
                "the header says that it has {stated:?} bytes; with {count} signals it has {length}, and was read so"
            ));
        }
        let stated = field(236, 8);
        let promised = whole_number(&stated);
        if promised.is_none() && stated != "-1" {
            remarks
                .push(format!("the header's number of records is {stated:?}: all that are there were read"));
        }
        let (patient, recording) = (field(8, 80), field(88, 80));
        let (start_date, start_time) = (field(168, 8), field(176, 8));
        let kind = field(192, 5).to_uppercase();
        let signals = (0..count)
            .map(|signal| signal_header(header, signal, count, record_seconds, &mut texts, &mut remarks))
            .collect::<Result<Vec<_>, _>>()?;
        if signals.iter().all(|signal| signal.samples == 0) {
            return Err(wrong("number of samples", PART + 216 * count, "0", "a signal with samples"));
        }
        let has_signals = signals.iter().any(|signal| !signal.is_annotations && signal.samples > 0);
        if record_seconds == 0.0 && has_signals {
            remarks.push(
                "nothing says at what rate the signals were sampled, since the duration of a record is 0 or unknown: they \
                 have no times"
                    .to_owned(),
            );
        }
        remarks.extend(texts.remark());
        Ok(Self {
            sample_bytes,
            length,
            patient,
            recording,
            start_date,
            start_time,
            has_gaps: matches!(kind.as_str(), "EDF+D" | "BDF+D"),
            is_continuous: matches!(kind.as_str(), "EDF+C" | "BDF+C"),
            promised,
            record_seconds,
            signals,
            remarks,
        })
    }

    /// Says where the file holds another number of records than the header does.
    pub(super) fn remark_on_length(&mut self, whole: usize, rest: usize) {
        match self.promised {
            Some(promised) if promised > whole => self.remarks.push(format!(
                "the header counts {promised} records and the file holds {whole} whole ones: it was cut off"
            )),
            Some(promised) if promised < whole => self.remarks.push(format!(
                "the header counts {promised} records and the file holds {whole}: all {whole} were read"
            )),
            Some(_) => {}
            None => self
                .remarks
                .push(format!("the header does not say how many records there are: the file holds {whole}")),
        }
        if rest > 0 {
            self.remarks.push(format!("the last {rest} bytes are not a whole record and were left out"));
        }
    }
}

fn signal_header(
    header: &[u8],
    signal: usize,
    count: usize,
    record_seconds: f64,
    texts: &mut Texts,
    remarks: &mut Vec<String>,
) -> Result<SignalHeader, EdfError> {
    let place = |before: usize, length: usize| PART + before * count + signal * length;
    let mut field = |before: usize, length: usize| {
        let from = place(before, length);
        texts.read(&header[from..from + length])
    };
    let label = field(0, 16);
    let is_annotations =
        label.eq_ignore_ascii_case("EDF Annotations") || label.eq_ignore_ascii_case("BDF Annotations");
    let found = field(216, 8);
    let samples = whole_number(&found)
        .ok_or_else(|| wrong("number of samples", place(216, 8), &found, "a whole number"))?;
    let name = || format!("signal {} ({label:?})", signal + 1);
    if samples == 0 && !is_annotations {
        remarks.push(format!("{} has no samples", name()));
    }
    let limits = [104, 112, 120, 128].map(|before| field(before, 8));
    let [physical_low, physical_high, digital_low, digital_high] =
        limits.each_ref().map(|text| decimal(text));
    let mut unit = kalmind_types::stated_unit(&field(96, 8)).to_owned();
    let (mut gain, mut offset, mut one_limit) = (1.0, 0.0, None);
    match (physical_low, physical_high, digital_low, digital_high) {
        _ if is_annotations => {}
        (_, _, Some(low), Some(high)) if low.total_cmp(&high).is_eq() => {
            one_limit = Some(low);
        }
        (Some(from), Some(to), Some(low), Some(high)) if from.total_cmp(&to).is_ne() => {
            gain = (to - from) / (high - low);
            offset = from - gain * low;
        }
        (Some(from), Some(_), Some(_), Some(_)) => {
            remarks.push(format!(
                "{}: its physical minimum and maximum are both {from}, so its values are the digital numbers, not {}",
                name(),
                unit_or_none(&unit)
            ));
            "digital".clone_into(&mut unit);
        }
        _ => {
            remarks.push(format!(
                "{}: its limits {limits:?} are not all numbers, so its values are the digital numbers, not {}",
                name(),
                unit_or_none(&unit)
            ));
            "digital".clone_into(&mut unit);
        }
    }
    Ok(SignalHeader {
        is_annotations,
        samples,
        left_out: None,
        one_limit,
        values: Vec::new(),
        gain,
        offset,
        signal: EdfSignal {
            label,
            unit,
            transducer: field(16, 80),
            prefiltering: field(136, 80),
            rate_hz: if record_seconds > 0.0 { samples as f64 / record_seconds } else { 0.0 },
            samples_per_record: samples,
            values: Vec::new(),
        },
    })
}

/// A unit, for a sentence that says values are not in it.
fn unit_or_none(unit: &str) -> &str {
    if unit.is_empty() { "in a unit" } else { unit }
}

/// A whole number, also as some programs write it: `256.0`.
fn whole_number(text: &str) -> Option<usize> {
    text.parse().ok().or_else(|| {
        decimal(text)
            .filter(|value| (0.0..1e9).contains(value) && value.fract() == 0.0)
            .map(|value| value as usize)
    })
}

/// A finite number, also with a decimal comma.
fn decimal(text: &str) -> Option<f64> {
    text.replacen(',', ".", 1).parse::<f64>().ok().filter(|value| value.is_finite())
}

fn wrong(field: &'static str, offset: usize, found: &str, expected: &'static str) -> EdfError {
    EdfError::Field { field, offset, found: found.to_owned(), expected }
}

/// A field that has to be ASCII.
fn ascii(bytes: &[u8]) -> String {
    trimmed(&String::from_utf8_lossy(bytes))
}

/// Fields are padded with blanks, or with zeros by some.
fn trimmed(text: &str) -> String {
    text.trim_matches(|character: char| character == '\0' || character.is_whitespace()).to_owned()
}

/// Texts of a header: ASCII, as the standard has it; devices write letters in other encodings.
struct Texts {
    named: Option<&'static Encoding>,
    foreign: Vec<String>,
    assumed: Option<&'static Encoding>,
    misfits: bool,
}

impl Texts {
    fn new(named: Option<&'static Encoding>) -> Self {
        Self { named, foreign: Vec::new(), assumed: None, misfits: false }
    }

    fn read(&mut self, bytes: &[u8]) -> String {
        let (text, reading) = encoding::decoded(bytes, self.named.filter(|_| !bytes.is_ascii()));
        let text = trimmed(&text);
        match reading {
            Reading::Plain => {}
            Reading::Assumed(encoding) => {
                self.assumed = Some(encoding);
                self.foreign.push(text.clone());
            }
            Reading::Misfits(encoding) => {
                (self.assumed, self.misfits) = (Some(encoding), true);
                self.foreign.push(text.clone());
            }
        }
        text
    }

    /// What was assumed.
    fn remark(&self) -> Option<String> {
        let (first, encoding) = (self.foreign.first()?, self.assumed?);
        let name = encoding::name(encoding);
        Some(if self.misfits {
            format!(
                "texts of the header hold bytes that are nothing in {name} ({first:?}): is the encoding another one?"
            )
        } else {
            format!(
                "texts of the header are not ASCII and were read as {name} ({first:?}); --encoding names another one"
            )
        })
    }
}
