//! What a bin of 20 ms of 96 channels at 30 kHz costs in front of the decoder: the stages, on the thread that receives the
//! stream, and the binning of what comes out, on the tick.
//!
//! `cargo bench --bench stages [-- FILTER]`
//!
//! The accuracy is that of the values against a filter written down as its difference equation.
#![expect(clippy::expect_used, reason = "a benchmark whose stages do not build has nothing to measure")]

#[path = "speed_table/measured.rs"]
mod measured;
mod speed_table;

use std::hint::black_box;

use criterion::Criterion;
use kalmind_signal::{
    Chain, ChainSettings, DerivedStream, FeatureExtractor, IdentitySettings, IirSettings, Rows, Signal,
    StageSettings,
};
use kalmind_types::{Binning, GenerationId, SampleRows, StreamFeatures};
use speed_table::Row;

const CHANNELS: usize = 96;
const RATE_HZ: f64 = 30_000.0;
/// Samples of a bin.
const SAMPLES: usize = 600;
/// Width of a bin in microseconds.
const WIDTH_US: f64 = 20_000.0;
/// Samples that are given at once, as amplifiers send them.
const BLOCK: usize = 30;
/// A band of 300 to 6000 Hz: `scipy.signal.butter(2, [300, 6000], "bandpass", fs=30000, output="sos")`, rounded.
const SECTIONS: [[f64; 6]; 2] =
    [[0.182_5, 0.365, 0.182_5, 1.0, -0.394_6, 0.205_4], [1.0, -2.0, 1.0, 1.0, -1.912_8, 0.916_2]];

fn main() {
    let mut criterion = measured::criterion();
    let mut rows: Vec<Row> =
        [Binning::Sample, Binning::Mean, Binning::Sum].map(|binning| bin(&mut criterion, binning)).into();
    let iir = StageSettings::Iir(IirSettings { sections: SECTIONS.to_vec() });
    let identity = StageSettings::Identity(IdentitySettings {});
    for (name, stages) in [
        ("identity", vec![identity]),
        ("iir of two sections", vec![iir.clone()]),
        ("iir twice", vec![iir.clone(), iir]),
    ] {
        rows.push(derive(&mut criterion, name, &stages));
    }
    for (channels, is_silent) in [(96, false), (96, true), (256, false), (1024, false)] {
        rows.push(broadband(&mut criterion, channels, is_silent));
    }
    let title = "In front of the decoder: median time of a bin of 20 ms, and its part of one core; largest relative \
         difference of a value";
    speed_table::print(title, &rows);
}

/// Reproducible samples without structure, as an amplifier gives them.
fn samples(count: usize) -> Vec<i16> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 52) as i16 - 2048
    };
    (0..count * CHANNELS).map(|_| next()).collect()
}

fn row(name: &str, what: String, accuracy: f64) -> Row {
    let median = measured::median_us(name);
    let part = median.map(|us| format!(", {:.2} %", 100.0 * us / WIDTH_US)).unwrap_or_default();
    Row {
        what,
        measured: measured::shown(median) + &part,
        goal: match name {
            "broadband of 96" | "broadband of 96 of zeros" => "4 % of a core".to_owned(),
            "broadband of 256" => "12 % of a core".to_owned(),
            "broadband of 1024" => "sustained".to_owned(),
            _ => String::new(),
        },
        accuracy: format!("{accuracy:.0e}"),
    }
}

/// Samples without stages, put into a bin: one that is a bin of its own, or 600.
fn bin(criterion: &mut Criterion, binning: Binning) -> Row {
    let count = if binning == Binning::Sample { 1 } else { SAMPLES };
    let values = samples(count);
    let features = StreamFeatures::of_channels(binning, CHANNELS, None);
    let mut extractor = FeatureExtractor::new(&[features]).expect("features");
    let name = format!("bin {}", binning.name());
    measured::forget(&name);
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            extractor.reset();
            for rows in values.chunks(BLOCK * CHANNELS) {
                extractor.accept(0, SampleRows::Int16(black_box(rows))).expect("whole rows");
            }
            black_box(extractor.finish().values[0])
        });
    });
    let found = extractor.finish().values[0];
    let sum: f64 = values.iter().step_by(CHANNELS).map(|value| f64::from(*value)).sum();
    let expected = if binning == Binning::Mean { sum / count as f64 } else { sum };
    let what = format!("no stages, `{}`, {count} a bin", binning.name());
    row(&name, what, (found - expected).abs() / expected.abs().max(1.0))
}

/// 600 samples through stages, and what comes out into the mean of a bin.
fn derive(criterion: &mut Criterion, what: &str, stages: &[StageSettings]) -> Row {
    let raw = Signal::raw(RATE_HZ, (0..CHANNELS).map(|channel| (channel.to_string(), String::new())));
    let filters = stages.iter().filter(|stage| matches!(stage, StageSettings::Iir(_))).count();
    let chain = || {
        let settings = ChainSettings(stages.to_vec());
        let chain = Chain::new(&settings, GenerationId::default(), &raw, 64).expect("a chain");
        DerivedStream::new(chain, CHANNELS, RATE_HZ)
    };
    let values = samples(SAMPLES);
    let mut stream = chain();
    let mut output = Rows::with_capacity(CHANNELS, stream.most_rows(BLOCK));
    let mut delivered = Vec::with_capacity(CHANNELS * BLOCK);
    let features = StreamFeatures::of_channels(Binning::Mean, CHANNELS, None);
    let mut extractor = FeatureExtractor::new(&[features]).expect("features");
    let mut next = 0;
    let name = format!("stages {what}");
    measured::forget(&name);
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            extractor.reset();
            for rows in values.chunks(BLOCK * CHANNELS) {
                output.clear();
                stream.take(next, 0, SampleRows::Int16(black_box(rows)), &mut output);
                stream.log().clear();
                next += BLOCK as u64;
                delivered.clear();
                for row in output.iter() {
                    let valid = row.values.iter().zip(row.invalid);
                    delivered.extend(valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }));
                }
                extractor.accept(0, SampleRows::Double64(&delivered)).expect("whole rows");
            }
            black_box(extractor.finish().values[0])
        });
    });
    let mut fresh = chain();
    let mut output = Rows::with_capacity(CHANNELS, 0);
    // from rest on zeros, so that both begin in the same state
    let zero = vec![0_i16; CHANNELS];
    fresh.take(0, 0, SampleRows::Int16(&zero), &mut output);
    fresh.take(1, 0, SampleRows::Int16(&values), &mut output);
    let found: Vec<f64> = output.iter().skip(1).map(|row| row.values[0]).collect();
    let input: Vec<f64> = values.iter().step_by(CHANNELS).map(|value| f64::from(*value)).collect();
    let expected = (0..filters).fold(input, |signal, _| SECTIONS.iter().fold(signal, |x, s| filtered(&x, s)));
    let largest = expected.iter().fold(1.0_f64, |largest, value| largest.max(value.abs()));
    let apart = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
    row(&name, format!("{what}, then `mean`, 600 a bin"), apart.fold(0.0, f64::max) / largest)
}

/// Channels of an array.
const ARRAY: usize = 128;

/// 20 ms of broadband through all that spikes need: a band-pass, a regression of each array's channels on its others, crossings
/// and powers. The accuracy is that of the powers of the first channel against the same, written down sample by sample.
fn broadband(criterion: &mut Criterion, channels: usize, is_silent: bool) -> Row {
    let arrays: Vec<[usize; 2]> =
        (0..channels).step_by(ARRAY).map(|first| [first, channels.min(first + ARRAY)]).collect();
    // as a ridge regression would have them: small, and none for a channel itself
    let weight = |to: usize, from: usize| {
        let is_of_array = to / ARRAY == from / ARRAY && to != from;
        if is_of_array {
            ((to * 31 + from * 17) % 13) as f64 / 13.0 / channels.min(ARRAY) as f64
        } else {
            0.0
        }
    };
    let weights: Vec<Vec<f64>> =
        (0..channels).map(|to| (0..channels).map(|from| weight(to, from)).collect()).collect();
    let stages = serde_json::json!([
        { "stage": "iir", "sections": SECTIONS },
        { "stage": "reference", "kind": "regression", "arrays": arrays, "weights": weights },
        { "stage": "spikes", "scales": [700.0], "power": true },
    ]);
    let settings = ChainSettings(serde_json::from_value(stages).expect("stages"));
    let raw = Signal::raw(RATE_HZ, (0..channels).map(|channel| (channel.to_string(), String::new())));
    let chain = || {
        let chain = Chain::new(&settings, GenerationId::default(), &raw, 64).expect("a chain");
        DerivedStream::new(chain, channels, RATE_HZ)
    };
    let noise = samples(SAMPLES * channels / CHANNELS + 1);
    let mut values: Vec<i16> = noise.into_iter().take(SAMPLES * channels).collect();
    if is_silent {
        values.fill(0);
    }
    let mut stream = chain();
    let mut output = Rows::with_capacity(2 * channels, stream.most_rows(BLOCK));
    let mut next = 0;
    let what = if is_silent { " of zeros" } else { "" };
    let name = format!("broadband of {channels}{what}");
    measured::forget(&name);
    criterion.bench_function(&name, |bencher| {
        bencher.iter(|| {
            for rows in values.chunks(BLOCK * channels) {
                output.clear();
                stream.take(next, 0, SampleRows::Int16(black_box(rows)), &mut output);
                stream.log().clear();
                next += BLOCK as u64;
            }
            output.len()
        });
    });
    let mut fresh = chain();
    let mut output = Rows::with_capacity(2 * channels, 0);
    // from rest on zeros, so that both begin in the same state
    for (first, rows) in [(0, vec![0_i16; BLOCK * channels]), (BLOCK as u64, values.clone())] {
        fresh.take(first, 0, SampleRows::Int16(&rows), &mut output);
    }
    // once filters have settled
    let found: Vec<Option<f64>> =
        output.iter().skip(1).map(|row| (!row.invalid[channels]).then_some(row.values[channels])).collect();
    let filtered_of = |channel: usize| {
        let input: Vec<f64> =
            values.iter().skip(channel).step_by(channels).map(|value| f64::from(*value)).collect();
        SECTIONS.iter().fold(input, |x, section| filtered(&x, section))
    };
    let mut expected = filtered_of(0);
    for from in 1..channels.min(ARRAY) {
        for (value, other) in expected.iter_mut().zip(filtered_of(from)) {
            *value -= weight(0, from) * other;
        }
    }
    let powers =
        expected.chunks_exact(BLOCK).map(|window| window.iter().map(|x| x * x).sum::<f64>() / BLOCK as f64);
    let apart = found
        .iter()
        .zip(powers)
        .filter_map(|(found, power)| Some((found.as_ref()? - power).abs() / power.max(1.0)));
    let what = format!("{channels} channels{what}: band-pass, regression, crossings and powers");
    row(&name, what, apart.reduce(f64::max).expect("a valid window"))
}

/// y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2], from rest.
fn filtered(x: &[f64], [b0, b1, b2, _, a1, a2]: &[f64; 6]) -> Vec<f64> {
    let mut y: Vec<f64> = Vec::with_capacity(x.len());
    for n in 0..x.len() {
        let before = |signal: &[f64], k: usize| n.checked_sub(k).map_or(0.0, |at| signal[at]);
        y.push(b0 * x[n] + b1 * before(x, 1) + b2 * before(x, 2) - a1 * before(&y, 1) - a2 * before(&y, 2));
    }
    y
}
