//! The samples of one stream, decoded chunk by chunk.

use encoding_rs::Encoding;
use kalmind_types::{NumberFormat, Samples};

use crate::encoding::{self, Reading};

use super::chunks::{XdfError, variable_length};

/// What a stream's values are.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers, `channels` a sample.
    Numbers(Samples),
    /// Texts, `channels` a sample.
    Texts(Vec<String>),
}

impl Values {
    /// No values yet.
    #[must_use]
    pub fn empty(format: Option<NumberFormat>) -> Self {
        match format {
            Some(format) => Self::Numbers(Samples::with_capacity(format, 0)),
            None => Self::Texts(Vec::new()),
        }
    }

    /// Forgets the values, for others of a format; keeps the memory where it can.
    pub(super) fn clear_for(&mut self, format: Option<NumberFormat>) {
        let same = match self {
            Self::Numbers(samples) => format.is_some_and(|format| {
                let other = Samples::with_capacity(format, 0);
                core::mem::discriminant(samples) == core::mem::discriminant(&other)
            }),
            Self::Texts(_) => format.is_none(),
        };
        if same { self.clear() } else { *self = Self::empty(format) }
    }

    /// Appends values of the same format.
    pub(super) fn append(&mut self, others: &Self) {
        match (self, others) {
            (Self::Texts(texts), Self::Texts(others)) => texts.extend_from_slice(others),
            (Self::Numbers(samples), Self::Numbers(others)) => match (samples, others) {
                (Samples::Float32(all), Samples::Float32(more)) => all.extend_from_slice(more),
                (Samples::Double64(all), Samples::Double64(more)) => all.extend_from_slice(more),
                (Samples::Int8(all), Samples::Int8(more)) => all.extend_from_slice(more),
                (Samples::Int16(all), Samples::Int16(more)) => all.extend_from_slice(more),
                (Samples::Int32(all), Samples::Int32(more)) => all.extend_from_slice(more),
                (Samples::Int64(all), Samples::Int64(more)) => all.extend_from_slice(more),
                _ => {}
            },
            _ => {}
        }
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Numbers(samples) => samples.clear(),
            Self::Texts(texts) => texts.clear(),
        }
    }
}

/// Decodes the sample chunks of one stream, in the order of the file.
#[derive(Clone, Debug)]
pub struct SampleDecoder {
    channels: usize,
    format: Option<NumberFormat>,
    /// Time from a sample to one that has no stamp of its own; 0 for irregular streams.
    period: f64,
    last: f64,
    /// The encoding of texts, where it was named.
    encoding: Option<&'static Encoding>,
    /// Texts that are not UTF-8, where no encoding was named; the first encoding that was assumed.
    foreign: u64,
    assumed: Option<&'static Encoding>,
    /// Texts with bytes that are nothing in the encoding that was named.
    misfits: u64,
    /// Texts that hold NUL characters.
    nul: u64,
    /// Samples before the first one with a stamp.
    unstamped: u64,
    stamped: bool,
}

impl SampleDecoder {
    /// For a stream of `channels` values a sample; `format` is `None` for text, `rate_hz` 0 for irregular streams.
    #[must_use]
    pub fn new(channels: usize, format: Option<NumberFormat>, rate_hz: f64) -> Self {
        let period = if rate_hz > 0.0 { 1.0 / rate_hz } else { 0.0 };
        Self {
            channels,
            format,
            period,
            last: 0.0,
            encoding: None,
            foreign: 0,
            assumed: None,
            misfits: 0,
            nul: 0,
            unstamped: 0,
            stamped: false,
        }
    }

    /// Reads texts in an encoding; without one as UTF-8, and as windows-1252 where they cannot be that.
    #[must_use]
    pub fn with_encoding(self, encoding: Option<&'static Encoding>) -> Self {
        Self { encoding, ..self }
    }

    /// What had to be assumed of the samples, a sentence each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let (Some(assumed), foreign) = (self.assumed, self.foreign) {
            remarks.push(format!(
                "texts that are not UTF-8 ({foreign}) were read as {}; --encoding names another one",
                encoding::name(assumed)
            ));
        }
        if let (Some(named), 1..) = (self.encoding, self.misfits) {
            remarks.push(format!(
                "texts with bytes that are nothing in {} ({}), where U+FFFD stands for them: is the encoding another one?",
                named.name(),
                self.misfits
            ));
        }
        if self.nul > 0 {
            remarks.push(format!(
                "texts hold NUL characters ({}): are they UTF-16? `--encoding utf-16le` reads them so",
                self.nul
            ));
        }
        if self.unstamped > 0 {
            let how = if self.period > 0.0 {
                "they are counted from 0 s at its nominal rate"
            } else {
                "they stand at 0 s"
            };
            remarks.push(format!("samples before its first stamp ({}): {how}", self.unstamped));
        }
        remarks
    }

    fn text(&mut self, bytes: &[u8]) -> String {
        let (text, reading) = encoding::decoded(bytes, self.encoding);
        match reading {
            Reading::Plain => {}
            Reading::Assumed(encoding) => {
                self.foreign += 1;
                self.assumed = self.assumed.or(Some(encoding));
            }
            Reading::Misfits(_) => self.misfits += 1,
        }
        self.nul += u64::from(text.contains('\0'));
        text.into_owned()
    }

    /// Appends the samples in `body` (as [`Content::Samples`](super::chunks::Content::Samples) has it) to `stamps` and
    /// `values`, which have to be of the stream's format, and says how many there were. A sample without a stamp is one
    /// period after the one before it.
    ///
    /// # Errors
    /// [`XdfError::Damaged`] at `offset`, where the chunk begins; what came before the damage has been appended.
    pub fn decode(
        &mut self,
        offset: u64,
        body: &[u8],
        stamps: &mut Vec<f64>,
        values: &mut Values,
    ) -> Result<u64, XdfError> {
        let damaged = |problem: String| XdfError::damaged(offset, problem);
        let Some((count, body)) = variable_length(body) else {
            return Err(damaged("a chunk of samples without their number".to_owned()));
        };
        let size = self.format.map_or(1, size_of);
        // one byte says whether there is a stamp; text has at least a length a channel
        let least = (self.channels * size + 1) as u64;
        if count.checked_mul(least).is_none_or(|bytes| bytes > body.len() as u64) {
            return Err(damaged(format!(
                "a chunk that says it has {count} samples, and whose {} bytes cannot hold them",
                body.len()
            )));
        }
        let rest = match (values, self.format) {
            (Values::Texts(texts), None) => self.decode_texts(count, body, stamps, texts),
            (Values::Numbers(samples), Some(_)) => match samples {
                Samples::Float32(values) => {
                    self.decode_numbers(count, body, stamps, values, f32::from_le_bytes)
                }
                Samples::Double64(values) => {
                    self.decode_numbers(count, body, stamps, values, f64::from_le_bytes)
                }
                Samples::Int8(values) => self.decode_numbers(count, body, stamps, values, i8::from_le_bytes),
                Samples::Int16(values) => {
                    self.decode_numbers(count, body, stamps, values, i16::from_le_bytes)
                }
                Samples::Int32(values) => {
                    self.decode_numbers(count, body, stamps, values, i32::from_le_bytes)
                }
                Samples::Int64(values) => {
                    self.decode_numbers(count, body, stamps, values, i64::from_le_bytes)
                }
            },
            _ => return Err(damaged("values of another format than the stream's".to_owned())),
        };
        match rest {
            Some([]) => Ok(count),
            Some(rest) => Err(damaged(format!("{} bytes behind a chunk's samples", rest.len()))),
            None => Err(damaged("a chunk whose samples go on past its end".to_owned())),
        }
    }

    fn decode_numbers<'b, const N: usize, T>(
        &mut self,
        count: u64,
        mut body: &'b [u8],
        stamps: &mut Vec<f64>,
        values: &mut Vec<T>,
        number: impl Fn([u8; N]) -> T,
    ) -> Option<&'b [u8]> {
        let width = self.channels * N;
        stamps.reserve(count as usize);
        values.reserve(count as usize * self.channels);
        for _ in 0..count {
            let (stamp, rest) = self.stamp(body)?;
            let (row, rest) = rest.split_at_checked(width)?;
            let (cells, _) = row.as_chunks::<N>();
            stamps.push(stamp);
            values.extend(cells.iter().map(|cell| number(*cell)));
            body = rest;
        }
        Some(body)
    }

    fn decode_texts<'b>(
        &mut self,
        count: u64,
        mut body: &'b [u8],
        stamps: &mut Vec<f64>,
        texts: &mut Vec<String>,
    ) -> Option<&'b [u8]> {
        for _ in 0..count {
            let (stamp, mut rest) = self.stamp(body)?;
            for channel in 0..self.channels {
                let text = variable_length(rest).and_then(|(length, rest)| {
                    rest.split_at_checked(usize::try_from(length).unwrap_or(usize::MAX))
                });
                let Some((text, behind)) = text else {
                    texts.truncate(texts.len() - channel);
                    return None;
                };
                texts.push(self.text(text));
                rest = behind;
            }
            stamps.push(stamp);
            body = rest;
        }
        Some(body)
    }

    fn stamp<'b>(&mut self, body: &'b [u8]) -> Option<(f64, &'b [u8])> {
        let (&width, rest) = body.split_first()?;
        let (stamp, rest) = match width {
            8 => {
                let (stamp, rest) = rest.split_first_chunk::<8>()?;
                self.stamped = true;
                (f64::from_le_bytes(*stamp), rest)
            }
            0 => {
                self.unstamped += u64::from(!self.stamped);
                (self.last + self.period, rest)
            }
            _ => return None,
        };
        self.last = stamp;
        Some((stamp, rest))
    }
}

/// Bytes of a number.
fn size_of(format: NumberFormat) -> usize {
    match format {
        NumberFormat::Int8 => 1,
        NumberFormat::Int16 => 2,
        NumberFormat::Float32 | NumberFormat::Int32 => 4,
        NumberFormat::Double64 | NumberFormat::Int64 => 8,
    }
}
