//! Files that were cut off or damaged: checked, mended, and whole again.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod xdf_files;

use std::{fs, io::Cursor};

use kalmind_recording::xdf::{
    recording::{Recorded, read},
    repair::{RepairReport, check, check_source, repair},
    samples::Values,
};

use xdf_files::{Noise, file};

fn read_whole(bytes: &[u8]) -> Recorded {
    read(Cursor::new(bytes), bytes.len() as u64, |_| false).expect("an XDF file")
}

fn valid(bytes: &[u8]) -> bool {
    check_source(Cursor::new(bytes), bytes.len() as u64, |_, _| {}).expect("an XDF file").is_valid()
}

/// Mends bytes in a file on disk.
fn mended(bytes: &[u8]) -> (Vec<u8>, RepairReport) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    fs::write(&path, bytes).expect("a file");
    let report = repair(&path, None, |_, _| {}).expect("it can be mended");
    (fs::read(&path).expect("the file"), report)
}

fn samples(recorded: &Recorded) -> Vec<usize> {
    recorded.streams.iter().map(|stream| stream.stamps.len()).collect()
}

#[test]
fn a_valid_file_reads_back_and_repair_leaves_it_alone() {
    let bytes = file(3);
    assert!(valid(&bytes));
    let recorded = read_whole(&bytes);
    assert!(recorded.problems.is_empty(), "{:?}", recorded.problems);
    assert_eq!(recorded.datetime.as_deref(), Some("2026-01-31T12:00:00+0000"));
    assert_eq!(samples(&recorded), [300, 300, 300, 300, 300, 300, 3]);
    for stream in &recorded.streams {
        let footer = stream.footer.as_ref().expect("a footer");
        assert_eq!(footer.sample_count, Some(stream.stamps.len() as u64));
        assert_eq!(footer.first_timestamp, Some(10.0));
        assert_eq!(footer.last_timestamp, stream.stamps.last().copied());
        assert_eq!(stream.header.labels.as_ref().map(Vec::len), Some(3));
    }
    let (same, report) = mended(&bytes);
    assert_eq!(same, bytes);
    assert_eq!(report, RepairReport::default());
}

#[test]
fn every_cut_of_the_last_64_kb_can_be_mended() {
    let bytes = file(5);
    let whole = read_whole(&bytes);
    assert!(bytes.len() > 64 * 1024);
    // 65,536 files: in memory, where there is such a place
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder");
    let path = folder.path().join("a.xdf");
    let mut ends = std::collections::BTreeSet::new();
    for cut in 1..=64 * 1024 {
        let torn = &bytes[..bytes.len() - cut];
        fs::write(&path, torn).expect("a file");
        repair(&path, None, |_, _| {}).expect("it can be mended");
        // what a cut leaves depends on the last whole chunk alone; each such file is read once
        let mended = fs::read(&path).expect("the file");
        if !ends.insert(mended.len()) {
            continue;
        }
        let recorded = read_whole(&mended);
        assert!(recorded.problems.is_empty(), "cut of {cut}: {:?}", recorded.problems);
        assert!(valid(&mended), "cut of {cut}");
        for (left, before) in recorded.streams.iter().zip(&whole.streams) {
            assert!(before.stamps.starts_with(&left.stamps), "cut of {cut}");
            assert_eq!(
                left.footer.as_ref().and_then(|footer| footer.sample_count),
                Some(left.stamps.len() as u64),
                "cut of {cut}"
            );
        }
    }
    assert!(ends.len() > 100, "there were many chunks to cut at: {}", ends.len());
}

#[test]
fn damage_in_the_middle_costs_what_is_up_to_the_next_boundary() {
    let bytes = file(6);
    let whole = read_whole(&bytes);
    let mut noise = Noise(3);
    for round in 0..200 {
        let mut damaged = bytes.clone();
        let at = bytes.len() / 4 + noise.below(bytes.len() / 2);
        let count = 1 + noise.below(400);
        for byte in &mut damaged[at..at + count] {
            *byte = noise.next() as u8;
        }
        let (mended, report) = mended(&damaged);
        let recorded = read_whole(&mended);
        assert!(recorded.problems.is_empty(), "round {round}: {:?}", recorded.problems);
        assert!(valid(&mended), "round {round}");
        let dropped: u64 = report.dropped.iter().map(|(from, to)| to - from).sum();
        assert!(dropped < bytes.len() as u64 / 2, "round {round}: {dropped} bytes dropped");
        let left: usize = samples(&recorded).iter().sum();
        assert!(left * 2 > samples(&whole).iter().sum::<usize>(), "round {round}: {left} samples left");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let bytes = file(2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    fs::write(&path, &bytes[..bytes.len() - 5]).expect("a file");
    let report = check(&path, |_, _| {}).expect("an XDF file");
    assert!(!report.is_valid());
    assert!(report.problems[0].text.contains("cut off"), "{:?}", report.problems);
    assert!(report.problems.iter().any(|problem| problem.text.contains("has no footer")));

    fs::write(&path, b"not an XDF file at all").expect("a file");
    let error = repair(&path, None, |_, _| {}).expect_err("it is none").to_string();
    assert!(error.contains("XDF:"), "{error}");
    assert_eq!(fs::read(&path).expect("the file"), b"not an XDF file at all", "and it is left alone");
}

#[test]
fn a_mended_copy_leaves_the_original_alone() {
    let bytes = file(2);
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("a.xdf"), folder.path().join("b.xdf"));
    let torn = &bytes[..bytes.len() - 5];
    fs::write(&path, torn).expect("a file");
    repair(&path, Some(&copy), |_, _| {}).expect("it can be mended");
    assert_eq!(fs::read(&path).expect("the file"), torn);
    let copied = fs::read(&copy).expect("the copy");
    assert!(valid(&copied));
    assert_eq!(samples(&read_whole(&copied)), samples(&read_whole(&bytes)));
}

#[test]
fn samples_without_stamps_follow_on_by_the_rate() {
    // one chunk of three int8 samples, the second and third without a stamp
    let mut bytes = b"XDF:".to_vec();
    let xml = b"<info><channel_count>1</channel_count><nominal_srate>4</nominal_srate><channel_format>int8</channel_format></info>";
    let mut chunk = |tag: u16, content: &[u8]| {
        bytes.push(4);
        bytes.extend((content.len() as u32 + 6).to_le_bytes());
        bytes.extend(tag.to_le_bytes());
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(content);
    };
    chunk(2, xml);
    let mut content = vec![8, 3, 0, 0, 0, 0, 0, 0, 0, 8];
    content.extend(100.0_f64.to_le_bytes());
    content.extend([1, 0, 2, 0, 3]);
    chunk(3, &content);
    let recorded = read_whole(&bytes);
    assert_eq!(recorded.streams[0].stamps, [100.0, 100.25, 100.5]);
    assert_eq!(recorded.streams[0].values, Values::Numbers(kalmind_types::Samples::Int8(vec![1, 2, 3])));
}
