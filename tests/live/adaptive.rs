//! Decoders whose z-score follows the signal: its state goes on from model to model and from session to session, and
//! everything replays bit for bit.

use std::path::Path;

use kalmind_offline::recorded::{Item, RecordDocument, SessionReader, Wanted};
use kalmind_signal::AdaptiveState;
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process, json},
    recording::{recording, replayed},
    run_models::{calibrate, ticks},
};

/// The state that a recording begins with, and its checkpoints.
fn states(file: &Path) -> (Option<AdaptiveState>, Vec<(u64, AdaptiveState)>) {
    let mut reader = SessionReader::open(file, Wanted::default()).expect("a recording");
    let (mut begun, mut checkpoints) = (None, Vec::new());
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Session(session) => begun = session.adaptive,
            Item::Document(RecordDocument::Adaptive { seq, state }) => checkpoints.push((seq, state)),
            _ => {}
        }
    }
    (begun, checkpoints)
}

/// Replays a recording: the same to the last bit, the checkpoints among it.
fn repeats(file: &Path, checkpoints: usize) {
    let again = replayed(file);
    assert!(again.identical(), "{:?}", again.comparison.first_difference);
    assert_eq!(again.comparison.checkpoints, checkpoints as u64);
    assert!(checkpoints > 0);
}

#[test]
fn a_running_z_score_goes_on_from_model_to_model_and_from_session_to_session() {
    let laboratory = Laboratory::new("adaptive");
    let name = laboratory.name.clone();
    let stream = format!("{name}-participant");
    let configuration = format!(
        "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nsubject.code = \"P9\"\n\
         safety.stale_after_ms = 10000\n[[stream]]\nname = \"{stream}\"\nbacklog_ms = 10000\n\
         [task]\ndecoder = \"wiener:lags=5,running-zscore=30\"\n"
    );
    let configuration = laboratory.write("kalmind.toml", &configuration);
    let mut participant = laboratory.kalmind();
    participant.args(["simulate", "--instance", &name, "--stream", &stream]);
    let _participant = Process::start(participant);

    let first = laboratory.path("first.xdf");
    let daemon = recording(&laboratory, &configuration, &first);
    calibrate(&daemon);
    daemon.wait_until("a decoder", |status| status["decoder"].is_object());
    let active =
        |daemon: &Daemon| daemon.status()["decoder"]["model"].as_str().map(str::to_owned).expect("a model");
    let fitted = active(&daemon);
    calibrate(&daemon);
    daemon.wait_until("another decoder", |status| status["decoder"]["model"] != json!(fitted));
    let fitted = active(&daemon);
    ticks(&daemon, 50);
    // it began with the first decoder, and the second one went on
    assert_eq!(daemon.status()["tick"]["adaptive_states"], json!(1));
    daemon.end();
    let (begun, checkpoints) = states(&first);
    assert_eq!(begun, None, "nobody was there before");
    repeats(&first, checkpoints.len());

    // what the first one left
    let kept = json(&laboratory.path("models/P9/adaptive.json"));
    let model = kept["model"].as_str().expect("a model");
    assert_eq!(model, fitted);
    let last: AdaptiveState = serde_json::from_value(kept["state"].clone()).expect("a state");
    assert!(checkpoints.iter().all(|(_, state)| state.difference(&last).is_some()), "it went on to the end");

    let second = laboratory.path("second.xdf");
    let mut command = laboratory.kalmind();
    command.args(["run", "--resume", "--wait", "30", "--json", "--config"]).arg(&configuration);
    command.arg("--record").arg(&second);
    let process = Process::start(command);
    process.expect_line("its running z-score goes on from ");
    let daemon = Daemon::begun(process);
    ticks(&daemon, 100);
    daemon.end();
    let (begun, checkpoints) = states(&second);
    assert_eq!(begun.expect("it resumed").difference(&last), None);
    repeats(&second, checkpoints.len());

    // of other streams it is none to go on from, and that is said
    let mut other: Value = kept;
    other["streams"][0]["channels"] = json!(1);
    laboratory.write("models/P9/adaptive.json", &other.to_string());
    let mut command = laboratory.kalmind();
    command.args(["run", "--resume", "--wait", "30", "--json", "--config"]).arg(&configuration);
    let process = Process::start(command);
    process.expect_line("begins with that of training: the saved one is of other streams");
    Daemon::begun(process).end();
}
