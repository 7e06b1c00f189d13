//! Replay of recorded sessions: bit-identical each time, and different where anything in the samples is.
//!
//! `fixtures/session/session.xdf` was recorded live (fixtures/session/make.py): open loop, fit, swap, closed loop, a STOP
//! and a resume, a burst of late samples. So was `kinds.xdfz` (tests/live/golden.rs), which has every kind of stream, swap
//! and disturbance. `golden.json` and `kinds.json` beside them hold what replay gave when they were made.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use kalmind::commands::replay::replay;
use kalmind_offline::{
    recompute,
    recorded::{Item, RecordDocument, SessionReader, Wanted},
};
use kalmind_recording::xdf::Source;
use kalmind_signal::Given;
use kalmind_types::{Command, EventBody, SampleRows, Samples, StreamTime, WindowMissing};
use serde_json::{Value, json};

/// The recordings, each with what replay gave of it.
const SESSIONS: [[&str; 2]; 2] = [["session.xdf", "golden.json"], ["kinds.xdfz", "kinds.json"]];

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
fn each_session_repeats_bit_for_bit_fifty_times() {
    for [recording, golden] in SESSIONS {
        let golden: Value =
            serde_json::from_slice(&fs::read(fixture(golden)).expect("the golden file")).expect("JSON");
        assert_eq!(golden["identical"], true, "the golden replay equals what was published live");
        for round in 0..50 {
            assert_eq!(replayed(&fixture(recording)), golden, "{recording}, round {round}");
        }
    }
}

#[test]
#[ignore = "writes fixtures/session/golden.json and kinds.json"]
fn write_the_golden_hash() {
    for [recording, golden] in SESSIONS {
        let text = serde_json::to_string_pretty(&replayed(&fixture(recording))).expect("JSON");
        fs::write(fixture(golden), text + "\n").expect("the fixtures' folder");
    }
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

/// The least of each that kinds.xdfz has to hold.
const KINDS: &[(&str, u64)] = &[
    ("stream of mean", 1),
    ("stream of sum", 1),
    ("stream of latest", 1),
    ("stage iir", 1),
    ("stage iir_backward", 1),
    ("sample as received", 1000),
    ("gap that was filled", 1),
    ("restart of the stages", 2),
    ("model without lags", 1),
    ("model with lags", 2),
    ("warmed swap to a model with lags", 2),
    ("warmed swap back to a model", 1),
    ("swap to a model that the session fitted", 1),
    ("running z-score", 2),
    ("bin of another generation of the stages", 20),
    ("swap at a generation", 1),
    ("tick with a channel switched off", 100),
    ("incomplete bin", 1),
    ("lost sample", 1),
    ("late sample", 1),
    ("value that is not finite", 1),
    ("held value that was too old", 1),
    ("restart of the decoder", 2),
    ("target of a marker", 1),
    ("window at a marker", 2),
    ("window with a gap", 1),
    ("window of a late marker", 1),
    ("stop", 1),
];

#[test]
fn the_session_of_every_kind_holds_each() {
    let wanted = Wanted { inputs: true, raw: true, features: true, ticks: true };
    let mut reader = SessionReader::open(&fixture("kinds.xdfz"), wanted).expect("a recording");
    let mut found = BTreeMap::<String, u64>::new();
    let mut count = |kind: &str, more: u64| *found.entry(kind.to_owned()).or_default() += more;
    let mut lags = BTreeMap::<String, bool>::new();
    let mut swapped = BTreeSet::<String>::new();
    while let Some(item) = reader.next_item().expect("readable to its end") {
        match item {
            Item::Session(session) => {
                for (input, features) in session.streams.iter().zip(&session.engine.features) {
                    count(&format!("stream of {}", features.binning.name()), 1);
                    for stage in input.stages.iter().flat_map(|stages| &stages.settings.0) {
                        count(&format!("stage {}", stage.name()), 1);
                    }
                }
            }
            Item::Raw(_, _, _, Samples::Float32(values)) => {
                count("sample as received", values.len() as u64 / 3);
            }
            Item::Document(RecordDocument::Given { given: Given::Held(_), .. }) => {
                count("gap that was filled", 1);
            }
            Item::Document(RecordDocument::Given { given: Given::Restart { .. }, .. }) => {
                count("restart of the stages", 1);
            }
            Item::Document(RecordDocument::Model(part)) if part.part == 0 => {
                let looks_back = part.name.contains("lags=");
                count(if looks_back { "model with lags" } else { "model without lags" }, 1);
                lags.insert(part.id, looks_back);
            }
            Item::Document(RecordDocument::Adaptive { .. }) => count("running z-score", 1),
            Item::Tick(tick) => {
                let input = &tick.document.input;
                count("tick with a channel switched off", u64::from(input.masked.is_masked(0, 1)));
                count("bin of another generation of the stages", u64::from(input.streams[0].generation == 1));
                count("incomplete bin", u64::from(input.incomplete));
                count("lost sample", input.streams.iter().map(|stream| stream.lost).sum());
                count("late sample", input.streams.iter().map(|stream| stream.late).sum());
                count("value that is not finite", u64::from(tick.document.nonfinite_values));
                let held = tick.features.last().expect("the slow stream's");
                count("held value that was too old", u64::from(held.is_nan()));
                count("restart of the decoder", u64::from(tick.document.row_one));
                for window in &input.windows {
                    match window.missing {
                        None => count("window at a marker", 1),
                        Some(WindowMissing::Gap) => count("window with a gap", 1),
                        Some(WindowMissing::Late) => count("window of a late marker", 1),
                        Some(_) => {}
                    }
                }
                for command in &input.commands {
                    match command {
                        Command::SwapWarmed { model, from, through } if through - from >= 15 => {
                            let looks_back = u64::from(lags[&model.to_hex()]);
                            count("warmed swap to a model with lags", looks_back);
                            count("warmed swap back to a model", u64::from(!swapped.insert(model.to_hex())));
                        }
                        Command::SwapModel(model) => {
                            swapped.insert(model.to_hex());
                        }
                        Command::Task(task) => {
                            count("target of a marker", u64::from(task.target.is_some()));
                        }
                        Command::SwapAtGeneration { .. } => count("swap at a generation", 1),
                        Command::Stop { .. } => count("stop", 1),
                        _ => {}
                    }
                }
            }
            Item::Event(event) => {
                if let EventBody::Model(model) = &event.body {
                    let fitted = u64::from(json!(model)["train_bins"].is_number());
                    count("swap to a model that the session fitted", fitted);
                }
            }
            _ => {}
        }
    }
    for (kind, least) in KINDS {
        assert!(found.get(*kind) >= Some(least), "{kind}: {least} at least; there are {found:#?}");
    }
}

/// Where bytes stand in a file: once.
fn place_of(file: &[u8], row: &[u8]) -> usize {
    let mut found = file.windows(row.len()).enumerate().filter(|(_, window)| *window == row);
    let (at, _) = found.next().expect("the row");
    assert!(found.next().is_none(), "more than one row like it");
    at
}

/// The bytes of a row.
fn bytes_of(values: &Samples, channels: usize, row: u64) -> Vec<u8> {
    match values.rows(channels, row as usize, row as usize + 1) {
        SampleRows::Float32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        SampleRows::Double64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        SampleRows::Int16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        other => unreachable!("no stream has the format of {other:?}"),
    }
}

/// A row that a bin is made of, of each stream and of the first one as it was received: place, whether it is that, bytes.
fn rows_of_a_bin() -> Vec<(usize, bool, Vec<u8>)> {
    const CHANNELS: [usize; 3] = [3, 2, 1];
    let wanted = Wanted { inputs: true, raw: true, features: false, ticks: true };
    let mut reader = SessionReader::open(&fixture("kinds.xdfz"), wanted).expect("a recording");
    let (mut samples, mut raw) = (Vec::new(), None);
    loop {
        match reader.next_item().expect("readable").expect("a bin of all streams") {
            Item::Samples(place, first, stamps, values) => samples.push((place, first, stamps, values)),
            Item::Raw(place, 300.., _, values) => raw = raw.or(Some((place, true, bytes_of(&values, 3, 0)))),
            Item::Tick(tick) if tick.document.input.seq > 40 && !tick.document.input.incomplete => {
                let streams = tick.document.input.streams.iter().zip(CHANNELS).enumerate();
                let rows = streams.map(|(place, (stream, channels))| {
                    let index = stream.ranges.first()?.first;
                    let holds = |(of, first, stamps, _): &&(usize, u64, Vec<StreamTime>, _)| {
                        *of == place && (*first..*first + stamps.len() as u64).contains(&index)
                    };
                    let (_, first, stamps, values) = samples.iter().find(holds)?;
                    let stamp = stamps[(index - first) as usize].0.to_le_bytes().to_vec();
                    Some((place, false, [stamp, bytes_of(values, channels, index - first)].concat()))
                });
                if let Some(rows) = rows.chain([raw.clone()]).collect() {
                    return rows;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn derived_streams_are_made_again_and_one_flipped_bit_of_any_stream_is_found() {
    let found = recompute(&fixture("kinds.xdfz"), |_, _| {}).expect("it can be computed");
    assert!(found.identical() && found.streams == 1 && found.compared > 1000, "{found:?}");

    let mut original = Vec::new();
    let (mut source, _) = Source::open(&fixture("kinds.xdfz")).expect("the fixture");
    source.read_to_end(&mut original).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flipped.xdf");
    for (place, raw, row) in rows_of_a_bin() {
        let mut file = original.clone();
        let at = place_of(&file, &row) + row.len() - 1;
        file[at] ^= 1;
        fs::write(&path, &file).expect("a file");
        let found = replayed(&path);
        assert_eq!(found["identical"], raw, "stream {place}: {found}");
        if !raw {
            // the last value of the row
            let feature = format!("feature {}", [2, 4, 5][place]);
            assert_eq!(found["first_difference"]["field"], feature, "{found}");
        }
        let computed = recompute(&path, |_, _| {}).expect("it can be computed");
        assert_eq!(computed.first_difference.is_some(), place == 0, "stream {place}: {computed:?}");
    }
}
