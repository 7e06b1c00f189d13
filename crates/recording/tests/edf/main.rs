//! The reader of EDF beside an independent one, on files made here, and on files that are wrong.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking")]

#[path = "../xdf_files/mod.rs"]
mod xdf_files;
use kalmind_recording::edf::{Breaks, EdfError, EdfRecording, edf_from_bytes, read_edf};
use serde_json::Value;
use std::{fmt::Write as _, fs, path::Path, process::Command};
use xdf_files::Noise;

mod odd_files;

/// A signal of a file made here.
struct Signal {
    label: &'static str,
    samples: usize,
    physical: (i32, i32),
    digital: (i32, i32),
}

fn put(header: &mut String, text: &str, width: usize) {
    write!(header, "{text:<width$}").expect("a string grows");
}

/// A file of two signals and annotations; `onsets` of the records in seconds, one second each.
fn file(kind: &str, onsets: &[f64]) -> Vec<u8> {
    let signals = [
        Signal { label: "EEG Cz", samples: 4, physical: (-200, 200), digital: (-2048, 2047) },
        Signal { label: "Temp", samples: 1, physical: (34, 40), digital: (0, 1000) },
        Signal { label: "EDF Annotations", samples: 30, physical: (-1, 1), digital: (-32768, 32767) },
    ];
    let mut header = String::new();
    put(&mut header, "0", 8);
    put(&mut header, "P1 F 01-JAN-1980 X", 80);
    put(&mut header, "Startdate 31-JAN-2026 X X X", 80);
    put(&mut header, "31.01.26", 8);
    put(&mut header, "12.00.00", 8);
    put(&mut header, &(256 * (signals.len() + 1)).to_string(), 8);
    put(&mut header, kind, 44);
    put(&mut header, &onsets.len().to_string(), 8);
    put(&mut header, "1", 8);
    put(&mut header, &signals.len().to_string(), 4);
    for signal in &signals {
        put(&mut header, signal.label, 16);
    }
    for _ in &signals {
        put(&mut header, "", 80);
    }
    for signal in &signals {
        put(&mut header, if signal.label == "Temp" { "degC" } else { "uV" }, 8);
    }
    for signal in &signals {
        put(&mut header, &signal.physical.0.to_string(), 8);
    }
    for signal in &signals {
        put(&mut header, &signal.physical.1.to_string(), 8);
    }
    for signal in &signals {
        put(&mut header, &signal.digital.0.to_string(), 8);
    }
    for signal in &signals {
        put(&mut header, &signal.digital.1.to_string(), 8);
    }
    for _ in &signals {
        put(&mut header, "HP:0.1Hz", 80);
    }
    for signal in &signals {
        put(&mut header, &signal.samples.to_string(), 8);
    }
    for _ in &signals {
        put(&mut header, "", 32);
    }
    let mut bytes = header.into_bytes();
    let mut noise = Noise(5);
    for (record, onset) in onsets.iter().enumerate() {
        for _ in 0..4 {
            bytes.extend((i16::try_from(noise.below(4096)).expect("it is less") - 2048).to_le_bytes());
        }
        bytes.extend(i16::try_from(noise.below(1001)).expect("it is less").to_le_bytes());
        let mut notes = format!("+{onset}\x14\x14\0").into_bytes();
        if record == 1 {
            notes.extend(format!("+{}\x150.25\x14left fist\x14\0", onset + 0.5).bytes());
        }
        notes.resize(60, 0);
        bytes.extend(notes);
    }
    bytes
}

#[test]
fn values_are_in_physical_units_and_gaps_between_records_are_kept() {
    let edf = edf_from_bytes(&file("EDF+D", &[0.0, 1.0, 5.5]), None).expect("an EDF file");
    assert_eq!(edf.patient, "P1 F 01-JAN-1980 X");
    assert_eq!((edf.start_date.as_str(), edf.start_time.as_str()), ("31.01.26", "12.00.00"));
    assert_eq!(edf.record_onsets, [0.0, 1.0, 5.5]);
    let [eeg, temperature] = edf.signals.as_slice() else { panic!("two signals") };
    assert_eq!((eeg.label.as_str(), eeg.unit.as_str(), eeg.rate_hz), ("EEG Cz", "uV", 4.0));
    assert_eq!((eeg.values.len(), temperature.values.len()), (12, 3));
    // the first value by hand: physical = 400 / 4095 (digital + 2048) - 200
    let mut noise = Noise(5);
    let digital = noise.below(4096) as f64 - 2048.0;
    assert!((eeg.values[0] - (400.0 / 4095.0 * (digital + 2048.0) - 200.0)).abs() < 1e-9);
    assert!(temperature.values.iter().all(|value| (34.0..=40.0).contains(value)));
    assert_eq!(edf.time(eeg, 5), Some(1.25));
    assert_eq!(edf.time(eeg, 10), Some(6.0));
    let [note] = edf.annotations.as_slice() else { panic!("one annotation") };
    assert_eq!((note.onset, note.duration, note.text.as_str()), (1.5, Some(0.25), "left fist"));
}

#[test]
fn a_file_that_was_cut_off_gives_its_whole_records_and_says_how_many_are_missing() {
    let whole = file("EDF+C", &[0.0, 1.0, 2.0]);
    let edf = edf_from_bytes(&whole[..whole.len() - 1], None).expect("an EDF file");
    assert_eq!((edf.record_onsets.len(), edf.missing_records), (2, 1));
    let error = edf_from_bytes(&whole[..500], None).expect_err("not even the header");
    assert!(matches!(error, EdfError::ShortHeader { .. }), "{error}");
    let mut untimed = whole;
    untimed[244..252].copy_from_slice(b"nonsense");
    let edf = edf_from_bytes(&untimed, None).expect("records of which nobody knows how long they last");
    assert!(edf.remarks[0].contains("duration of a record is \"nonsense\""), "{:?}", edf.remarks);
    assert!(edf_from_bytes(b"", None).is_err());
}

#[test]
fn a_record_of_a_file_with_gaps_that_does_not_say_when_it_was_follows_the_one_before_and_is_told() {
    let mut bytes = file("EDF+D", &[0.0, 3.0, 5.5]);
    let records = bytes.len() - 1024;
    let third = bytes.len() - records / 3;
    bytes[third + 10..].fill(0);
    let edf = edf_from_bytes(&bytes, None).expect("the rest can be read");
    assert_eq!(edf.record_onsets, [0.0, 3.0, 4.0]);
    assert!(
        edf.remarks.iter().any(|remark| remark.contains("1 of 3 records do not say when")),
        "{:?}",
        edf.remarks
    );
    bytes[192..197].copy_from_slice(b"EDF+C");
    let edf = edf_from_bytes(&bytes, None).expect("without gaps it follows");
    assert_eq!(edf.record_onsets, [0.0, 3.0, 2.0], "what a record says counts");
}

#[test]
fn limits_that_are_no_numbers_leave_digital_values_and_are_told() {
    let good = file("EDF+C", &[0.0, 1.0]);
    let digital = edf_from_bytes(&good, None).expect("an EDF file");
    for text in [b"nan     ", b"        ", b"x       "] {
        for field in [104, 112, 120, 128] {
            let mut bytes = good.clone();
            let at = 256 + field * 3;
            bytes[at..at + 8].copy_from_slice(text);
            let edf = edf_from_bytes(&bytes, None).expect("the samples are there");
            assert_eq!(edf.signals[0].unit, "digital");
            assert!(edf.signals[0].values.iter().all(|value| value.fract() == 0.0));
            assert_eq!(edf.signals[1], digital.signals[1], "the other signal is not touched");
            assert!(edf.remarks.iter().any(|remark| remark.contains("EEG Cz")), "{:?}", edf.remarks);
        }
    }
}

#[test]
fn a_signal_without_samples_has_no_times() {
    let mut bytes = file("EDF+C", &[0.0, 1.0]);
    // numbers instead of annotations, which would no longer begin where they should
    bytes[256 + 32..256 + 48].copy_from_slice(b"Other           ");
    let samples = 256 + 216 * 3;
    bytes[samples..samples + 8].copy_from_slice(b"0       ");
    let edf = edf_from_bytes(&bytes, None).expect("an EDF file");
    assert!(edf.signals[0].values.is_empty());
    assert_eq!(edf.time(&edf.signals[0], 0), None);
}

#[test]
fn samples_of_24_bits_are_read_from_bdf() {
    let mut header = String::new();
    for (text, width) in [
        (" BIOSEMI", 8),
        ("", 80),
        ("", 80),
        ("31.01.26", 8),
        ("12.00.00", 8),
        ("512", 8),
        ("24BIT", 44),
        ("1", 8),
        ("2", 8),
        ("1", 4),
        ("A1", 16),
        ("", 80),
        ("uV", 8),
        ("-262144", 8),
        ("262143", 8),
        ("-8388608", 8),
        ("8388607", 8),
        ("", 80),
        ("4", 8),
        ("", 32),
    ] {
        put(&mut header, text, width);
    }
    let mut bytes = header.into_bytes();
    bytes[0] = 0xff;
    bytes.extend([0, 0, 0x80, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0x7f]);
    let edf = edf_from_bytes(&bytes, None).expect("a BDF file");
    // by hand: the limits are those of 24 bits in steps of nearly 1/32 uV
    let gain = 524_287.0 / 16_777_215.0;
    let expected = [-262_144.0, -262_144.0 + 8_388_607.0 * gain, -262_144.0 + 8_388_608.0 * gain, 262_143.0];
    for (value, expected) in edf.signals[0].values.iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }
    assert_eq!((edf.signals[0].rate_hz, edf.time(&edf.signals[0], 3)), (2.0, Some(1.5)));
}

#[test]
fn malformed_files_are_errors_and_never_more() {
    let good = file("EDF+D", &[0.0, 1.0, 5.5, 7.0]);
    let mut noise = Noise(17);
    let mut errors = 0;
    for _ in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..=noise.below(4) {
            let at = noise.below(bytes.len());
            match noise.below(4) {
                0 => bytes[at] = noise.next() as u8,
                1 => bytes[at] = b"0123456789-. eE"[noise.below(15)],
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].copy_from_slice(&b"99999999"[..end - at]);
                }
            }
        }
        match edf_from_bytes(&bytes, None) {
            Ok(edf) => {
                let values: usize = edf.signals.iter().map(|signal| signal.values.len()).sum();
                assert!(values <= bytes.len(), "more values than bytes");
            }
            Err(error) => {
                errors += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(errors > 200, "{errors}");
}

#[test]
fn values_and_annotations_are_those_that_another_reader_finds() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("made.edf");
    fs::write(&made, file("EDF+C", &[0.0, 1.0, 2.0])).expect("a file");
    let mut files = vec![made];
    match std::env::var_os("KALMIND_DATA") {
        Some(data) => {
            let data = Path::new(&data).join("eeg_motor");
            files.extend(["S001R03.edf", "S001R04.edf"].map(|name| data.join(name)));
        }
        None => eprintln!("skipped: recordings by others; KALMIND_DATA names no folder"),
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = folder.path().join("edfio.jsonl");
    let status = Command::new(root.join(".venv/bin/python"))
        .arg(root.join("tests/python/read_edf.py"))
        .arg(&out)
        .args(&files)
        .status()
        .expect("Python runs: `make .venv/peers-ready` sets it up");
    assert!(status.success());
    let text = fs::read_to_string(out).expect("its output");
    for (line, path) in text.lines().zip(&files) {
        compare(path, &serde_json::from_str(line).expect("JSON"));
    }
}

fn compare(path: &Path, theirs: &Value) {
    let ours = read_edf(path, None).expect("an EDF file");
    let signals = theirs["signals"].as_array().expect("signals");
    assert_eq!(signals.len(), ours.signals.len(), "{}", path.display());
    for (ours, theirs) in ours.signals.iter().zip(signals) {
        assert_eq!(theirs["label"], ours.label.as_str());
        assert_eq!(theirs["unit"], ours.unit.as_str());
        assert_eq!(theirs["rate"].as_f64(), Some(ours.rate_hz));
        let hex = theirs["values"].as_str().expect("hexadecimal").as_bytes();
        assert_eq!(hex.len(), 16 * ours.values.len(), "{}", ours.label);
        for (value, hex) in ours.values.iter().zip(hex.chunks(16)) {
            let bits = u64::from_str_radix(str::from_utf8(hex).expect("text"), 16).expect("hexadecimal");
            let theirs = f64::from_bits(bits.swap_bytes());
            assert!(
                (value - theirs).abs() <= 1e-9 * theirs.abs().max(1.0),
                "{}: {value} {theirs}",
                ours.label
            );
        }
    }
    let notes: Vec<(f64, Option<f64>, String)> = theirs["annotations"]
        .as_array()
        .expect("annotations")
        .iter()
        .map(|note| {
            (
                note[0].as_f64().expect("an onset"),
                note[1].as_f64(),
                note[2].as_str().expect("text").to_owned(),
            )
        })
        .collect();
    let found: Vec<(f64, Option<f64>, String)> =
        ours.annotations.iter().map(|note| (note.onset, note.duration, note.text.clone())).collect();
    assert_eq!(found, notes, "{}", path.display());
}
