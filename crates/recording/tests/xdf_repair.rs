//! Files that were cut off or damaged: checked, mended, and whole again.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod xdf_files;

use std::{fs, io::Cursor};

use kalmind_recording::xdf::{
    check::{check, check_source},
    recording::{Recorded, read},
    repair::{LeftOutKind, RepairReport, Target, mend, repair},
    samples::Values,
};

use xdf_files::{Noise, file};

fn read_whole(bytes: &[u8]) -> Recorded {
    read(Cursor::new(bytes), bytes.len() as u64, |_| false).expect("an XDF file")
}

fn valid(bytes: &[u8]) -> bool {
    check_source(Cursor::new(bytes), bytes.len() as u64, None, |_, _| {}).expect("an XDF file").is_valid()
}

/// Mends bytes in memory.
fn mended(bytes: &[u8]) -> (Vec<u8>, RepairReport) {
    let mut mended = Vec::new();
    let report = mend(Cursor::new(bytes), bytes.len() as u64, &mut mended).expect("it can be mended");
    (mended, report)
}

/// Every chunk of samples of a file, as it stands: length, tag, stream, content.
fn sample_chunks(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut chunks, mut at) = (Vec::new(), 4);
    while at < bytes.len() {
        let width = usize::from(bytes[at]);
        let mut number = [0; 8];
        number[..width].copy_from_slice(&bytes[at + 1..=at + width]);
        let end = at + 1 + width + u64::from_le_bytes(number) as usize;
        if bytes[at + 1 + width] == 3 {
            chunks.push(&bytes[at..end]);
        }
        at = end;
    }
    chunks
}

fn holds(bytes: &[u8], chunk: &[u8]) -> bool {
    bytes.windows(chunk.len()).any(|window| window == chunk)
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
    assert!(report.is_whole());
}

#[test]
fn every_cut_of_the_last_64_kb_can_be_mended() {
    let bytes = file(5);
    let whole = read_whole(&bytes);
    assert!(bytes.len() > 64 * 1024);
    // each byte around a chunk's ends, and some of the others: what is left depends on where the last whole chunk ends
    let ends_of_chunks: Vec<usize> = {
        let mut at = 0;
        let chunks = sample_chunks(&bytes).into_iter();
        chunks
            .map(|chunk| {
                at = chunk.as_ptr() as usize - bytes.as_ptr() as usize + chunk.len();
                at
            })
            .collect()
    };
    let every = std::env::var_os("KALMIND_EVERY_CUT").is_some();
    let mut ends = std::collections::BTreeSet::new();
    for cut in 1..=64 * 1024 {
        let end = bytes.len() - cut;
        let near = ends_of_chunks.iter().any(|place| place.abs_diff(end) < 12);
        if !every && !near && cut % 97 != 0 {
            continue;
        }
        let (mended, report) = mended(&bytes[..end]);
        assert!(
            report.is_whole() && report.left_out.iter().all(|part| part.what == LeftOutKind::Torn),
            "{report:?}"
        );
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
fn damage_in_the_middle_costs_the_chunks_that_it_hit_and_no_others() {
    let bytes = file(6);
    let chunks = sample_chunks(&bytes);
    let mut noise = Noise(3);
    for round in 0..200 {
        let mut damaged = bytes.clone();
        let at = bytes.len() / 4 + noise.below(bytes.len() / 2);
        let count = 1 + noise.below(400);
        for byte in &mut damaged[at..at + count] {
            *byte = noise.next() as u8;
        }
        let (mended, report) = mended(&damaged);
        let place = |chunk: &[u8]| chunk.as_ptr() as usize - bytes.as_ptr() as usize;
        for chunk in &chunks {
            let begin = place(chunk);
            if begin + chunk.len() <= at || begin >= at + count {
                assert!(holds(&mended, chunk), "round {round}: the chunk at byte {begin}; {report:?}");
            }
        }
        let recorded = read_whole(&mended);
        let before: usize = samples(&read_whole(&damaged)).iter().sum();
        assert_eq!(
            samples(&recorded).iter().sum::<usize>(),
            before,
            "round {round}: mending changes no sample"
        );
    }
}

/// The whole of a small file: headers, samples of two streams, a clock offset, a boundary, footers.
fn small() -> Vec<u8> {
    use kalmind_recording::xdf::{encode::HeaderFields, writer::Writer};
    use kalmind_types::{NumberFormat, SampleRows, StreamTime};
    let mut writer = Writer::new(xdf_files::Memory::default(), "2026-01-31T12:00:00+0000", "");
    let header = |name, format| HeaderFields {
        name,
        channels: 2,
        nominal_rate_hz: 100.0,
        format,
        ..HeaderFields::default()
    };
    let number = writer.add_stream(&header("A", Some(NumberFormat::Int16)));
    let text = writer.add_stream(&header("B", None));
    for index in 0..3_u8 {
        let stamps = [StreamTime(f64::from(index)), StreamTime(f64::from(index) + 0.5)];
        let value = i16::from(index);
        writer.rows(number, &stamps, SampleRows::Int16(&[value, 257, -value, 1]));
        writer.text(text, stamps[0], &["left", "right"], false);
        writer.clock_offset(number, stamps[0].0, 0.25);
        writer.boundary();
    }
    writer.commit().expect("memory takes everything");
    writer.footers();
    writer.commit().expect("memory takes everything");
    writer.sink().0.clone()
}

#[test]
fn whichever_bit_flips_every_chunk_of_samples_that_is_intact_stays() {
    let bytes = small();
    let chunks = sample_chunks(&bytes);
    assert_eq!(chunks.len(), 6);
    let mut unseen = 0;
    for bit in 8 * 4..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let length = damaged.len() as u64;
        let report = check_source(Cursor::new(&damaged), length, None, |_, _| {}).expect("an XDF file");
        let (mended, done) = mended(&damaged);
        for chunk in &chunks {
            let begin = chunk.as_ptr() as usize - bytes.as_ptr() as usize;
            if !(begin..begin + chunk.len()).contains(&(bit / 8)) {
                assert!(holds(&mended, chunk), "bit {bit}: the chunk at byte {begin}; {done:?}");
            }
        }
        // check and reading agree, before and after
        for bytes in [&damaged, &mended] {
            let counted =
                check_source(Cursor::new(bytes), bytes.len() as u64, None, |_, _| {}).expect("an XDF file");
            let recorded = read_whole(bytes);
            let counts: Vec<u64> = counted.streams.values().map(|stream| stream.samples).collect();
            let mut read: Vec<(u32, u64)> =
                recorded.streams.iter().map(|stream| (stream.id, stream.stamps.len() as u64)).collect();
            read.sort_unstable();
            assert_eq!(counts, read.iter().map(|(_, count)| *count).collect::<Vec<_>>(), "bit {bit}");
        }
        unseen += u64::from(report.problems.is_empty());
    }
    // a flipped bit of a value, a stamp or a letter is as good as another value
    assert!(unseen > 0);
}

#[test]
fn what_cannot_be_explained_stays_byte_for_byte() {
    let bytes = small();
    // a header whose format is none: a stream that nobody can read
    let at = bytes.windows(5).position(|window| window == b"int16").expect("a format");
    let mut odd = bytes.clone();
    odd[at] = b'u';
    let (kept, report) = mended(&odd);
    assert!(report.left_out.is_empty(), "{report:?}");
    assert_eq!(samples(&read_whole(&kept)), [3], "the other stream");
    for chunk in sample_chunks(&odd) {
        assert!(holds(&kept, chunk));
    }
    // and where the whole is cut and damaged as well, the same
    let (torn, _) = mended(&odd[..odd.len() - 3]);
    for chunk in sample_chunks(&odd) {
        assert!(holds(&torn, chunk));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let bytes = file(2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    fs::write(&path, &bytes[..bytes.len() - 5]).expect("a file");
    let report = check(&path, None, |_, _| {}).expect("an XDF file");
    assert!(!report.is_valid());
    assert!(report.problems[0].text.contains("cut off"), "{:?}", report.problems);
    assert!(report.problems.iter().any(|problem| problem.text.contains("has no footer")));

    fs::write(&path, b"not an XDF file at all").expect("a file");
    let error = repair(&path, Target::InPlace, false, |_, _| {}).expect_err("it is none").to_string();
    assert!(error.contains("XDF:"), "{error}");
    assert_eq!(fs::read(&path).expect("the file"), b"not an XDF file at all", "and it is left alone");
}

#[test]
fn repair_writes_new_files_and_overwrites_none() {
    let bytes = file(2);
    let folder = tempfile::tempdir().expect("a folder");
    let in_folder = |name: &str| folder.path().join(name);
    let path = in_folder("a.xdf");
    let torn = &bytes[..bytes.len() - 5];
    fs::write(&path, torn).expect("a file");
    let report = repair(&path, Target::Beside, false, |_, _| {}).expect("it can be mended");
    assert_eq!(report.output, Some(in_folder("a.repaired.xdf")));
    assert_eq!(fs::read(&path).expect("the file"), torn, "as it was");
    let copied = fs::read(in_folder("a.repaired.xdf")).expect("the copy");
    assert!(valid(&copied));
    assert_eq!(samples(&read_whole(&copied)), samples(&read_whole(&bytes)));
    // what was cut off is beside it
    let left_out = fs::read(report.left_out_file.expect("one")).expect("the file");
    let LeftOutKind::Torn = report.left_out[0].what else { panic!("{:?}", report.left_out) };
    assert!(holds(&left_out, &torn[report.left_out[0].from as usize..]));

    let error = repair(&path, Target::Beside, false, |_, _| {}).expect_err("it exists").to_string();
    assert!(error.contains("a.repaired.xdf exists already"), "{error}");
    assert!(repair(&path, Target::Beside, true, |_, _| {}).is_ok(), "by force");

    let report = repair(&path, Target::InPlace, true, |_, _| {}).expect("it can be mended");
    assert_eq!(fs::read(&path).expect("the file"), copied);
    assert_eq!(report.before, Some(in_folder("a.before-repair.xdf")));
    assert_eq!(fs::read(in_folder("a.before-repair.xdf")).expect("kept"), torn);
    let report = repair(&path, Target::InPlace, false, |_, _| {}).expect("whole");
    assert!(!report.is_changed() && report.output.is_none());
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

#[test]
fn the_mended_copy_never_takes_the_place_of_the_file_unasked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.xdf");
    let whole = small();
    let torn = &whole[..whole.len() - 20];
    fs::write(&path, torn).expect("a file");
    let same = folder.path().join(".").join("s.xdf");
    for output in [&path, &same] {
        let error = repair(&path, Target::File(output), true, |_, _| {}).expect_err("refused").to_string();
        assert!(error.contains("--in-place"), "{error}");
    }
    assert_eq!(fs::read(&path).expect("the file"), torn);
}
