//! Replay of a recorded session: bit-identical each time, and different where anything in the samples is.
//!
//! `fixtures/session/session.xdf` was recorded live (fixtures/session/make.py): open loop, fit, swap, closed loop, a STOP
//! and a resume, a burst of late samples. `golden.json` beside it holds what replay gave when it was made.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use kalmind::commands::replay::replay;
use kalmind_offline::recorded::{Item, SessionReader, Wanted};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/session").join(name)
}

/// What replay of a file gives.
fn replayed(path: &Path) -> Value {
    let replayed = replay(path, false, |_, _| {}).expect("a replay");
    json!({
        "ticks": replayed.comparison.ticks,
        "identical": replayed.identical(),
        "output_sha256": replayed.comparison.output_sha256(),
        "first_difference": replayed.comparison.first_difference,
    })
}

#[test]
fn the_session_repeats_bit_for_bit_fifty_times() {
    let golden: Value =
        serde_json::from_slice(&fs::read(fixture("golden.json")).expect("the golden file")).expect("JSON");
    assert_eq!(golden["identical"], true, "the golden replay equals what was published live");
    for round in 0..50 {
        assert_eq!(replayed(&fixture("session.xdf")), golden, "round {round}");
    }
}

#[test]
#[ignore = "writes fixtures/session/golden.json"]
fn write_the_golden_hash() {
    let golden = serde_json::to_string_pretty(&replayed(&fixture("session.xdf"))).expect("JSON");
    fs::write(fixture("golden.json"), golden + "\n").expect("the fixtures' folder");
}

#[test]
fn the_session_holds_what_a_session_may_meet() {
    let wanted = Wanted { inputs: true, raw: false, features: true, ticks: true };
    let mut reader = SessionReader::open(&fixture("session.xdf"), wanted).expect("a recording");
    let (mut commands, mut states) = (BTreeSet::new(), BTreeSet::new());
    let (mut incomplete, mut lost, mut masked) = (0, 0, 0);
    let state = |reader: &SessionReader| reader.cursor_labels().iter().position(|label| label == "state");
    while let Some(item) = reader.next_item().expect("readable to its end") {
        if let Item::Tick(recorded) = item {
            let tick = &recorded.document;
            incomplete += u64::from(tick.input.incomplete);
            lost += tick.input.streams.iter().map(|stream| stream.lost).sum::<u64>();
            masked += u64::from(tick.input.masked.is_masked(0, 3));
            for command in &tick.input.commands {
                let command = serde_json::to_value(command).expect("JSON");
                commands.extend(command.as_object().and_then(|map| map.keys().next()).cloned());
            }
            let (_, values) = recorded.cursor.as_ref().expect("published");
            states.insert(values[state(&reader).expect("a channel")] as u8);
        }
    }
    assert!(incomplete > 0 && lost > 0 && masked > 0, "{incomplete} {lost} {masked}");
    for expected in ["swap_model", "stop", "request", "task", "place_cursor"] {
        assert!(commands.contains(expected), "{expected} is not among {commands:?}");
    }
    assert!(states.is_superset(&BTreeSet::from([0, 1, 2, 3])), "{states:?}");
}

/// Where the values of the sample that tick `seq` decodes stand in the file.
fn place_of_sample(file: &[u8], seq: u64) -> usize {
    // sample mode: one sample a tick
    let wanted = Wanted { inputs: true, raw: false, features: false, ticks: true };
    let mut reader = SessionReader::open(&fixture("session.xdf"), wanted).expect("a recording");
    let mut samples = Vec::new();
    loop {
        match reader.next_item().expect("readable").expect("the tick is there") {
            Item::Samples(0, first, stamps, _) => samples.push((first, stamps)),
            Item::Tick(tick) if tick.document.input.seq == seq => {
                let index = tick.document.input.streams[0].ranges[0].first;
                let (first, stamps) =
                    samples.iter().rev().find(|(first, _)| *first <= index).expect("its sample came before");
                let stamp = stamps[(index - first) as usize].0;
                // a chunk with one sample of stream 6, the participant's; events may have the same stamp
                let mut needle = vec![3, 0, 6, 0, 0, 0, 1, 1, 8];
                needle.extend(stamp.to_le_bytes());
                let at = file.windows(needle.len()).position(|window| window == needle);
                return at.expect("the sample") + needle.len();
            }
            _ => {}
        }
    }
}

#[test]
fn one_flipped_bit_of_one_sample_is_found_at_its_tick() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flipped.xdf");
    let original = fs::read(fixture("session.xdf")).expect("the fixture");
    // in open loop, in closed loop, while stopped; channel 3 is switched off, and is compared all the same
    for (seq, channel, bit) in [(0, 0, 0), (100, 17, 31), (260, 3, 22), (270, 50, 23), (350, 95, 30)] {
        let mut file = original.clone();
        let at = place_of_sample(&file, seq) + 4 * channel;
        file[at + bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &file).expect("a file");
        let found = replayed(&path);
        assert_eq!(found["identical"], false);
        let difference = &found["first_difference"];
        assert_eq!(difference["seq"], seq, "bit {bit} of channel {channel}: {found}");
        assert_eq!(difference["field"], format!("feature {channel}"), "{found}");
    }
}

#[test]
fn what_is_missing_from_a_recording_is_said_and_not_called_identical() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.xdf");
    let original = fs::read(fixture("session.xdf")).expect("the fixture");
    // the participant's stream is taken for one of another role: no samples
    let from = b"<role>input</role>";
    let at = original.windows(from.len()).position(|window| window == from).expect("the role");
    let mut file = original.clone();
    file[at..at + from.len()].copy_from_slice(b"<role>extra</role>");
    fs::write(&path, &file).expect("a file");
    let found = replayed(&path);
    assert_eq!(found["identical"], false);
    assert_eq!(found["first_difference"]["field"], "samples", "{found}");
    assert_eq!(found["first_difference"]["seq"], 0);

    // a torn tail names the byte and the remedy
    fs::write(&path, &original[..original.len() - 10]).expect("a file");
    let error = replay(&path, false, |_, _| {}).expect_err("it is torn").to_string();
    assert!(error.contains("at byte") && error.contains("recording repair"), "{error}");

    let error = replay(Path::new("none.xdf"), false, |_, _| {}).expect_err("there is none").to_string();
    assert!(error.contains("none.xdf"), "{error}");
}
