//! The recorder on disks that fail, fall short, or stand still: whatever happens, the file is valid and what is missing is
//! counted. The reader here is independent of the one in `kalmind_recording`.

mod bench;
mod contents;
mod disk;

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicU64, Ordering},
};

use kalmind_offline::recorded::LossKind;
use kalmind_types::{LslTime, TickInput};
use serde_json::json;

use super::{
    Message, RecorderStatus,
    fate::fate,
    head::RecordingFile,
    leaving::losses,
    watch::{Left, NextFile},
};
use crate::tick::{EngineView, TickRecord};
use bench::{Bench, CHANNELS, SAMPLES};
use contents::{EVENTS, INPUT, RECORD, TICKS, contents};
use disk::{Disk, Fault, Slow};

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
        ticks.record(
            &input,
            TickRecord::empty(CHANNELS).published,
            false,
            &EngineView { features: &[0.0; CHANNELS], ..EngineView::default() },
        );
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
    let message = Message::Model {
        id: "m".to_owned(),
        name: "kalman".to_owned(),
        file: Arc::from([1, 2, 3]),
        fitted: None,
    };
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
