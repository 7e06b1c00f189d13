//! The commands that take a recording, on the real program and the fixture's session.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod program;

use std::{fs, path::Path};

use kalmind_offline::recorded::{Item, ModelPart, RecordDocument, SessionReader, Wanted};
use serde_json::Value;

use program::Folder;

fn session() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/session/session.xdf").display().to_string()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON document and nothing else")
}

/// The bytes of the model that decoded in the session.
fn recorded_model() -> Vec<u8> {
    let mut reader = SessionReader::open(Path::new(&session()), Wanted::default()).expect("a recording");
    let mut parts = Vec::new();
    while let Some(item) = reader.next_item().expect("readable") {
        if let Item::Document(RecordDocument::Model(part)) = item {
            parts.push(part);
        }
    }
    parts.iter().filter_map(ModelPart::bytes).flatten().collect()
}

#[test]
fn a_fit_from_the_recording_is_the_model_that_the_session_fitted() {
    let folder = Folder::new();
    let report =
        json(&folder.succeeds(&format!("fit {} --decoder kalman-steady -o m.kalmind --json", session())));
    assert!(report["train_bins"].as_u64().is_some_and(|bins| (240..=255).contains(&bins)), "five seconds");
    assert_eq!(report["blocks"], "open_loop");
    let model = fs::read(folder.path("m.kalmind")).expect("the model");
    assert!(model == recorded_model(), "byte for byte");
}

#[test]
fn the_models_of_a_recording_come_out_as_files() {
    let folder = Folder::new();
    let export = format!("recording export {} --models models", session());
    assert_eq!(folder.succeeds(&export), "1 model in models\n");
    let files: Vec<_> = fs::read_dir(folder.path("models")).expect("a folder").flatten().collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert!(fs::read(file.path()).expect("the model") == recorded_model(), "byte for byte");
    assert!(file.file_name().to_string_lossy().starts_with("kalman-steady-"));
    folder.refuses(&export, 1, &["exists"]);
    folder.succeeds(&format!("{export} --force"));
    folder.refuses(&format!("recording export {}", session()), 2, &["--csv"]);
}

#[test]
fn targets_reach_a_refit_from_the_recording() {
    let folder = Folder::new();
    folder.succeeds(&format!("fit {} --decoder refit-kalman --blocks all -o m.kalmind", session()));
    let evaluated = folder.succeeds(&format!(
        "evaluate {} --blocks all --train 0..250 --test 250..400 --decoders kalman,refit-kalman --json",
        session()
    ));
    let evaluated = json(&evaluated);
    assert_eq!(evaluated["decoders"].as_array().map(Vec::len), Some(2));
    let note = evaluated["note"].as_str().expect("rows of a closed loop are tested");
    assert!(note.contains("nothing of online control"), "{note}");
    let open_loop = "--train 0..180 --test 180..240 --decoders kalman --json";
    let evaluated = json(&folder.succeeds(&format!("evaluate {} {open_loop}", session())));
    assert!(evaluated["note"].is_null(), "the open loop alone");
}

#[test]
fn states_may_be_a_recorded_stream() {
    let folder = Folder::new();
    // two units' counts as if they were a behaviour
    let report = json(&folder.succeeds(&format!(
        "fit {} --states-stream participant --state-channels unit0,unit1 --decoder kalman --rows 0..300 -o m.kalmind --json",
        session()
    )));
    assert_eq!(report["rows"], serde_json::json!([0, 300]));
    folder.refuses(
        &format!("fit {} --states-stream gaze --decoder kalman -o n.kalmind", session()),
        2,
        &["gaze", "no stream of numbers has this key or name", "participant (Kalmind-Fixture-Participant)"],
    );
    folder.refuses(
        &format!(
            "fit {} --states-stream participant --state-channels unit200 --decoder kalman -o n.kalmind",
            session()
        ),
        2,
        &["unit200", "unit0"],
    );
}

#[test]
fn another_decoder_is_judged_by_the_targets_and_the_figures_say_what_they_do_not_say() {
    let folder = Folder::new();
    let document =
        json(&folder.succeeds(&format!("replay {} --decoder kalman --report r.html --json", session())));
    let open_loop = document["train"][1].as_u64().is_some_and(|end| (240..=255).contains(&end));
    assert!(document["train"][0] == 0 && open_loop, "the open loop trains: {}", document["train"]);
    assert!(document["note"].as_str().is_some_and(|note| note.contains("nothing of online control")));
    let page = fs::read_to_string(folder.path("r.html")).expect("the page");
    assert!(page.contains("nothing of online control"));
    let text = folder.succeeds(&format!("replay {} --decoder kalman", session()));
    assert!(text.contains("nothing of online control"), "{text}");
    fs::write(folder.path("m.kalmind"), recorded_model()).expect("a model");
    let document = json(&folder.succeeds(&format!("replay {} --model m.kalmind --json", session())));
    assert_eq!(document["decoders"][0]["name"], "kalman-steady");
}

#[test]
fn replay_prints_one_json_document_of_the_documented_form_at_either_speed() {
    let folder = Folder::new();
    let golden = json(
        &fs::read_to_string(Path::new(&session()).with_file_name("golden.json")).expect("the golden replay"),
    );
    for speed in ["max", "1"] {
        let document = json(&folder.succeeds(&format!("replay {} --speed {speed} --json", session())));
        let keys: Vec<&String> = document.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["first_difference", "identical", "output_sha256", "ticks", "ticks_per_second"]);
        for key in ["first_difference", "identical", "output_sha256", "ticks"] {
            assert_eq!(document[key], golden[key], "{key}");
        }
        if speed == "1" {
            let speed = document["ticks_per_second"].as_f64().expect("a number");
            assert!(speed < 60.0, "50 ticks a second, as they were: {speed}");
        }
    }
}

#[test]
fn a_torn_recording_is_told_mended_and_replayed() {
    let folder = Folder::new();
    let whole = fs::read(session()).expect("the fixture");
    fs::write(folder.path("torn.xdf"), &whole[..whole.len() - 100_000]).expect("a file");
    folder.refuses(
        "recording check torn.xdf",
        1,
        &["is damaged", "it was cut off there", "has no footer", "kalmind recording repair torn.xdf"],
    );
    folder.refuses("replay torn.xdf", 1, &["at byte", "kalmind recording repair"]);
    let report = json(&folder.succeeds("recording repair torn.xdf -o mended.xdf --json"));
    assert_eq!(report["changed"], true);
    assert_eq!(report["footers_rebuilt"], 6);
    assert_eq!(json(&folder.succeeds("recording check mended.xdf --json"))["valid"], true);
    assert_eq!(json(&folder.succeeds("replay mended.xdf --json"))["identical"], true);
    assert!(folder.succeeds("recording repair mended.xdf").contains("nothing to repair"));
    folder.refuses("recording info none.xdf", 1, &["none.xdf"]);
}

#[test]
fn a_recording_says_what_is_in_it_and_becomes_tables() {
    let folder = Folder::new();
    let golden = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/session/golden.json"));
    let ticks = json(&golden.expect("the golden file"))["ticks"].as_u64().expect("a count");
    let document = json(&folder.succeeds(&format!("recording info {} --json", session())));
    assert_eq!(document["written_by"], format!("Kalmind {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(document["streams"].as_array().map(Vec::len), Some(6));
    let input = &document["streams"][5];
    assert_eq!(
        (&input["role"], &input["channels"], &input["samples"]),
        (&"input".into(), &96.into(), &ticks.into())
    );
    assert!((input["measured_rate_hz"].as_f64().expect("a rate") - 50.0).abs() < 1.0);
    let text = folder.succeeds(&format!("recording info {}", session()));
    assert!(text.contains("Kalmind-Fixture-Participant"), "{text}");

    folder.succeeds(&format!("recording export {} --csv out", session()));
    let cursor = fs::read_to_string(folder.path("out/cursor.csv")).expect("the cursor");
    assert!(cursor.starts_with("time,x,y,vx,vy,"), "{}", cursor.lines().next().unwrap_or_default());
    assert_eq!(cursor.lines().count() as u64, ticks + 1);
    let described = json(&fs::read_to_string(folder.path("out/streams.json")).expect("the description"));
    assert_eq!(described["streams"].as_array().map(Vec::len), Some(6));
}
