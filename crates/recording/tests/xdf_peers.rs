//! Our reader beside pyxdf: raw stamps and values bit for bit, corrected and straightened stamps to a tenth of a microsecond.

#![expect(
    clippy::expect_used,
    reason = "a test ends by panicking, and numbers that are kept as they are have to come back as they are"
)]

mod xdf_files;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kalmind_recording::xdf::{
    encode::{self, HeaderFields},
    recording::{RecordedStream, read_xdf},
    repair::{Target, repair},
    samples::Values,
};
use kalmind_types::{NumberFormat, SampleRows, Samples, StreamTime};
use serde_json::Value;

use xdf_files::{Noise, file};

/// Seconds by which corrected stamps may differ: both solve normal equations, whose rounding is that large.
const CORRECTED: f64 = 1e-7;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What pyxdf finds in files.
fn by_pyxdf(files: &[PathBuf], folder: &Path) -> Vec<Value> {
    let python = root().join(".venv/bin/python");
    assert!(python.exists(), "no Python peers: `make .venv/peers-ready` makes them");
    let out = folder.join("pyxdf.jsonl");
    let status = Command::new(python)
        .arg(root().join("tests/python/read_xdf.py"))
        .arg(&out)
        .args(files)
        .status()
        .expect("Python runs");
    assert!(status.success(), "pyxdf reads {files:?}");
    let text = fs::read_to_string(out).expect("its output");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hexadecimal").as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
    hex.chunks(2).map(|pair| 16 * digit(pair[0]) + digit(pair[1])).collect()
}

fn numbers(hex: &Value) -> Vec<f64> {
    bytes(hex).chunks(8).map(|eight| f64::from_le_bytes(eight.try_into().expect("eight"))).collect()
}

fn little_endian(samples: &Samples) -> Vec<u8> {
    match samples {
        Samples::Float32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Samples::Double64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Samples::Int8(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Samples::Int16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Samples::Int32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Samples::Int64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn compare_values(stream: &RecordedStream, theirs: &Value, what: &str) {
    match &stream.values {
        Values::Numbers(samples) => {
            assert!(little_endian(samples) == bytes(&theirs["values"]), "{what}: values differ");
        }
        Values::Texts(texts) => {
            let others: Vec<&str> =
                theirs["texts"].as_array().expect("texts").iter().filter_map(Value::as_str).collect();
            assert_eq!(texts, &others, "{what}");
        }
    }
}

/// The largest difference between corrected stamps.
fn compare(files: &[PathBuf], folder: &Path) -> f64 {
    let mut largest = 0.0_f64;
    let theirs = by_pyxdf(files, folder);
    for path in files {
        let recorded = read_xdf(path).expect("readable");
        let mut compared = 0;
        for theirs in theirs.iter().filter(|line| line["file"] == path.display().to_string()) {
            let (id, way) =
                (theirs["id"].as_u64().expect("a number"), theirs["way"].as_str().expect("a way"));
            let what = format!("{} stream {id} {way}", path.display());
            let stream =
                recorded.streams.iter().find(|stream| u64::from(stream.id) == id).expect("the same streams");
            let others = numbers(&theirs["stamps"]);
            assert_eq!(stream.stamps.len(), others.len(), "{what}");
            let ours = match way {
                "raw" => stream.stamps.clone(),
                "synchronized" => stream.synchronized_stamps(),
                _ => stream.dejittered_stamps(),
            };
            if way == "raw" {
                assert!(
                    ours.iter().zip(&others).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{what}: stamps differ"
                );
                compare_values(stream, theirs, &what);
            } else {
                for (ours, others) in ours.iter().zip(&others) {
                    let difference = (ours - others).abs();
                    assert!(difference <= CORRECTED, "{what}: {ours} and {others}");
                    largest = largest.max(difference);
                }
            }
            compared += 1;
        }
        assert_eq!(compared, 3 * recorded.streams.len(), "{}: every stream in every way", path.display());
    }
    largest
}

/// One float32 stream of 50 Hz with jitter, on a clock that drifts, loses samples, and may be reset; offsets may come out
/// of order; no footer.
fn awkward(seed: u64, reset: bool, disorder: bool) -> Vec<u8> {
    let mut noise = Noise(seed);
    let mut unit = move || noise.next() as f64 / (1_u64 << 48) as f64;
    let mut bytes = Vec::new();
    encode::file_header(&mut bytes, "2026-01-31T12:00:00+0000", "");
    let header = HeaderFields {
        name: "Awkward",
        channels: 2,
        nominal_rate_hz: 50.0,
        format: Some(NumberFormat::Float32),
        ..HeaderFields::default()
    };
    encode::stream_header(&mut bytes, 1, &header);
    let (drift, mut origin) = (1.0 + 1e-4 * unit(), 5000.0 + 1e4 * unit());
    let mut offsets = Vec::new();
    for index in 0..5000 {
        let time = f64::from(index) / 50.0;
        if reset && index == 2500 {
            origin -= 4000.0 * unit();
        }
        // lost samples in between: a break
        if (1000..1100).contains(&index) {
            continue;
        }
        let stamp = origin + time * drift + 2e-3 * unit();
        let values = [index as f32, unit() as f32];
        encode::samples(&mut bytes, 1, &[StreamTime(stamp)], SampleRows::Float32(&values));
        if index % 250 == 0 {
            let outlier = if index == 750 { 0.02 } else { 0.0 };
            offsets.push((origin + time * drift, time - origin - time * drift + 1e-4 * unit() + outlier));
        }
    }
    if disorder {
        offsets.swap(3, 4);
        offsets.swap(12, 13);
    }
    for (time, value) in offsets {
        encode::clock_offset(&mut bytes, 1, time, value);
    }
    bytes
}

#[test]
fn stamps_and_values_are_those_that_pyxdf_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = vec![root().join("fixtures/session/session.xdf")];
    let mut put = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        files.push(path);
    };
    put("every_format.xdf", file(3));
    put("drift.xdf", awkward(1, false, false));
    put("reset.xdf", awkward(2, true, false));
    put("disorder.xdf", awkward(3, false, true));
    put("reset_and_disorder.xdf", awkward(4, true, true));
    match std::env::var_os("KALMIND_DATA") {
        Some(data) => {
            let data = Path::new(&data).join("xdf");
            files
                .extend(["minimal.xdf", "clock_resets.xdf", "empty_streams.xdf"].map(|name| data.join(name)));
        }
        None => eprintln!("skipped: recordings by others; KALMIND_DATA names no folder"),
    }
    let largest = compare(&files, folder.path());
    eprintln!("largest difference of corrected stamps: {largest:e} s");
}

#[test]
fn mended_files_are_read_by_pyxdf() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fs::read(root().join("fixtures/session/session.xdf")).expect("the fixture");
    let mut noise = Noise(9);
    let files: Vec<PathBuf> = (0..30)
        .map(|round| {
            let path = folder.path().join(format!("{round}.xdf"));
            let cut = 1 + noise.below(64 * 1024);
            fs::write(&path, &whole[..whole.len() - cut]).expect("a file");
            repair(&path, Target::InPlace, false, |_, _| {}).expect("it can be mended");
            path
        })
        .collect();
    compare(&files, folder.path());
}
