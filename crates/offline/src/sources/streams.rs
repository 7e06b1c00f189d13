//! Streams of an XDF file by name, their channels by label or number, and their values at other times.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::{
    Table,
    xdf::{
        header::StreamHeader,
        recording::{Recorded, RecordedStream, read_xdf_but},
        samples::Values,
    },
};
use kalmind_types::Samples;

use crate::tables::RecordedTablesError;

/// The recording with the samples of the streams of these names or keys.
pub(super) fn read_streams(
    path: &Path,
    encoding: Option<&'static Encoding>,
    wanted: &[&str],
) -> Result<Recorded, RecordedTablesError> {
    read_xdf_but(path, encoding, |header| !wanted.iter().any(|wanted| is_called(header, wanted)))
        .map_err(|source| RecordedTablesError::Xdf { path: path.to_owned(), source })
}

fn is_called(header: &StreamHeader, wanted: &str) -> bool {
    header.name == wanted || header.key.as_deref() == Some(wanted)
}

/// The one stream of numbers that is called so.
pub(super) fn find_stream<'a>(
    recorded: &'a Recorded,
    option: &'static str,
    wanted: &str,
) -> Result<&'a RecordedStream, RecordedTablesError> {
    let numbers = || recorded.streams.iter().filter(|stream| stream.header.format.is_some());
    // a key belongs to one stream; a name may be that of several, or another stream's key
    let by_key = numbers().find(|stream| stream.header.key.as_deref() == Some(wanted));
    let mut named = numbers().filter(|stream| stream.header.name == wanted);
    let first = match (by_key, named.next(), named.next()) {
        (Some(stream), ..) | (None, Some(stream), None) => return Ok(stream),
        (None, first, _) => first,
    };
    let found = numbers()
        .map(|stream| match &stream.header.key {
            Some(key) if *key != stream.header.name => format!("{key} ({})", stream.header.name),
            _ => stream.header.name.clone(),
        })
        .collect();
    let wanted = wanted.to_owned();
    Err(match first {
        Some(_) => RecordedTablesError::AmbiguousStream { option, wanted, found },
        None => RecordedTablesError::NoStream { option, wanted, found },
    })
}

/// Names and places of channels of a stream.
pub(super) fn columns(
    stream: &RecordedStream,
    option: &'static str,
    wanted: Option<&str>,
) -> Result<(Vec<String>, Vec<usize>), RecordedTablesError> {
    let header = &stream.header;
    let all: Vec<String> = (0..header.channels).map(|channel| header.label(channel)).collect();
    let Some(wanted) = wanted else { return Ok((all, (0..header.channels).collect())) };
    let places = chosen(&all, option, wanted)?;
    Ok((places.iter().map(|place| all[*place].clone()).collect(), places))
}

/// Places of channels named in a list, by label or number from 0.
pub(super) fn chosen(
    all: &[String],
    option: &'static str,
    wanted: &str,
) -> Result<Vec<usize>, RecordedTablesError> {
    let place = |name: &str| {
        let known = all.iter().position(|label| label == name);
        known.or_else(|| name.parse().ok().filter(|place| *place < all.len())).ok_or_else(|| {
            RecordedTablesError::NoChannel { option, wanted: name.to_owned(), found: all.to_vec() }
        })
    };
    wanted.split(',').map(str::trim).map(place).collect()
}

/// Channels of a stream at a time between two samples; none outside, across a gap of a second, or at a number that is
/// none.
pub(super) fn interpolated(
    stamps: &[f64],
    values: &[f64],
    channels: usize,
    places: &[usize],
    at: f64,
) -> Option<Vec<f64>> {
    let after = stamps.partition_point(|stamp| *stamp < at).max(1);
    let (begin, end) = (*stamps.get(after - 1)?, *stamps.get(after)?);
    if at < begin || end - begin > 1.0 {
        return None;
    }
    let part = if end > begin { (at - begin) / (end - begin) } else { 0.0 };
    let state: Vec<f64> = places
        .iter()
        .map(|place| {
            let (from, to) = (values[(after - 1) * channels + place], values[after * channels + place]);
            from + part * (to - from)
        })
        .collect();
    state.iter().all(|value| value.is_finite()).then_some(state)
}

/// Stamps and values without the samples whose stamp is no number or lies before one that came earlier; and how many these are.
pub(super) fn in_order(stamps: &[f64], values: &[f64], channels: usize) -> (Vec<f64>, Vec<f64>, usize) {
    let (mut kept, mut of_kept, mut newest) = (Vec::new(), Vec::new(), f64::NEG_INFINITY);
    for (stamp, row) in stamps.iter().zip(values.chunks_exact(channels.max(1))) {
        if stamp.is_finite() && *stamp >= newest {
            newest = *stamp;
            kept.push(*stamp);
            of_kept.extend_from_slice(row);
        }
    }
    let left_out = stamps.len() - kept.len();
    (kept, of_kept, left_out)
}

pub(super) fn plain(values: &Values) -> Vec<f64> {
    let Values::Numbers(samples) = values else { return Vec::new() };
    match samples {
        Samples::Float32(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Double64(values) => values.clone(),
        Samples::Int8(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Int16(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Int32(values) => values.iter().copied().map(f64::from).collect(),
        Samples::Int64(values) => values.iter().map(|value| *value as f64).collect(),
    }
}

pub(super) fn finite(stamps: &[f64]) -> Vec<f64> {
    stamps.iter().copied().filter(|stamp| stamp.is_finite()).collect()
}

/// A channel without a valid sample takes its mean, as in a running session.
pub(super) fn fill_with_means(features: &mut [f64], width: usize) {
    for feature in 0..width {
        let valid = features.iter().skip(feature).step_by(width).filter(|value| value.is_finite());
        let (sum, count) = valid.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
        let mean = if count > 0 { sum / count as f64 } else { 0.0 };
        for value in features.iter_mut().skip(feature).step_by(width).filter(|value| !value.is_finite()) {
            *value = mean;
        }
    }
}

pub(super) fn table(columns: Option<Vec<String>>, values: Vec<f64>, rows: usize, width: usize) -> Table {
    Table { columns, units: None, time: None, values, rows, width, remarks: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_interpolated_between_its_samples_and_nowhere_else() {
        let (stamps, values) = ([1.0, 2.0, 4.0, 4.5], [10.0, 0.0, 20.0, 1.0, 40.0, 2.0, f64::NAN, 3.0]);
        let at = |time| interpolated(&stamps, &values, 2, &[0, 1], time);
        assert_eq!(at(1.0), Some(vec![10.0, 0.0]));
        assert_eq!(at(1.5), Some(vec![15.0, 0.5]));
        assert_eq!(at(2.0), Some(vec![20.0, 1.0]));
        assert_eq!(at(3.0), None, "a gap of two seconds");
        assert_eq!(at(4.25), None, "not a number");
        assert_eq!(at(0.9), None);
        assert_eq!(at(4.6), None);
    }

    #[test]
    fn samples_without_a_stamp_or_out_of_order_are_left_out() {
        let stamps = [1.0, f64::NAN, 2.0, 1.5, 2.0, 3.0];
        let values = [1.0, 9.0, 2.0, 9.0, 3.0, 4.0];
        assert_eq!(in_order(&stamps, &values, 1), (vec![1.0, 2.0, 2.0, 3.0], vec![1.0, 2.0, 3.0, 4.0], 2));
    }

    #[test]
    fn a_channel_without_a_sample_takes_its_mean() {
        let mut features = [1.0, f64::NAN, 3.0, f64::NAN, f64::NAN, f64::NAN];
        fill_with_means(&mut features, 2);
        assert_eq!(features.map(f64::to_bits), [1.0, 0.0, 3.0, 0.0, 2.0, 0.0].map(f64::to_bits));
    }
}
