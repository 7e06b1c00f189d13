//! A stretch of rest in a session: what is learnt of it, put in force, saved and recorded; and what is said where nothing is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kalmind_offline::{
    features::ReferenceDocument,
    recorded::{Item, SessionReader, Wanted},
};
use kalmind_signal::{ChannelName, StageSettings};
use kalmind_types::{EventBody, SessionChange};
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process},
    recording::replayed,
    sessions::{TERMINAL, ask, session, wait_until},
};

/// A high-pass, an average and thresholds, of six channels at 1 kHz.
fn configuration(laboratory: &Laboratory, more: &str) -> PathBuf {
    let name = &laboratory.name;
    let text = format!(
        "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nsubject.code = \"P1\"\ntask.decoder = \"kalman-steady\"\nbins.measure_arrival_s = 0\n\
         safety.auto_resume_ms = 600000\nreference.scale = \"mad\"\n{more}\n[models]\nfolder = \"models\"\n\
         [[stream]]\nname = \"{name}\"\nbacklog_ms = 10000\nbinning = \"sum\"\nstages = [\
         {{ stage = \"filter\", kind = \"high_pass\", hz = 5 }}, {{ stage = \"reference\", kind = \"common_average\" }}, \
         {{ stage = \"spikes\", scales = [1.0], multiple = -1.0 }}]\n"
    );
    laboratory.write("kalmind.toml", &text)
}

fn preset(laboratory: &Laboratory) -> PathBuf {
    let rest = |title: &str| format!("[[block]]\nblock = \"rest\"\ntitle = \"{title}\"\nseconds = 3\n");
    let task = |kind: &str, more: &str| {
        format!("[[block]]\nblock = \"{kind}\"\ntitle = \"{kind}\"\ntask = \"radial8\"\n{more}\n")
    };
    let blocks = [
        task("closed_loop", "seconds = 3\ngather = false"),
        rest("Rest"),
        task("open_loop", "seconds = 6"),
        rest("Another"),
        task("evaluation", "seconds = 3"),
    ];
    laboratory
        .write("resting.toml", &format!("name = \"resting\"\ntitle = \"Resting\"\n{}", blocks.join("\n")))
}

/// Six channels with noise, the first of which never has a value.
fn outlet(laboratory: &Laboratory) -> Process {
    let mut outlet = laboratory.outlet(
        &laboratory.name,
        &["--rate", "1000", "--labels", "a,b,c,d,e,f", "--noise", "0.5", "--chunk", "10"],
    );
    outlet.disturb("nan 1");
    outlet
}

/// What was learnt and saved in a folder, in files.
fn saved_files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten();
    let names = files.map(|file| file.expect("an entry").path().display().to_string());
    names.filter(|name| name.ends_with(".reference.json")).collect()
}

fn learnt(folder: &Path) -> Vec<ReferenceDocument> {
    let read =
        |file: &String| serde_json::from_slice(&fs::read(file).expect("readable")).expect("a document");
    saved_files(folder).iter().map(read).collect()
}

fn other_stages(daemon: &Daemon, stream: &str) -> (u16, String) {
    let stages = json!([
        { "stage": "filter", "kind": "high_pass", "hz": 5 },
        { "stage": "reference", "kind": "common_average" },
        { "stage": "spikes", "scales": [2.0], "multiple": -1.0 },
    ]);
    daemon.http("POST", "/v1/stages", Some(&json!({ "stream": stream, "stages": stages })), true)
}

#[test]
fn a_rest_fixes_thresholds_and_references_for_the_session_and_a_lost_stream_takes_nothing_of_them() {
    let laboratory = Laboratory::new("rest");
    let mut outlet = outlet(&laboratory);
    configuration(&laboratory, "");
    let daemon = session(&laboratory, &preset(&laboratory), &["--operator", "AB", "--record", "session.xdf"]);
    let at = |block: u64| move |status: &Value| status["block"] == block && status["state"] == "running";
    let begun = wait_until(&daemon, "the closed loop", at(0));
    assert_eq!(begun["reference"], Value::Null);
    let (code, body) = other_stages(&daemon, &laboratory.name);
    assert!(code == 409 && body.contains("stay as they are"), "{code} {body}");
    // the rest, and what comes of it
    let rested = wait_until(&daemon, "thresholds", |status| status["reference"] != Value::Null);
    let reference = &rested["reference"];
    let text = reference["text"].as_str().expect("words");
    assert!(text.starts_with("of 20") && text.ends_with(" UTC, 3 s"), "{text}");
    let warnings = reference["warnings"].to_string();
    assert!(
        warnings.contains("channel a is dead (flat for 3 s of the 3 s): it is left out of the reference")
    );
    assert!(warnings.contains("(flat for 3 s of the 3 s): it has no threshold"), "{warnings}");
    let status = daemon.status();
    assert_eq!((&status["stages"][0]["number"], &status["stages"][0]["next"]), (&json!(1), &Value::Null));
    // another rest, in the middle of which the stream is lost, after a fit
    wait_until(&daemon, "the other rest", at(3));
    outlet.disturb("pause");
    wait_until(&daemon, "no signal", |status| {
        status["message"].as_str().is_some_and(|message| message.contains("no usable signal"))
            || status["state"] == "paused"
    });
    // for longer than a rest may be without a signal
    let now = || daemon.status()["clock"]["lsl"].as_f64().expect("a time");
    let lost_at = now();
    wait_until(&daemon, "a second and a half without a signal", |_| now() > lost_at + 1.5);
    outlet.disturb("go");
    let lost = wait_until(&daemon, "it stands still", |status| status["state"] == "paused");
    assert!(lost["message"].as_str().expect("words").contains("nothing was learnt from the rest"), "{lost}");
    assert_eq!((&lost["reference"], &lost["blocks"][3]["state"]), (reference, &json!("skipped")));
    assert_eq!(daemon.status()["stages"][0]["number"], 1);
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "end" }));
    assert_eq!(code, 200, "{body}");
    let (code, lines) = daemon.process.wait();
    assert_eq!(code, Some(0), "{lines:?}");

    // what was saved is what the recording gives, to the bit
    let saved = learnt(&laboratory.path("models/P1"));
    let [learnt] = saved.as_slice() else { panic!("{saved:?}") };
    let StageSettings::Reference(average) = &learnt.streams[0].stages.0[1] else { panic!("{learnt:?}") };
    assert_eq!(average.excluded, [ChannelName::Index(0)]);
    let StageSettings::Spikes(spikes) = &learnt.streams[0].stages.0[2] else { panic!("{learnt:?}") };
    assert!(spikes.scales[0] == 0.0 && spikes.scales[1..].iter().all(|scale| *scale > 0.1), "{spikes:?}");
    let [stretch] = saved_files(&laboratory.path("models/P1")).try_into().expect("one");
    laboratory.succeed(&[
        "reference",
        "session.xdf",
        "--config",
        "kalmind.toml",
        "--scale",
        "mad",
        "--stretch-of",
        &stretch,
        "-o",
        "again.json",
    ]);
    let again = fs::read(laboratory.path("again.json")).expect("a file");
    let again: ReferenceDocument = serde_json::from_slice(&again).expect("a document");
    assert_eq!(again.streams, learnt.streams);

    // it is recorded, and replays
    let file = laboratory.path("session.xdf");
    let replay = replayed(&file);
    assert!(replay.identical(), "{:?}", replay.comparison.first_difference);
    let mut reader = SessionReader::open(&file, Wanted::default()).expect("a recording");
    let mut told = Vec::new();
    while let Some(item) = reader.next_item().expect("readable") {
        if let Item::Event(event) = item
            && let EventBody::Session(event) = event.body
        {
            match event.change {
                SessionChange::ReferenceLearnt { text, .. } => told.push(format!("learnt {text}")),
                SessionChange::ReferenceFailed { why } => told.push(format!("failed {why}")),
                _ => {}
            }
        }
    }
    resumes(&laboratory, text, rested["reference"]["made"].as_str().expect("a date"));
    assert!(
        told.len() == 2 && told[0] == format!("learnt {text}") && told[1].starts_with("failed "),
        "{told:?}"
    );
}

/// A run that resumes goes on with the model that was fitted after the rest, and with what it was fitted behind.
fn resumes(laboratory: &Laboratory, text: &str, made: &str) {
    let mut command = laboratory.kalmind();
    command.args(["run", "--wait", "30", "--resume", "--json", "--config", "kalmind.toml"]);
    let process = Process::start(command);
    let said = process.expect_line("reference block: ");
    assert!(said.contains(&format!("reference block: {text}")), "{said}");
    let daemon = Daemon::begun(process);
    let shown = wait_until(&daemon, "the session", |status| status["reference"] != Value::Null);
    assert_eq!(shown["reference"]["made"], made);
    assert_eq!(daemon.status()["stages"][0]["number"], 0);
    let (code, models) = daemon.http("GET", "/v1/models", None, false);
    let models: Value = serde_json::from_str(&models).expect("JSON");
    assert!(code == 200 && models["models"][0]["source"] == "resumed", "{models}");
    let hash = models["models"][0]["model"].as_str().expect("a hash");
    let model = fs::read_dir(laboratory.path("models/P1")).expect("a folder").find_map(|file| {
        let path = file.expect("an entry").path();
        path.display().to_string().contains(hash.get(..16).expect("digits")).then_some(path)
    });
    let model = kalmind_offline::model::load(&model.expect("a file")).expect("a model");
    assert_eq!(model.model.streams[0].rest.as_deref(), Some(text));
    daemon.end();
}

#[test]
fn a_preset_with_a_rest_is_refused_where_nothing_can_be_learnt() {
    let laboratory = Laboratory::new("rest-refused");
    let _outlet = outlet(&laboratory);
    configuration(&laboratory, "");
    let preset = preset(&laboratory).display().to_string();
    let arguments =
        ["session", "--wait", "30", "--config", "kalmind.toml", "--operator", "AB", "--preset", &preset];
    let output = laboratory.run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("the session is not recorded"), "{said}");
}
