//! Files that the standard does not allow, as devices and converters write them.

use super::*;

/// A file that others made, and that the standard does not allow.
fn foreign(name: &str) -> EdfRecording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/foreign").join(name);
    read_edf(&path, None).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn told(edf: &EdfRecording, part: &str) {
    assert!(edf.remarks.iter().any(|remark| remark.contains(part)), "{part:?} in {:?}", edf.remarks);
}

#[test]
fn what_can_be_read_of_odd_files_is_read_and_the_rest_is_named() {
    let dead = foreign("e01_dead_channel.edf");
    assert_eq!(
        dead.signals.iter().map(|signal| signal.label.as_str()).collect::<Vec<_>>(),
        ["EEG C3", "EEG C4"]
    );
    assert!(dead.signals.iter().all(|signal| signal.values.len() == 50));
    told(&dead, "signal 2 (\"-\") was left out");

    let comma = foreign("e02_decimal_comma.edf");
    assert!(comma.signals[0].values.iter().all(|value| value.abs() <= 312.5));
    assert!(comma.signals[0].values.iter().any(|value| value.abs() > 1.0));

    let torn = foreign("e06b_records_minus1_torn.edf");
    assert_eq!(torn.signals[0].values.len(), 10 * torn.record_onsets.len());
    told(&torn, "are not a whole record and were left out");

    let more = foreign("e07_header_fewer_records.edf");
    assert_eq!((more.record_onsets.len(), more.missing_records), (5, 0));
    told(&more, "counts 2 records and the file holds 5");

    let zero = foreign("e09_duration_zero_two_rates.edf");
    assert_eq!(zero.signals.iter().map(|signal| signal.values.len()).collect::<Vec<_>>(), [5, 10]);
    assert!(zero.signals.iter().all(|signal| zero.time(signal, 0).is_none()));
    told(&zero, "duration of a record is 0");

    let equal = foreign("e10_phys_equal.edf");
    assert_eq!(equal.signals[0].unit, "digital");
    assert!(equal.signals[0].values.iter().any(|value| value.abs() > 0.0));
    told(&equal, "physical minimum and maximum are both 0");

    assert_eq!(foreign("e13b_nul_version.edf").signals[0].values.len(), 50);
    assert_eq!(foreign("e14_ann_limits_blank.edf").signals.len(), 1);
}

#[test]
fn annotations_that_cannot_be_read_are_named_and_take_nothing_else_with_them() {
    let bad = foreign("e11_bad_tal.edf");
    assert_eq!(bad.signals[0].values.len(), 50);
    told(&bad, "the annotation \"junk here\" of record 3");
    let blanks = foreign("e11b_tal_spaces.edf");
    assert_eq!((blanks.signals[0].values.len(), blanks.remarks.len()), (50, 0), "{:?}", blanks.remarks);
    let latin = foreign("e03_latin1_annotation.edf");
    assert!(latin.annotations.iter().any(|note| !note.text.is_ascii()), "{:?}", latin.annotations);
    assert!(latin.annotations.iter().all(|note| !note.text.contains('\u{fffd}')));
    told(&latin, "windows-1252");
}

#[test]
fn every_record_out_of_line_is_counted() {
    assert!(foreign("e08_gaps.edf").breaks().gaps > 0);
    let breaks = foreign("e08b_overlap_backward.edf").breaks();
    assert!(breaks.overlaps > 0 && breaks.backward > 0, "{breaks:?}");
    let edf = edf_from_bytes(&file("EDF+D", &[0.0, 1.0, 5.5, 5.7, 2.0, 3.0]), None).expect("an EDF file");
    assert_eq!(edf.breaks(), Breaks { gaps: 1, overlaps: 1, backward: 1 });
    told(&edf, "1 after a gap, 1 that overlap the one before, 1 that step back");
}

/// Writes a field of the header of [`file`].
fn with(field: usize, text: &[u8]) -> Vec<u8> {
    let mut bytes = file("EDF+C", &[0.0, 1.0]);
    bytes[field..field + text.len()].copy_from_slice(text);
    bytes
}

#[test]
fn a_field_that_cannot_be_takes_nothing_else_with_it() {
    let whole = edf_from_bytes(&file("EDF+C", &[0.0, 1.0]), None).expect("an EDF file");
    let read = |bytes: &[u8]| {
        let edf = edf_from_bytes(bytes, None).expect("what can be read");
        let values =
            |edf: &EdfRecording| edf.signals.iter().map(|signal| signal.values.clone()).collect::<Vec<_>>();
        assert_eq!(values(&edf), values(&whole));
        edf
    };
    for duration in [b"        ", b"-1      ", b"1 sec   "] {
        let edf = read(&with(244, duration));
        told(&edf, "duration of a record is");
        assert_eq!(edf.time(&edf.signals[0], 0), None, "no rate is made up");
        assert_eq!(edf.breaks(), Breaks::default(), "nor gaps");
    }
    for count in [b"    ", b"x   ", b"9   "] {
        told(&read(&with(252, count)), "its length is that of 3, which were read");
    }
    told(&read(&with(184, b"        ")), "the header says that it has \"\" bytes");
    told(&read(&with(236, b"4x      ")), "number of records is \"4x\"");
}

#[test]
fn letters_of_a_header_are_read_in_the_encoding_that_they_are_in() {
    let label = |bytes: &[u8]| {
        let edf = edf_from_bytes(&with(8, bytes), None).expect("an EDF file");
        (edf.patient.split(' ').next().unwrap_or_default().to_owned(), edf.remarks.join("; "))
    };
    assert_eq!(label("Müller ".as_bytes()), ("Müller".to_owned(), String::new()));
    let (name, remarks) = label(b"M\xfcller ");
    assert!(name == "Müller" && remarks.contains("windows-1252 (Latin-1) (\"M"), "{remarks}");
    let named = edf_from_bytes(&with(8, b"\x8aJ\x8en "), Some(encoding_rs::SHIFT_JIS)).expect("an EDF file");
    assert!(named.patient.starts_with("開始") && named.remarks.is_empty(), "{:?}", named.remarks);
}

#[test]
fn a_continuous_file_that_is_not_and_a_late_start_are_told() {
    let gap = edf_from_bytes(&file("EDF+C", &[0.0, 1.0, 5.0]), None).expect("an EDF file");
    told(&gap, "says that its records follow each other (EDF+C), and they do not");
    let late = edf_from_bytes(&file("EDF+D", &[1000.0, 1001.0]), None).expect("an EDF file");
    told(&late, "the first record begins 1000 s after the start");
    assert!((late.seconds() - 2.0).abs() < 1e-9);
}

/// The annotations of a record whose field holds `notes` behind the record's onset and nothing else.
fn with_notes(notes: &[u8]) -> EdfRecording {
    let mut bytes = file("EDF+C", &[0.0, 1.0]);
    let field = bytes.len() - 60;
    let cells = [b"+1\x14\x14\0", notes].concat();
    bytes[field..].fill(0);
    bytes[field..field + cells.len()].copy_from_slice(&cells);
    let edf = edf_from_bytes(&bytes, None).expect("an EDF file");
    assert_eq!(edf.record_onsets, [0.0, 1.0]);
    edf
}

#[test]
fn annotations_that_are_cut_off_or_have_no_text_are_kept_or_named() {
    let notes = |edf: &EdfRecording| -> Vec<(f64, Option<f64>, String)> {
        edf.annotations.iter().map(|note| (note.onset, note.duration, note.text.clone())).collect()
    };
    // 5 bytes before it, 55 to the end of the field
    let mut long = b"+1.5\x14begin\x14\0+2.5\x14".to_vec();
    long.resize(55, b'x');
    let cut = with_notes(&long);
    assert_eq!(notes(&cut)[0], (1.5, None, "begin".to_owned()));
    assert_eq!(notes(&cut)[1], (2.5, None, "x".repeat(38)));
    told(&cut, "cannot be read whole: it was cut off; what is there was kept");
    long[54] = 0x14;
    let whole = with_notes(&long);
    assert_eq!((notes(&whole)[1].2.len(), whole.remarks.len()), (37, 0), "{:?}", whole.remarks);

    let lasting = with_notes(b"+2.5\x150.5\x14\x14\0");
    assert_eq!(notes(&lasting), [(2.5, Some(0.5), String::new())]);
    assert!(lasting.remarks.is_empty(), "{:?}", lasting.remarks);
    assert_eq!(notes(&with_notes(b"+2.5\x14\x14\0")), [(2.5, None, String::new())]);
    let bare = with_notes(b"+2.5\0+3\x14go\x14\0");
    assert_eq!(notes(&bare), [(3.0, None, "go".to_owned())]);
    told(&bare, "the annotation \"+2.5\" of record 1");
    told(&bare, "no text follows its times; it was left out");
}

#[test]
fn a_signal_whose_digital_limits_are_the_same_is_left_out_only_where_its_samples_are_too() {
    let good = file("EDF+C", &[0.0, 1.0]);
    let mut bytes = good.clone();
    for field in [120, 128] {
        let at = 256 + field * 3;
        bytes[at..at + 8].copy_from_slice(b"0       ");
    }
    let edf = edf_from_bytes(&bytes, None).expect("an EDF file");
    let first = |record: usize, sample: usize| {
        let at = 1024 + record * 70 + 2 * sample;
        f64::from(i16::from_le_bytes([good[at], good[at + 1]]))
    };
    let expected: Vec<f64> = (0..8).map(|sample| first(sample / 4, sample % 4)).collect();
    assert_eq!((edf.signals[0].values.as_slice(), edf.signals[0].unit.as_str()), (&*expected, "digital"));
    told(&edf, "signal 1 (\"EEG Cz\"): its digital minimum and maximum are both 0");
    for record in 0..2 {
        bytes[1024 + record * 70..][..8].fill(7);
    }
    let edf = edf_from_bytes(&bytes, None).expect("an EDF file");
    assert_eq!((edf.signals.len(), edf.signals[0].label.as_str()), (1, "Temp"));
    told(&edf, "signal 1 (\"EEG Cz\") was left out");
}
