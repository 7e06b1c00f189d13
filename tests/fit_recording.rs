//! Rows, labels and models from recordings, beside what pyxdf and numpy make of the same files.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod program;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kalmind_offline::{
    Quiet,
    recorded::{Item, SessionReader, Wanted, gather},
    sources::label_tables,
};
use kalmind_types::{EventBody, StagesAction};
use serde_json::Value;

use program::Folder;

/// What two ways of rounding a quotient and a square root may differ by.
const ROUNDING: f64 = 1e-12;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn session() -> PathBuf {
    root().join("fixtures/session/session.xdf")
}

/// Rows and means by pyxdf and numpy.
fn by_numpy(recording: &Path, block: &str) -> Value {
    let python = root().join(".venv/bin/python");
    assert!(python.exists(), "no Python peers: `make .venv/peers-ready` makes them");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("rows.json");
    let status = Command::new(python)
        .arg(root().join("tests/python/recorded_labels.py"))
        .args([recording, &out])
        .arg(block)
        .status()
        .expect("Python runs");
    assert!(status.success(), "numpy reads {}", recording.display());
    serde_json::from_slice(&fs::read(out).expect("its output")).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn rows_and_labels_are_those_of_another_implementation() {
    // the closed loop has a stop, lost samples and incomplete bins
    for block in ["open_loop", "closed_loop", "all"] {
        let theirs = by_numpy(&session(), block);
        let rows = theirs["rows"].as_array().expect("rows");
        let gathered = gather(&session(), Some(block), &Quiet(|| 0.0)).expect("rows");
        let data = gathered.calibration.data(false).expect("enough rows");
        assert!(rows.len() > 100, "{block}: {}", rows.len());
        assert_eq!(data.training.rows(), rows.len(), "{block}");
        let measures = data.training.measurement.as_deref().expect("a mask");
        for (row, expected) in rows.iter().enumerate() {
            let label = [data.training.states[(row, 0)], data.training.states[(row, 1)]];
            let close = label
                .iter()
                .zip([&expected[1], &expected[2]])
                .all(|(ours, theirs)| (ours - number(theirs)).abs() < ROUNDING);
            assert!(close, "{block}, row {row}: {label:?} and {expected}");
            assert_eq!(
                gathered.rows[row].0.0.to_bits(),
                number(&expected[0]).to_bits(),
                "{block}, row {row}"
            );
            assert_eq!(measures[row], expected[3].as_bool().expect("a flag"), "{block}, row {row}");
        }
        let means = theirs["mean"].as_array().expect("means");
        assert_eq!(means.len(), data.training_mean.len());
        for (channel, (ours, theirs)) in data.training_mean.iter().zip(means).enumerate() {
            assert!((ours - number(theirs)).abs() < 1e-9, "{block}, channel {channel}: {ours} and {theirs}");
        }
        let tables = label_tables(&gathered).expect("tables");
        let complete: Vec<u64> =
            rows.iter().filter(|row| row[4] == true).map(|row| number(&row[0]).to_bits()).collect();
        let times: Vec<u64> = tables.time.iter().map(|time| time.to_bits()).collect();
        assert!(times == complete, "{block}: tables hold the complete bins");
    }
}

#[test]
fn rows_of_the_newest_generation_of_stages_count_and_the_others_are_left_out() {
    let kinds = root().join("fixtures/session/kinds.xdfz");
    let gathered = gather(&kinds, Some("all"), &Quiet(|| 0.0)).expect("rows");
    let mut reader =
        SessionReader::open(&kinds, Wanted { ticks: true, ..Wanted::default() }).expect("readable");
    let (mut numbers, mut begun, mut ticks) = (Vec::new(), None, HashMap::new());
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Tick(tick) => {
                let input = &tick.document.input;
                numbers = input.streams.iter().map(|stream| stream.generation).collect();
                ticks.insert(input.time.0.to_bits(), numbers.clone());
            }
            Item::Event(event) => {
                if let EventBody::Stages(stages) = event.body
                    && stages.action == StagesAction::StagesInForce
                {
                    begun = Some((stages.stream, stages.generation));
                }
            }
            _ => {}
        }
    }
    let (stream, generation) = begun.expect("stages change in it");
    assert!(numbers.iter().any(|number| *number > 0), "{numbers:?}");
    assert!(gathered.left_out > 0);
    assert!(gathered.rows.iter().all(|(time, _)| ticks[&time.0.to_bits()] == numbers));
    let session = &gathered.session;
    let place = session.streams.iter().position(|input| input.key == stream).expect("the stream");
    assert_eq!(session.engine.features[place].generation, Some(generation));
    assert_ne!(session.streams[place].stages.as_ref().map(|stages| stages.generation), Some(generation));
    // and it is said
    let folder = Folder::new();
    let said = folder
        .succeeds(&format!("fit {} --blocks all --decoder kalman -o m.safetensors --json", kinds.display()));
    let said: Value = serde_json::from_str(&said).expect("one JSON document");
    assert_eq!(said["left_out_bins"], gathered.left_out);
}

#[test]
fn any_rows_train_where_they_are_named_and_the_rest_is_judged() {
    let folder = Folder::new();
    let session = session().display().to_string();
    let judged = |options: &str| -> Value {
        let said = folder.succeeds(&format!("replay {session} --decoder kalman {options} --json"));
        serde_json::from_str(&said).expect("one JSON document")
    };
    let by_default = judged("");
    // five seconds of open loop, and what comes after them
    assert_eq!((&by_default["train"][0], &by_default["train"][1]), (&0.into(), &by_default["test"][0]));
    assert!((240..=255).contains(&(number(&by_default["train"][1]) as u64)), "{by_default:#}");
    let rows = number(&by_default["test"][1]) as u64;
    assert_eq!(judged("--train 0..200")["test"], serde_json::json!([200, rows]));
    assert_eq!(
        judged(&format!("--train 100..{rows}"))["test"],
        serde_json::json!([0, 100]),
        "none come after"
    );
    let all = format!("replay {session} --decoder kalman --train 0..{rows}");
    folder.refuses(&all, 2, &["none of", "--train A..B"]);
    folder.refuses(
        &format!("replay {session} --decoder kalman --train 0..9999"),
        2,
        &["--train", "past the end"],
    );
    folder.refuses(&format!("replay {session} --train 0..100"), 2, &["--decoder"]);
    folder.refuses(&format!("replay {session} --report r.html"), 2, &["--model", "--decoder"]);
}

#[test]
fn a_recording_and_tables_are_not_given_at_once() {
    let folder = Folder::new();
    let session = session().display().to_string();
    folder.refuses(
        &format!("fit {session} --features x.csv --states z.csv --rate 50 --decoder kalman -o m.kalmind"),
        2,
        &["RECORDING", "--features"],
    );
    folder.refuses("fit --decoder kalman -o m.kalmind", 2, &["--features", "--states"]);
    folder.refuses(
        &format!("fit {session} --blocks typing --decoder kalman -o m.kalmind"),
        2,
        &["open_loop"],
    );
    folder.refuses(&format!("fit {session} --blocks reach --decoder kalman -o m.kalmind"), 2, &["reach"]);
}
