//! Sampled signals of a recording in one shape, whatever the kind of its file: XDF, or EDF and BDF.
//!
//! EDF knows no streams: here its signals of one rate are one, named after the file, stamped in seconds from its start.

use core::ops::ControlFlow;
use std::path::Path;

use encoding_rs::Encoding;
use kalmind_types::{NumberFormat, Samples};

use crate::{
    edf::{EdfError, EdfRecording, EdfSignal, read_edf},
    kind::FileKind,
    xdf::{
        Problem, Severity,
        chunks::XdfError,
        header::StreamHeader,
        recording::{Recorded, RecordedStream, SampleChunk, read_xdf_but, visit_samples},
        samples::Values,
    },
};

/// Why a recording gives no signals.
#[derive(Debug, thiserror::Error)]
pub enum SignalsError {
    /// Its kind cannot be told.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An XDF file, or a file that is none and no EDF file either.
    #[error(transparent)]
    Xdf(#[from] XdfError),
    /// An EDF or BDF file.
    #[error(transparent)]
    Edf(#[from] EdfError),
    /// A file of another kind.
    #[error(
        "this is no recording: it is no XDF file, which would begin with \"XDF:\", and no EDF or BDF file; other files have to be \
         converted first"
    )]
    NoRecording,
    /// An EDF or BDF file without times.
    #[error("the file does not say how long its records last, so its samples have no times")]
    NoTimes,
}

/// Whether a file's streams have names to select them by: those of EDF and BDF files have none.
///
/// # Errors
/// What the system says.
pub fn names_streams(path: &Path) -> std::io::Result<bool> {
    Ok(!matches!(FileKind::of(path)?, FileKind::Edf | FileKind::Bdf))
}

/// The streams of a recording, without their samples.
///
/// # Errors
/// [`SignalsError`].
pub fn read_streams(path: &Path, encoding: Option<&'static Encoding>) -> Result<Recorded, SignalsError> {
    if names_streams(path)? {
        return read_xdf_but(path, encoding, |_| true).map_err(|error| match error {
            XdfError::Magic => SignalsError::NoRecording,
            error => error.into(),
        });
    }
    let edf = read_edf(path, encoding)?;
    let problem = |text: &String| Problem { offset: 0, text: text.clone(), severity: Severity::Odd };
    Ok(Recorded {
        datetime: None,
        problems: edf.remarks.iter().map(problem).collect(),
        length: std::fs::metadata(path)?.len(),
        streams: (1..)
            .zip(of_one_rate(&edf))
            .map(|(id, signals)| RecordedStream {
                id,
                header: header(path, &signals),
                stamps: Vec::new(),
                values: Values::Texts(Vec::new()),
                clock_offsets: Vec::new(),
                footer: None,
            })
            .collect(),
    })
}

/// Shows the samples of a recording's streams as [`visit_samples`] does; those of an EDF file record by record. Memory: a chunk,
/// or four times an EDF file.
///
/// # Errors
/// [`SignalsError`].
pub fn visit_streams(
    path: &Path,
    encoding: Option<&'static Encoding>,
    skip: impl Fn(&StreamHeader) -> bool,
    mut visit: impl FnMut(SampleChunk<'_>) -> ControlFlow<()>,
) -> Result<(), SignalsError> {
    if names_streams(path)? {
        return Ok(visit_samples(path, encoding, skip, visit)?);
    }
    let edf = read_edf(path, encoding)?;
    let streams: Vec<_> =
        (1..).zip(of_one_rate(&edf)).filter(|(_, signals)| !skip(&header(path, signals))).collect();
    let records = edf.record_onsets.len();
    for record in 0..records {
        for (stream, signals) in &streams {
            let Some(first) = signals.first() else { continue };
            let begin = record * first.samples_per_record;
            // a last record may be cut off
            let count = signals.iter().map(|signal| signal.values.len()).min().unwrap_or_default();
            let end = count.min(begin + first.samples_per_record);
            let stamps: Option<Vec<f64>> = (begin..end).map(|sample| edf.time(first, sample)).collect();
            let stamps = stamps.ok_or(SignalsError::NoTimes)?;
            let row = |sample: usize| signals.iter().map(move |signal| signal.values[sample]);
            let values = Values::Numbers(Samples::Double64((begin..end).flat_map(row).collect()));
            let chunk = SampleChunk {
                stream: *stream,
                stamps: &stamps,
                values: &values,
                read: record as u64 + 1,
                length: records as u64,
            };
            if !stamps.is_empty() && visit(chunk).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The signals of each rate, in the order in which the file has them; the most signals first.
fn of_one_rate(edf: &EdfRecording) -> Vec<Vec<&EdfSignal>> {
    let mut streams: Vec<Vec<&EdfSignal>> = Vec::new();
    for signal in edf.signals.iter().filter(|signal| signal.samples_per_record > 0) {
        let like = |stream: &&mut Vec<&EdfSignal>| {
            stream.first().is_some_and(|first| first.samples_per_record == signal.samples_per_record)
        };
        match streams.iter_mut().find(like) {
            Some(stream) => stream.push(signal),
            None => streams.push(vec![signal]),
        }
    }
    streams.sort_by_key(|stream| core::cmp::Reverse(stream.len()));
    streams
}

fn header(path: &Path, signals: &[&EdfSignal]) -> StreamHeader {
    StreamHeader {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        channels: signals.len(),
        nominal_rate_hz: signals.first().map_or(0.0, |first| first.rate_hz),
        format: Some(NumberFormat::Double64),
        labels: Some(signals.iter().map(|signal| signal.label.clone()).collect()),
        units: Some(signals.iter().map(|signal| signal.unit.clone()).collect()),
        ..StreamHeader::default()
    }
}
