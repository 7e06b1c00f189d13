//! XDF files as other programs write them, odd in every way: fixtures/foreign holds one of each kind.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::path::{Path, PathBuf};

use kalmind_recording::xdf::{
    check::{CheckReport, check},
    chunks::XdfError,
    recording::{Recorded, read_xdf, read_xdf_but},
    samples::Values,
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/foreign").join(name)
}

/// A file read and checked, which agree about its samples.
fn both(name: &str) -> (Recorded, CheckReport) {
    let recorded = read_xdf(&path(name)).expect("an XDF file");
    let checked = check(&path(name), None, |_, _| {}).expect("an XDF file");
    for stream in &recorded.streams {
        assert_eq!(
            checked.streams[&stream.id].samples,
            stream.stamps.len() as u64,
            "{name}, stream {}",
            stream.id
        );
    }
    assert_eq!(checked.streams.len(), recorded.streams.len(), "{name}");
    (recorded, checked)
}

fn counts(recorded: &Recorded) -> Vec<usize> {
    recorded.streams.iter().map(|stream| stream.stamps.len()).collect()
}

fn told(checked: &CheckReport, part: &str) -> bool {
    checked.problems.iter().any(|problem| problem.text.contains(part))
}

#[test]
fn a_rate_that_is_none_is_read_as_irregular_and_named() {
    for (name, rate) in [("x06d_rate.xdf", "\"-1\""), ("x06a_rate.xdf", "\"100,0\"")] {
        let (recorded, checked) = both(name);
        assert_eq!(counts(&recorded), [200]);
        assert!(checked.is_valid(), "{:?}", checked.problems);
        assert!(told(&checked, rate), "{:?}", checked.problems);
    }
}

#[test]
fn headers_are_read_in_the_encoding_that_they_declare() {
    let (recorded, checked) = both("x11a_latin1_header.xdf");
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    assert!(!recorded.streams[0].header.xml.contains('\u{fffd}'));
}

#[test]
fn of_a_header_that_cannot_be_parsed_what_can_be_read_is_used() {
    for name in ["x11b_control_char.xdf", "x11d_cut_header_xml.xdf"] {
        let (recorded, checked) = both(name);
        assert_eq!(counts(&recorded), [200, 200], "{name}");
        assert_eq!(recorded.streams[0].header.name, "Amp");
        assert!(!checked.is_valid() && told(&checked, "XML"), "{:?}", checked.problems);
    }
}

#[test]
fn samples_before_their_header_are_read_by_it() {
    let (recorded, checked) = both("x12_header_late.xdf");
    assert_eq!(counts(&recorded), [200]);
    assert!(checked.is_valid() && told(&checked, "stands behind other chunks"), "{:?}", checked.problems);
}

#[test]
fn reading_goes_on_behind_damage_whatever_form_boundaries_have() {
    let (recorded, checked) = both("x03b_damage_boundary4.xdf");
    assert_eq!(counts(&recorded), [150]);
    assert!(!checked.is_valid() && checked.problems.iter().any(|problem| problem.offset == 1242));
}

#[test]
fn streams_on_different_clocks_are_told() {
    let (recorded, checked) = both("x07_unix_stamps.xdf");
    for told in [recorded.mixed_clocks().expect("told"), checked.problems[0].text.clone()] {
        assert!(told.contains("\"Muse\" begins at") && told.contains("Unix time, 2023-07-04"), "{told}");
    }
    assert!(checked.is_valid());
}

#[test]
fn a_clock_offset_that_is_no_number_is_left_out() {
    let (recorded, checked) = both("x08c_nan_offset.xdf");
    assert_eq!(recorded.streams[0].clock_offsets.len(), 5);
    assert!(recorded.streams[0].synchronized_stamps().iter().all(|stamp| (*stamp - 105.0).abs() < 3.0));
    assert!(checked.is_valid() && told(&checked, "NaN s at 102 s is left out"), "{:?}", checked.problems);
}

#[test]
fn stamps_that_are_no_numbers_are_counted() {
    for name in ["x14b_nan_stamp.xdf", "z1_first_nan.xdf"] {
        let (_, checked) = both(name);
        assert!(told(&checked, "whose stamp is no number: 1"), "{name}: {:?}", checked.problems);
    }
}

#[test]
fn texts_are_read_in_an_encoding_that_is_told_or_named() {
    let texts = |recorded: &Recorded| match &recorded.streams[0].values {
        Values::Texts(texts) => texts.clone(),
        Values::Numbers(_) => Vec::new(),
    };
    let (recorded, checked) = both("x15_marker_bytes.xdf");
    assert_eq!(texts(&recorded)[0], "Reiz grün");
    assert!(told(&checked, "windows-1252"), "{:?}", checked.problems);
    let named = read_xdf_but(&path("x15_marker_bytes.xdf"), Some(encoding_rs::KOI8_R), |_| false);
    assert_eq!(texts(&named.expect("an XDF file"))[0], "Reiz grЭn");
}

#[test]
fn the_first_header_of_a_stream_holds() {
    let (recorded, checked) = both("x21_second_header.xdf");
    assert_eq!(counts(&recorded), [100]);
    assert!(!checked.is_valid() && told(&checked, "a second header of stream 1"), "{:?}", checked.problems);
}

#[test]
fn packed_files_are_read_and_empty_ones_say_so() {
    let (recorded, _) = both("x19_packed.xdfz");
    assert!(counts(&recorded)[0] > 0);
    for error in [read_xdf(&path("x20_empty_file.xdf")).expect_err("empty"), XdfError::Empty] {
        assert_eq!(error.to_string(), "the file is empty");
    }
}
