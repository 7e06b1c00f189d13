//! The recorder on disks that fail, fall short, or stand still: whatever happens, the file is valid and what is missing is
//! counted. The reader here is independent of the one in `kalmind_recording`.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_channel::Sender;
use kalmind_acquisition::{
    Waker,
    pool::{PoolWriter, pool},
};
use kalmind_engine::{CursorSettings, EngineSettings};
use kalmind_filter::LabelLaw;
use kalmind_offline::recorded::{
    ClockReading, ConfigurationText, FORMAT, InputStream, LossKind, SessionDocument,
};
use kalmind_output::{CursorLayout, CursorRow};
use kalmind_recording::xdf::writer::Sink;
use kalmind_types::{
    Binning, ClockOffset, Component, Event, EventBody, LslTime, Mode, NumberFormat, Phase, SampleBlock,
    Samples, Seconds, StreamDescription, StreamFeatures, StreamTime, TickInput,
};
use serde_json::{Value, json};

use super::{
    RecorderStatus,
    head::RecordingFile,
    leaving::losses,
    watch::{Left, NextFile, fate},
    writing::{Beginning, Message, NumericHeader, Writing},
};
use crate::tick::{RecordLane, TickRecord};

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It fails.
    Fail,
    /// It writes so many bytes, and the rest fails.
    Short(usize),
    /// It writes so many bytes, the rest fails, and the file cannot be cut back either, once.
    Torn(usize),
}

/// A file in memory with a fault at a range of writes.
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    writes: u64,
    faulty: std::ops::Range<u64>,
    fault: Fault,
    short_of: bool,
    cut_fails: bool,
}

impl Disk {
    fn new(faulty: std::ops::Range<u64>, fault: Fault) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let disk =
            Self { bytes: Arc::clone(&bytes), writes: 0, faulty, fault, short_of: false, cut_fails: false };
        (disk, bytes)
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> usize {
        let mut file = self.bytes.lock().expect("a lock");
        let end = offset as usize + bytes.len();
        let length = file.len().max(end);
        file.resize(length, 0);
        file[offset as usize..end].copy_from_slice(bytes);
        bytes.len()
    }
}

impl Sink for Disk {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if core::mem::take(&mut self.short_of) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes += 1;
        if !self.faulty.contains(&self.writes) {
            return Ok(self.put(offset, bytes));
        }
        match self.fault {
            Fault::Fail => Err(io::ErrorKind::StorageFull.into()),
            Fault::Short(count) | Fault::Torn(count) => {
                self.cut_fails = matches!(self.fault, Fault::Torn(_));
                self.short_of = true;
                Ok(self.put(offset, &bytes[..count.min(bytes.len() - 1)]))
            }
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if core::mem::take(&mut self.cut_fails) {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes.lock().expect("a lock").truncate(length as usize);
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(self.bytes.lock().expect("a lock").len() as u64)
    }
}

/// Everything around a recorder but the disk.
struct Bench<S> {
    writing: Writing<S>,
    blocks: PoolWriter<SampleBlock>,
    ticks: RecordLane,
    messages: Sender<Message>,
    status: Arc<RecorderStatus>,
    samples: u64,
}

const CHANNELS: usize = 4;
const SAMPLES: u64 = 5;

fn session() -> SessionDocument {
    let component = |name: &str| Component { name: name.to_owned(), unit: String::new() };
    SessionDocument {
        format: FORMAT,
        version: "0".to_owned(),
        session: "s".to_owned(),
        run: 1,
        instance: "Test".to_owned(),
        participant: String::new(),
        subject: Value::Null,
        bin_ms: 20.0,
        components: vec![component("vx"), component("vy")],
        workspace: [1.0, 1.0],
        kernel_path: "portable".to_owned(),
        guard: true,
        engine: EngineSettings {
            features: vec![StreamFeatures { binning: Binning::Mean, channels: CHANNELS, labels: None }],
            max_masked: 0.25,
            restart_after: Seconds(0.5),
            stale_after: Seconds(0.2),
            auto_resume: Seconds(2.0),
            start: Mode::Idle,
            cursor: CursorSettings::default(),
            label_law: LabelLaw::default(),
            plausibility: true,
            fallback_stale: Seconds(0.3),
        },
        streams: vec![InputStream { key: "array".to_owned(), held_samples: 100 }],
        configuration: ConfigurationText { file: String::new(), sha256: String::new(), toml: String::new() },
        clock: ClockReading { lsl: 1.0, unix: 2.0 },
    }
}

impl<S: Sink> Bench<S> {
    fn new(sink: S) -> Self {
        let session = session();
        let status = Arc::new(RecorderStatus::new("test.xdf".into()));
        let (ticks, records) = RecordLane::new(64, CHANNELS, Waker::new());
        let (messages, received) = crossbeam_channel::bounded(64);
        let (blocks, read) =
            pool(16, || SampleBlock::with_capacity(NumberFormat::Float32, CHANNELS, SAMPLES as usize));
        let labels = (0..CHANNELS).map(|channel| channel.to_string()).collect::<Vec<_>>();
        let row = CursorRow::new(&CursorLayout {
            bin_ms: session.bin_ms,
            components: session.components.clone(),
            run: 1,
            session: "s".to_owned(),
            instance: "Test".to_owned(),
            participant: String::new(),
            version: "0".to_owned(),
            height: 1.0,
        });
        let beginning = Beginning {
            session: &session,
            features: &labels,
            row,
            now: LslTime(0.0),
            date: "1970-01-01T00:00:00+0000",
        };
        let mut writing = Writing::new(sink, beginning, records, received, Arc::clone(&status));
        let description = StreamDescription {
            name: "Array".to_owned(),
            channels: CHANNELS,
            format: Some(NumberFormat::Float32),
            ..StreamDescription::default()
        };
        let header = NumericHeader { description, key: "array".to_owned(), index: Some(0) };
        writing.add_numbers(read, header, LslTime(0.0));
        Self { writing, blocks, ticks, messages, status, samples: 0 }
    }

    /// A block of samples, and a tick that names them.
    fn tick(&mut self, seq: u64) {
        let first = self.samples;
        self.samples += SAMPLES;
        if let Some(mut block) = self.blocks.claim() {
            block.first_index = first;
            block.clock = ClockOffset { offset: Seconds(0.001), uncertainty: Seconds(0.0001) };
            block.stamps = (first..self.samples).map(|index| StreamTime(index as f64 / 250.0)).collect();
            block.values = Samples::Float32(vec![first as f32; CHANNELS * SAMPLES as usize]);
            self.blocks.send(block);
        }
        let mut record = TickRecord::empty(CHANNELS);
        record.input = TickInput { seq, ..TickInput::empty() };
        record.published.output.seq = seq;
        record.published.output.time = LslTime(seq as f64 * 0.02);
        self.ticks.record(&record.input, record.published, false, None, &[0.0; CHANNELS]);
    }

    fn event(&self, number: u64) {
        let body = EventBody::Trial { trial: number, phase: Phase::Start, result: None };
        let event = Event::new(LslTime(number as f64), number, body);
        assert!(self.messages.try_send(Message::Event(event.into())).is_ok());
    }
}

/// A number of variable length, and what is behind it.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let width = usize::from(bytes[0]);
    assert!([1, 4, 8].contains(&width), "a length of {width} bytes");
    let mut value = [0; 8];
    value[..width].copy_from_slice(&bytes[1..=width]);
    (u64::from_le_bytes(value), &bytes[1 + width..])
}

/// What stands in a file: texts by stream, samples of the input, footers. Panics where a chunk is not whole.
#[derive(Debug, Default)]
struct Contents {
    headers: Vec<u32>,
    texts: Vec<(u32, Value)>,
    /// First values of the input's samples, and how many there are.
    samples: Vec<f32>,
    footers: Vec<(u32, String)>,
}

const TICKS: u32 = 1;
const EVENTS: u32 = 4;
const RECORD: u32 = 5;
const INPUT: u32 = 6;

fn contents(file: &[u8]) -> Contents {
    let mut rest = file.strip_prefix(b"XDF:").expect("the magic");
    let mut contents = Contents::default();
    while !rest.is_empty() {
        let (length, behind) = number(rest);
        let (chunk, next) = behind.split_at(length as usize);
        rest = next;
        let tag = u16::from_le_bytes([chunk[0], chunk[1]]);
        if tag == 1 || tag == 5 {
            continue;
        }
        let id = u32::from_le_bytes(chunk[2..6].try_into().expect("four bytes"));
        let content = &chunk[6..];
        match tag {
            2 => contents.headers.push(id),
            3 => {
                assert!(contents.headers.contains(&id), "samples come after their header");
                let (count, mut content) = number(content);
                for _ in 0..count {
                    assert_eq!(content[0], 8, "every sample has a stamp");
                    content = &content[9..];
                    if matches!(id, TICKS | EVENTS | RECORD) {
                        let (length, behind) = number(content);
                        let (text, next) = behind.split_at(length as usize);
                        contents.texts.push((id, serde_json::from_slice(text).expect("JSON")));
                        content = next;
                    } else if id == INPUT {
                        contents.samples.push(f32::from_le_bytes(content[..4].try_into().expect("four")));
                        content = &content[4 * CHANNELS..];
                    } else {
                        break;
                    }
                }
            }
            6 => contents.footers.push((id, String::from_utf8(content.to_vec()).expect("text"))),
            _ => assert_eq!((tag, content.len()), (4, 16), "a clock offset"),
        }
    }
    contents
}

impl Contents {
    fn texts(&self, stream: u32) -> impl Iterator<Item = &Value> {
        self.texts.iter().filter(move |(id, _)| *id == stream).map(|(_, text)| text)
    }

    /// What the file says was lost, of one kind.
    fn told(&self, what: &str) -> u64 {
        self.texts(RECORD)
            .filter(|text| text["kind"] == "loss" && text["what"] == what)
            .filter_map(|text| text["count"].as_u64())
            .sum()
    }
}

/// 100 ticks on a disk with a fault; the file, and the counters.
fn recorded(faulty: std::ops::Range<u64>, fault: Fault) -> (Vec<u8>, Arc<RecorderStatus>) {
    let (disk, bytes) = Disk::new(faulty, fault);
    let mut bench = Bench::new(disk);
    // a head that cannot be written now is written later
    let _refused = bench.writing.begin();
    for seq in 0..100 {
        bench.tick(seq);
        if seq % 10 == 0 {
            bench.event(seq);
        }
        bench.writing.round(LslTime(seq as f64 * 0.02));
    }
    let summary = json!({ "ticks": 100 });
    assert!(bench.messages.try_send(Message::End { reason: "test".to_owned(), summary }).is_ok());
    bench.writing.end(LslTime(10.0));
    let file = bytes.lock().expect("a lock").clone();
    (file, bench.status)
}

fn check(file: &[u8], status: &RecorderStatus, what: &str) {
    let contents = contents(file);
    let ticks: Vec<u64> = contents.texts(TICKS).filter_map(|tick| tick["input"]["seq"].as_u64()).collect();
    let lost = status.lost(LossKind::Ticks);
    assert_eq!(ticks.len() as u64 + lost, 100, "{what}: every tick is there or counted");
    assert_eq!(contents.told("ticks"), lost, "{what}: and told in the file");
    let events = contents.texts(EVENTS).count() as u64;
    assert_eq!(events + status.lost(LossKind::Events), 10, "{what}: every event is there or counted");
    let samples = contents.samples.len() as u64;
    assert_eq!(samples + status.lost(LossKind::Samples), 500, "{what}: every sample is there or counted");
    // by the documents, each sample still has the index it was received with
    let holes: Vec<(u64, u64)> = contents
        .texts(RECORD)
        .filter(|text| text["kind"] == "hole")
        .filter_map(|text| text["row"].as_u64().zip(text["index"].as_u64()))
        .collect();
    for (row, value) in (0_u64..).zip(&contents.samples) {
        let shift =
            holes.iter().rev().find(|(first, _)| *first <= row).map_or(0, |(first, index)| index - first);
        let index = row + shift;
        assert_eq!(
            value.to_bits(),
            ((index - index % SAMPLES) as f32).to_bits(),
            "{what}: row {row} has index {index}"
        );
    }
    // a tick that is there says how many are missing before it
    let mut next = 0;
    for tick in contents.texts(TICKS) {
        let seq = tick["input"]["seq"].as_u64().expect("a number");
        assert_eq!(tick["lost_before"].as_u64(), Some(seq - next), "{what}: before tick {seq}");
        next = seq + 1;
    }
}

#[test]
fn on_a_good_disk_nothing_is_missing_and_footers_say_what_there_is() {
    let (file, status) = recorded(0..0, Fault::Fail);
    check(&file, &status, "no fault");
    let contents = contents(&file);
    assert_eq!(contents.samples.len(), 500);
    assert_eq!(contents.footers.len(), 6);
    let (_, footer) = contents.footers.iter().find(|(id, _)| *id == INPUT).expect("a footer");
    assert!(footer.contains("<sample_count>500</sample_count>"), "{footer}");
    assert!(footer.contains("<first_timestamp>0</first_timestamp>"), "{footer}");
    assert!(footer.contains("<last_timestamp>1.996</last_timestamp>"), "{footer}");
    assert!(contents.texts(RECORD).any(|text| text["kind"] == "session"));
    assert!(contents.texts(RECORD).any(|text| text["kind"] == "end" && text["summary"]["ticks"] == 100));
}

#[test]
fn whichever_write_fails_or_falls_short_the_file_is_valid_and_the_loss_is_counted() {
    for fault in [Fault::Fail, Fault::Short(7), Fault::Short(1000), Fault::Torn(50)] {
        for number in 1..=200 {
            let (file, status) = recorded(number..number + 1, fault);
            check(&file, &status, &format!("{fault:?} at write {number}"));
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_leaves_a_hole_and_recording_goes_on() {
    for fault in [Fault::Fail, Fault::Short(13), Fault::Torn(13)] {
        for (begin, end) in [(1, 30), (20, 120), (150, 190), (190, 210)] {
            let (file, status) = recorded(begin..end, fault);
            check(&file, &status, &format!("{fault:?} from write {begin} to {end}"));
            assert!(status.lost(LossKind::Samples) > 0);
            assert_eq!(status.json()["state"], "ended");
        }
    }
}

/// A disk whose writes stand still until the gate is opened.
struct Slow {
    open: Arc<(Mutex<bool>, Condvar)>,
    written: Arc<AtomicU64>,
}

impl Sink for Slow {
    fn write_at(&mut self, _offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let (open, changed) = &*self.open;
        let _open = changed.wait_while(open.lock().expect("a lock"), |open| !*open).expect("a lock");
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn cut(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

#[test]
fn while_a_write_stands_still_ticks_and_samples_go_on_and_what_finds_no_room_is_counted() {
    let open = Arc::new((Mutex::new(false), Condvar::new()));
    let written = Arc::new(AtomicU64::new(0));
    let Bench { mut writing, mut blocks, mut ticks, messages: _messages, status, .. } =
        Bench::new(Slow { open: Arc::clone(&open), written: Arc::clone(&written) });
    let recorder = std::thread::spawn(move || {
        let _written = writing.begin();
        writing.end(LslTime(1.0));
        writing
    });
    // far more than fits, while nothing is written: neither call ever waits
    let mut refused = 0;
    for seq in 0..1000 {
        match blocks.claim() {
            Some(block) => blocks.send(block),
            None => refused += 1,
        }
        let input = TickInput { seq, ..TickInput::empty() };
        ticks.record(&input, TickRecord::empty(CHANNELS).published, false, None, &[0.0; CHANNELS]);
    }
    assert!(refused >= 1000 - 16, "the pool of samples is bounded");
    assert_eq!(ticks.lost().load(Ordering::Relaxed), 1000 - 64, "the pool of ticks is bounded");
    assert_eq!(written.load(Ordering::Relaxed), 0);
    *open.0.lock().expect("a lock") = true;
    open.1.notify_all();
    drop(recorder.join().expect("the recorder goes on"));
    assert!(written.load(Ordering::Relaxed) > 0);
    assert_eq!(status.lost(LossKind::Ticks), 0, "what came after the gap would tell of it");
}

/// A recorder on a file in a folder, and the watch's end of it.
fn on_a_file(folder: &std::path::Path) -> (Bench<RecordingFile>, std::fs::File, std::path::PathBuf) {
    let path = folder.join("a.xdf");
    let file = super::file::open_new(&path).expect("a file");
    let mut bench = Bench::new(RecordingFile::Open(file.try_clone().expect("a file")));
    bench.writing.begin().expect("room");
    (bench, file, path)
}

fn ticks(bench: &mut Bench<RecordingFile>, seqs: std::ops::Range<u64>) {
    for seq in seqs {
        bench.tick(seq);
        if seq % 10 == 0 {
            bench.event(seq);
        }
        bench.writing.round(LslTime(seq as f64 * 0.02));
    }
}

/// What the watch would say now.
fn left(file: &std::fs::File, path: &std::path::Path, status: &RecorderStatus, next: Option<&str>) -> Left {
    let fate = fate(file, path, status.bytes()).expect("it can be seen").expect("it is not as it was");
    let next = next.map(|name| {
        let path = path.with_file_name(name);
        NextFile { file: super::file::open_new(&path).expect("a file"), path }
    });
    Left { file: file.try_clone().expect("a file"), path: path.to_owned(), fate, next }
}

fn finish(bench: &mut Bench<RecordingFile>) {
    bench.writing.end(LslTime(10.0));
}

#[test]
fn a_recording_whose_file_is_deleted_goes_on_in_another_one_that_stands_for_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut bench, file, path) = on_a_file(folder.path());
    let message =
        Message::Model { id: "m".to_owned(), name: "kalman".to_owned(), file: Arc::from([1, 2, 3]) };
    assert!(bench.messages.try_send(message).is_ok());
    ticks(&mut bench, 0..50);
    std::fs::remove_file(&path).expect("removed");
    let left = left(&file, &path, &bench.status, Some("a-2.xdf"));
    assert_eq!(bench.writing.leave(&left, LslTime(1.0)), None);
    ticks(&mut bench, 50..100);
    finish(&mut bench);
    let status = Arc::clone(&bench.status);
    assert_eq!(status.lost(LossKind::Ticks), 50, "all that was in the file");
    assert_eq!(status.lost(LossKind::Samples), 250);
    assert_eq!(status.lost(LossKind::Events), 5);
    assert!(status.loss().is_some_and(|loss| loss.contains("50 ticks") && loss.contains("deleted")));
    let shown = status.json();
    assert_eq!(shown["lost_files"], 1);
    assert_eq!(shown["earlier_files"][0]["fate"], "deleted");
    assert_eq!(shown["file"], folder.path().join("a-2.xdf").display().to_string());

    let bytes = std::fs::read(folder.path().join("a-2.xdf")).expect("the next file");
    let contents = contents(&bytes);
    let kinds: Vec<&str> = contents.texts(RECORD).filter_map(|text| text["kind"].as_str()).take(3).collect();
    assert_eq!(kinds, ["session", "continued", "model"]);
    let continued = contents.texts(RECORD).nth(1).expect("a document");
    assert_eq!(continued["file"], path.display().to_string());
    assert_eq!(continued["last_seq"], 49);
    let seqs: Vec<u64> = contents.texts(TICKS).filter_map(|tick| tick["input"]["seq"].as_u64()).collect();
    assert_eq!(seqs, (50..100).collect::<Vec<_>>());
    assert_eq!(contents.samples.len(), 250);
    let hole = contents.texts(RECORD).find(|text| text["kind"] == "hole").expect("a document");
    assert_eq!((&hole["row"], &hole["index"]), (&json!(0), &json!(250)), "samples keep their indices");
    assert_eq!(contents.told("ticks"), 50, "what was lost is told");
    assert_eq!(contents.footers.len(), 6);
    assert_eq!(bytes.len() as u64, status.bytes());
}

#[test]
fn a_recording_whose_file_is_moved_is_whole_up_to_then_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut bench, file, path) = on_a_file(folder.path());
    ticks(&mut bench, 0..50);
    let elsewhere = folder.path().join("elsewhere.xdf");
    std::fs::rename(&path, &elsewhere).expect("moved");
    let left = left(&file, &path, &bench.status, Some("a-2.xdf"));
    assert_eq!(bench.writing.leave(&left, LslTime(1.0)), None);
    ticks(&mut bench, 50..100);
    finish(&mut bench);
    assert_eq!(bench.status.loss(), None);
    let before = contents(&std::fs::read(&elsewhere).expect("the file before"));
    assert_eq!(before.texts(TICKS).count(), 50);
    assert_eq!(before.footers.len(), 6, "it is whole");
    assert!(before.texts(RECORD).any(|text| text["kind"] == "continues_in"));
    let next = contents(&std::fs::read(folder.path().join("a-2.xdf")).expect("the next file"));
    assert_eq!(next.texts(TICKS).count(), 50);
}

#[test]
fn nothing_is_written_behind_a_cut_and_what_is_left_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut bench, file, path) = on_a_file(folder.path());
    ticks(&mut bench, 0..50);
    let whole = std::fs::read(&path).expect("the file");
    let kept = whole.len() as u64 / 2;
    std::fs::File::options().write(true).open(&path).expect("the file").set_len(kept).expect("cut");
    // the first write notices; then everything waits for another file
    for seq in 50..60 {
        bench.tick(seq);
        bench.writing.round(LslTime(1.0));
    }
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), kept, "no hole is made");
    assert_eq!(bench.status.json()["state"], "failing");
    let left = left(&file, &path, &bench.status, Some("a-2.xdf"));
    let accounts = bench.writing.leave(&left, LslTime(1.1)).expect("what it had");
    let lost = losses(&left.file, &accounts);
    let because = left.fate.sentence(&left.path);
    assert!(bench.messages.try_send(Message::Lost { losses: lost.clone(), because }).is_ok());
    ticks(&mut bench, 60..100);
    finish(&mut bench);
    let of = |what| lost.iter().filter(|(kind, _, _)| *kind == what).map(|(_, _, count)| count).sum::<u64>();
    let read = kalmind_recording::xdf::recording::read_xdf(&path).expect("what is left");
    let left_of = |role: &str| {
        let stream = read.streams.iter().find(|stream| stream.header.role.as_deref() == Some(role));
        stream.map_or(0, |stream| stream.stamps.len() as u64)
    };
    assert!(left_of("ticks") > 10 && of(LossKind::Ticks) > 10);
    let next = contents(&std::fs::read(folder.path().join("a-2.xdf")).expect("the next file"));
    let recorded = left_of("ticks") + next.texts(TICKS).count() as u64;
    assert_eq!(recorded + bench.status.lost(LossKind::Ticks), 100, "every tick is in a file or counted");
    let recorded = left_of("input") + next.samples.len() as u64;
    assert_eq!(recorded + bench.status.lost(LossKind::Samples), 500);
}

#[test]
fn without_any_file_what_comes_is_counted_until_there_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut bench, file, path) = on_a_file(folder.path());
    ticks(&mut bench, 0..20);
    std::fs::remove_file(&path).expect("removed");
    let left = left(&file, &path, &bench.status, None);
    bench.writing.leave(&left, LslTime(1.0));
    ticks(&mut bench, 20..60);
    assert_eq!(bench.status.lost(LossKind::Ticks), 60);
    assert_eq!(bench.status.json()["state"], "failing");
    let path = folder.path().join("a-2.xdf");
    let next = NextFile { file: super::file::open_new(&path).expect("a file"), path: path.clone() };
    bench.writing.settle(&next, "there is room again");
    ticks(&mut bench, 60..100);
    finish(&mut bench);
    let next = contents(&std::fs::read(&path).expect("the next file"));
    assert_eq!(next.texts(TICKS).count(), 40);
    assert_eq!(next.told("ticks"), 60);
    assert_eq!(next.texts(RECORD).filter(|text| text["kind"] == "session").count(), 1);
}

#[test]
fn what_becomes_of_the_file_at_the_very_end_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut bench, file, path) = on_a_file(folder.path());
    ticks(&mut bench, 0..50);
    finish(&mut bench);
    std::fs::remove_file(&path).expect("removed");
    let left = left(&file, &path, &bench.status, None);
    assert_eq!(bench.writing.look_back(&left), None);
    assert_eq!(bench.status.lost(LossKind::Ticks), 50);
    assert!(bench.status.loss().is_some());
}
