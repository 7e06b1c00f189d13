//! XDF files that programs could write and that nobody expects: made here byte by byte, from the format's specification.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::io::Write as _;

use kalmind_recording::xdf::{
    check::{CheckReport, check},
    recording::{Recorded, read_xdf_but},
    repair::{Target, repair},
    samples::Values,
};
use tempfile::TempDir;

fn chunk(tag: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4];
    bytes.extend(u32::try_from(content.len() + 2).expect("short").to_le_bytes());
    bytes.extend(tag.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}

fn of_stream(tag: u16, id: u32, content: &[u8]) -> Vec<u8> {
    chunk(tag, &[&id.to_le_bytes(), content].concat())
}

fn begin() -> Vec<u8> {
    [b"XDF:".as_slice(), &chunk(1, b"<?xml version=\"1.0\"?><info><version>1.0</version></info>")].concat()
}

/// A header; `more` stands in its description.
fn header(declared: &str, name: &str, format: &str, channels: &str, rate: &str, more: &str) -> String {
    format!(
        "<?xml version=\"1.0\"{declared}?><info><name>{name}</name><channel_count>{channels}</channel_count>\
         <nominal_srate>{rate}</nominal_srate><channel_format>{format}</channel_format><desc>{more}</desc></info>"
    )
}

fn plain(name: &str) -> String {
    header("", name, "float32", "1", "100", "")
}

/// A chunk of one-channel floats; a sample without a stamp where there is none.
fn samples(id: u32, stamps: &[Option<f64>]) -> Vec<u8> {
    let mut content = vec![4];
    content.extend(u32::try_from(stamps.len()).expect("few").to_le_bytes());
    for stamp in stamps {
        match stamp {
            Some(stamp) => {
                content.push(8);
                content.extend(stamp.to_le_bytes());
            }
            None => content.push(0),
        }
        content.extend(1.5_f32.to_le_bytes());
    }
    of_stream(3, id, &content)
}

fn footer(id: u32, count: &str) -> Vec<u8> {
    of_stream(6, id, format!("<info><sample_count>{count}</sample_count></info>").as_bytes())
}

fn offset(id: u32, time: f64, value: f64) -> Vec<u8> {
    of_stream(4, id, &[time.to_le_bytes(), value.to_le_bytes()].concat())
}

/// A hundred stamps from 1000 s on, a hundredth of a second apart, changed by `change`.
fn stamps(change: impl Fn(usize, f64) -> f64) -> Vec<Option<f64>> {
    (0..100).map(|index| Some(change(index, 1000.0 + index as f64 / 100.0))).collect()
}

fn stream(id: u32, header: &[u8], stamps: &[Option<f64>]) -> Vec<u8> {
    [of_stream(2, id, header), samples(id, stamps), footer(id, &stamps.len().to_string())].concat()
}

fn read(bytes: &[u8]) -> (Recorded, CheckReport, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("written");
    let recorded = read_xdf_but(&path, None, |_| false).expect("an XDF file");
    let checked = check(&path, None, |_, _| {}).expect("an XDF file");
    for stream in &recorded.streams {
        assert_eq!(checked.streams[&stream.id].samples, stream.stamps.len() as u64);
        assert_eq!(checked.streams[&stream.id].clock_offsets, stream.clock_offsets);
    }
    (recorded, checked, folder)
}

/// The problems of a file with one stream of whole samples, one a line.
fn told(header: &[u8], stamps: &[Option<f64>]) -> (Recorded, String) {
    let (recorded, checked, _) = read(&[begin(), stream(1, header, stamps)].concat());
    let problems: Vec<&str> = checked.problems.iter().map(|problem| problem.text.as_str()).collect();
    assert_eq!(recorded.streams.iter().map(|stream| stream.stamps.len()).sum::<usize>(), stamps.len());
    assert!(checked.is_valid(), "{problems:?}");
    (recorded, problems.join("\n"))
}

#[test]
fn headers_of_any_encoding_are_read_and_it_is_named() {
    let with =
        |declared: &str| header(&format!(" encoding=\"{declared}\""), "Größe", "float32", "1", "100", "");
    let utf_16: Vec<u8> = with("UTF-16").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], utf_16.as_slice()].concat();
    for (bytes, says) in [
        (utf_16, "its text is UTF-16LE"),
        (marked, "its text is UTF-16LE"),
        (with("utf-16").into_bytes(), "it declares utf-16, and its text is not that: it was read as UTF-8"),
        (with("x-klingon").into_bytes(), "\"x-klingon\", which is not known: it was read as UTF-8"),
    ] {
        let (recorded, problems) = told(&bytes, &stamps(|_, stamp| stamp));
        assert_eq!(recorded.streams[0].header.name, "Größe");
        assert!(problems.contains(says), "{problems}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    let name = encoding_rs::SHIFT_JIS.encode("脳波").0.into_owned();
    let (front, back) = (
        "<info><name>",
        "</name><channel_count>1</channel_count><nominal_srate>0</nominal_srate><channel_format>float32</channel_format></info>",
    );
    let header = [front.as_bytes(), &name, back.as_bytes()].concat();
    std::fs::write(&path, [begin(), stream(1, &header, &[Some(1.0)])].concat()).expect("written");
    let read = |encoding| check(&path, encoding, |_, _| {}).expect("an XDF file");
    assert!(read(None).problems[0].text.contains("windows-1252 (Latin-1); --encoding names another one"));
    let named = read(Some(encoding_rs::SHIFT_JIS));
    assert_eq!((named.streams[&1].header.name.as_str(), named.problems.len()), ("脳波", 0));
}

#[test]
fn texts_that_the_named_encoding_lacks_are_told() {
    let header = header("", "Markers", "string", "1", "0", "");
    // one sample, stamped, with a text of two bytes
    let sample = [[1, 1, 8].as_slice(), &5.0_f64.to_le_bytes(), &[1, 2, 0x8a, 0xff]].concat();
    let bytes = [begin(), of_stream(2, 1, header.as_bytes()), of_stream(3, 1, &sample), footer(1, "1")];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    std::fs::write(&path, bytes.concat()).expect("written");
    let read = |encoding| {
        let recorded = read_xdf_but(&path, encoding, |_| false).expect("an XDF file");
        let Values::Texts(texts) = &recorded.streams[0].values else { panic!("texts") };
        (texts[0].clone(), recorded.problems[0].text.clone())
    };
    let (text, told) = read(Some(encoding_rs::SHIFT_JIS));
    assert!(
        text.contains('\u{fffd}') && told.contains("nothing in Shift_JIS (1), where U+FFFD stands"),
        "{told}"
    );
    let (text, told) = read(None);
    assert!(
        text == "Šÿ" && told.contains("windows-1252 (Latin-1); --encoding names another one"),
        "{text} {told}"
    );
}

#[test]
fn texts_of_utf_16_without_its_mark_are_told_until_that_is_named() {
    let header = header("", "Markers", "string", "1", "0", "");
    let mut sample = vec![1, 2];
    for (stamp, text) in [(5.0_f64, b"g\0o\0"), (6.0, b"up!?")] {
        sample.extend([&[8], stamp.to_le_bytes().as_slice(), &[1, 4], text].concat());
    }
    let bytes = [begin(), of_stream(2, 1, header.as_bytes()), of_stream(3, 1, &sample), footer(1, "2")];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xdf");
    std::fs::write(&path, bytes.concat()).expect("written");
    let read = |encoding| {
        let recorded = read_xdf_but(&path, encoding, |_| false).expect("an XDF file");
        let Values::Texts(texts) = &recorded.streams[0].values else { panic!("texts") };
        let told: Vec<String> = recorded.problems.into_iter().map(|problem| problem.text).collect();
        (texts[0].clone(), told.join("; "))
    };
    let (text, told) = read(None);
    assert!(text == "g\0o\0" && told.contains("texts hold NUL characters (1): are they UTF-16?"), "{told}");
    assert_eq!(read(Some(encoding_rs::UTF_16LE)), ("go".to_owned(), String::new()));
}

#[test]
fn numbers_and_formats_of_headers_are_read_as_they_are_meant() {
    for (format, channels) in [("cf_float32", "1"), ("Float32", "1.0"), ("float", " 1 ")] {
        let (recorded, problems) =
            told(header("", "A", format, channels, "100", "").as_bytes(), &stamps(|_, stamp| stamp));
        assert_eq!(recorded.streams[0].header.channels, 1);
        assert!(
            problems.contains(&format!("its channel_format is \"{format}\": read as float32")),
            "{problems}"
        );
    }
    let (_, checked, _) =
        read(&[begin(), of_stream(2, 1, header("", "Amp", "float32", "0", "1", "").as_bytes())].concat());
    assert!(checked.problems[0].text.contains("the header of \"Amp\" has the channel_count \"0\""));
    assert!(!checked.can_be_mended(), "nothing to mend in what is not understood");
}

#[test]
fn labels_that_are_not_one_a_channel_are_told() {
    let channels = |labels: &[&str]| {
        let all: Vec<String> =
            labels.iter().map(|label| format!("<channel><label>{label}</label></channel>")).collect();
        header("", "A", "float32", "1", "100", &format!("<channels>{}</channels>", all.concat()))
    };
    let (recorded, problems) = told(channels(&["Cz", "Pz"]).as_bytes(), &stamps(|_, stamp| stamp));
    assert_eq!(recorded.streams[0].header.labels, None);
    assert!(problems.contains("it describes 2 channels and has 1"), "{problems}");
    let two = "<channels><channel><label>Cz</label><unit>uV</unit></channel><channel/></channels>";
    let (recorded, checked, _) =
        read(&[begin(), of_stream(2, 1, header("", "A", "float32", "2", "100", two).as_bytes())].concat());
    let header = &recorded.streams[0].header;
    assert_eq!(header.labels.as_deref(), Some(["Cz".to_owned(), "channel1".to_owned()].as_slice()));
    assert_eq!(header.units.as_deref(), Some(["uV".to_owned(), String::new()].as_slice()));
    assert!(checked.problems[0].text.contains("1 of its 2 channels have no label"), "{:?}", checked.problems);
}

#[test]
fn stamps_that_jump_are_told_with_place_and_size() {
    let problems = |change: fn(usize, f64) -> f64| told(plain("A").as_bytes(), &stamps(change)).1;
    let back = problems(|index, stamp| if index < 50 { stamp } else { stamp - 900.0 });
    assert!(
        back.contains("its stamps jump back once: -899.99 s at sample 50 (from 1000.49 s to 100.5 s)"),
        "{back}"
    );
    let forward = problems(|index, stamp| if index < 50 { stamp } else { stamp + 3600.0 });
    assert!(forward.contains("jump forward once: +3600.01 s at sample 50"), "{forward}");
    let unix = problems(|index, stamp| if index < 50 { stamp } else { stamp + 1.69e9 });
    assert!(unix.contains("which may be Unix time, 2023-07-22"), "{unix}");
    assert!(problems(|_, _| 0.0).contains("all of its 100 samples have the stamp 0 s"));
    assert_eq!(problems(|_, stamp| stamp - 5000.0), "", "before a machine's start is a time like others");
    let (recorded, none) = told(plain("A").as_bytes(), &[None; 50]);
    assert!(none.contains("samples before its first stamp (50): they are counted from 0 s"), "{none}");
    assert!((recorded.streams[0].stamps[49] - 0.5).abs() < 1e-9);
}

#[test]
fn what_stands_before_its_header_is_kept_and_others_are_not_blamed() {
    let all = stamps(|_, stamp| stamp);
    let bytes = [
        begin(),
        samples(7, &all),
        offset(1, 1000.0, 0.5),
        stream(1, plain("A").as_bytes(), &all),
        stream(2, plain("B").as_bytes(), &all),
    ];
    let (recorded, checked, _) = read(&bytes.concat());
    let a = recorded.streams.iter().find(|stream| stream.id == 1).expect("stream 1");
    assert_eq!(a.clock_offsets, [(1000.0, 0.5)]);
    assert!((a.synchronized_stamps()[0] - 1000.5).abs() < 1e-9);
    let told = |part: &str| checked.problems.iter().filter(|problem| problem.text.contains(part)).count();
    assert_eq!(told("samples of stream 7, which has no header"), 1);
    assert_eq!(told("stands behind"), 1, "{:?}", checked.problems);
}

#[test]
fn two_files_that_were_joined_are_not_mixed() {
    let all = stamps(|_, stamp| stamp);
    let first = [begin(), stream(1, plain("First").as_bytes(), &all)].concat();
    let second = [begin(), stream(1, plain("Second").as_bytes(), &all)].concat();
    for between in [0, 100] {
        let bytes = [first.as_slice(), &vec![0; between], &second].concat();
        let (recorded, checked, folder) = read(&bytes);
        assert_eq!(recorded.streams.len(), 1);
        assert_eq!(
            (recorded.streams[0].header.name.as_str(), recorded.streams[0].stamps.len()),
            ("First", 100)
        );
        let joined = checked.problems.iter().find(|problem| problem.text.contains("another XDF file begins"));
        let joined = joined.expect("it is told");
        assert_eq!(joined.offset, (first.len() + between) as u64);
        assert!(joined.text.contains(&format!("tail -c +{}", first.len() + between + 1)), "{}", joined.text);
        let mended = folder.path().join("mended.xdf");
        repair(&folder.path().join("a.xdf"), Target::File(&mended), false, |_, _| {}).expect("mended");
        let mended = std::fs::read(mended).expect("the mended one");
        assert!(mended.windows(second.len()).any(|part| part == second), "the other file stays in it");
    }
}

#[test]
fn footers_are_not_believed_against_what_can_be_counted() {
    let begun =
        [begin(), of_stream(2, 1, plain("A").as_bytes()), samples(1, &stamps(|_, stamp| stamp))].concat();
    for (count, problems) in [("100", 0), ("100.0", 0), ("-1", 0), ("many", 0), ("99", 1)] {
        let (_, checked, _) = read(&[begun.clone(), footer(1, count)].concat());
        assert_eq!(checked.problems.len(), problems, "{count}: {:?}", checked.problems);
    }
    let (_, checked, _) = read(b"XDF:");
    assert!(checked.is_valid() && checked.problems[0].text.contains("no stream in the file"));
}

#[test]
fn clocks_in_other_units_are_named() {
    let all = stamps(|_, stamp| stamp);
    let unix = stamps(|index, _| 1.69e12 + index as f64 * 0.01);
    let bytes = [begin(), stream(1, plain("A").as_bytes(), &all), stream(2, plain("B").as_bytes(), &unix)];
    let told = read(&bytes.concat()).0.mixed_clocks().expect("two clocks");
    assert!(
        told.contains("\"B\" begins at 1690000000000 s (Unix time in milliseconds, 2023-07-22)"),
        "{told}"
    );
}
