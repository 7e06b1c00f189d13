//! The models of a run over HTTP, and those that sessions leave for the next ones.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use kalmind_filter::Model;
use kalmind_offline::{
    model::{IdentifiedModel, load},
    recorded::{Item, RecordDocument, SessionReader, Wanted},
};
use kalmind_types::EventBody;
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process, repository},
    recording::{recording, replayed},
};

/// Input that is late on a busy machine is no matter of these tests.
const PATIENT: &str = "safety.auto_resume_ms = 600000\nsafety.stale_after_ms = 60000";

/// The models of the run.
pub(crate) fn listed(daemon: &Daemon) -> Value {
    let (code, body) = daemon.http("GET", "/v1/models", None, false);
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

pub(crate) fn activate(daemon: &Daemon, id: &str) -> (u16, String) {
    daemon.http("POST", &format!("/v1/models/{id}/activate"), None, true)
}

/// Waits for so many more ticks.
pub(crate) fn ticks(daemon: &Daemon, more: u64) {
    let ticks = |status: &Value| status["tick"]["ticks"].as_u64().unwrap_or(0);
    let until = ticks(&daemon.status()) + more;
    daemon.wait_until("ticks", |status| ticks(status) >= until);
}

pub(crate) fn event(daemon: &Daemon, kind: &str, data: &Value) {
    let (code, body) = daemon.http("POST", "/v1/events", Some(&json!({ "kind": kind, "data": data })), true);
    assert_eq!(code, 200, "{body}");
}

/// The model of fixtures/models, made another one by what `change` does.
fn changed(change: impl Fn(&mut Model)) -> IdentifiedModel {
    let read = load(&repository("fixtures/models/kalman.safetensors")).expect("a model");
    let mut model = (*read.model).clone();
    change(&mut model);
    IdentifiedModel::of(model).expect("a model")
}

#[test]
fn each_of_three_models_is_activated_in_turn_and_the_recording_replays_bit_for_bit() {
    let laboratory = Laboratory::new("three-models");
    let _outlet = laboratory.outlet("three-models-array", &[]);
    let configuration = laboratory.controlled("name = \"three-models-array\"", PATIENT);
    let file = laboratory.path("three.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    let (client, hello) = laboratory.watch(&daemon);
    daemon.wait_until("control", |status| status["state"] == "control");

    let start = hello["decoder"]["model"].as_str().expect("a model").to_owned();
    let list = listed(&daemon);
    assert_eq!((&list["active"], &list["before"]), (&json!(start), &Value::Null));
    let entry = &list["models"][0];
    assert_eq!(
        (&entry["source"], &entry["by"], &entry["file"]),
        (&json!("configured"), &json!("configuration"), &json!("kalman.safetensors")),
        "{entry:#}"
    );

    // sent with the token alone, known by its bytes
    let shifted = changed(|model| model.training_mean[0] += 0.25);
    let posted = fs::read(repository("fixtures/models/dkf-nw.safetensors")).expect("a model");
    let (code, _) = daemon.http_bytes("POST", "/v1/models", &posted, false);
    assert_eq!(code, 401);
    let mut ids = vec![start.clone()];
    for file in [&*shifted.file, &posted] {
        let (code, body) = daemon.http_bytes("POST", "/v1/models", file, true);
        assert_eq!(code, 200, "{body}");
        let entry: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&entry["source"], &entry["active"]), (&json!("posted"), &json!(false)));
        let hash = entry["model"].as_str().expect("a hash").to_owned();
        let told = client.expect_json("that it came", |line| {
            line["kind"] == "model" && line["data"]["action"] == "added" && line["data"]["hash"] == *hash
        });
        assert_eq!(told["data"]["source"], "posted");
        ids.push(hash);
    }
    assert_eq!(ids[1], shifted.id.to_hex());
    assert_eq!(listed(&daemon)["active"], json!(start), "what is sent does not decode by itself");

    // forth, back, undone, redone: the cursor moves all the while
    let mut before = start.clone();
    for turn in [1, 2, 0, 2, 1, 0] {
        ticks(&daemon, 10);
        let (code, body) = activate(&daemon, &ids[turn]);
        assert_eq!(code, 200, "{body}");
        let told = client.expect_json("that it took over", |line| {
            line["data"]["action"] == "swapped" && line["data"]["hash"] == *ids[turn]
        });
        assert_eq!((&told["data"]["by"], &told["data"]["train_bins"]), (&json!("operator"), &Value::Null));
        // said when it goes to the tick, shown once a tick has it
        let mut list = listed(&daemon);
        while list["wanted"] == *ids[turn] {
            list = listed(&daemon);
        }
        assert_eq!((&list["active"], &list["before"]), (&json!(ids[turn]), &json!(before)));
        assert_eq!(list["wanted"], Value::Null);
        before.clone_from(&ids[turn]);
        assert_eq!(daemon.status()["decoder"]["model"], json!(ids[turn]));
        assert_eq!(daemon.status()["state"], "control");
    }
    let (code, body) = activate(&daemon, &start);
    assert_eq!(code, 409, "{body}");
    let (code, body) = activate(&daemon, &"ab".repeat(32));
    assert!(code == 404 && body.contains("GET /v1/models"), "{code} {body}");
    ticks(&daemon, 10);
    daemon.end();
    drop(client);

    let replayed = replayed(&file);
    assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
    // each stands in the file once, and what became of it beside it
    let (mut embedded, mut events) = (BTreeMap::<String, u64>::new(), Vec::new());
    let mut reader = SessionReader::open(&file, Wanted::default()).expect("a recording");
    while let Some(item) = reader.next_item().expect("it can be read") {
        match item {
            Item::Document(RecordDocument::Model(part)) if part.part == 0 => {
                *embedded.entry(part.id).or_default() += 1;
            }
            Item::Event(event) => {
                if let EventBody::Model(model) = &event.body {
                    events.push(json!(model)["action"].as_str().expect("an action").to_owned());
                }
            }
            _ => {}
        }
    }
    assert_eq!(embedded, ids.iter().map(|id| (id.clone(), 1)).collect());
    assert_eq!(events, [vec!["added"; 3], vec!["swapped"; 6]].concat());
    let page = laboratory.path("page.html");
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    laboratory.succeed(&["recording", "report", &text(&file), "-o", &text(&page)]);
    let page = fs::read_to_string(page).expect("a page");
    assert!(page.contains("activated by the operator") && page.contains("was sent by the operator"));
}

#[test]
fn a_replay_that_frees_models_on_its_way_has_those_that_come_again() {
    let laboratory = Laboratory::new("many-models");
    let _outlet = laboratory.outlet("many-models-array", &[]);
    let configuration = laboratory.controlled("name = \"many-models-array\"", PATIENT);
    let file = laboratory.path("many.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    daemon.wait_until("control", |status| status["state"] == "control");
    let mut ids = Vec::new();
    for number in 0..20 {
        let model = changed(|model| model.training_mean[0] += 0.01 + f64::from(number) / 50.0);
        let (code, body) = daemon.http_bytes("POST", "/v1/models", &model.file, true);
        assert_eq!(code, 200, "{body}");
        ids.push(model.id.to_hex());
    }
    // one is seen early and long after that, the last ones in the order in which they came
    for place in (0..20).chain([2, 19, 0]) {
        let (code, body) = activate(&daemon, &ids[place]);
        assert_eq!(code, 200, "{body}");
        ticks(&daemon, 3);
    }
    daemon.end();
    let replayed = replayed(&file);
    assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
}

/// How nice the threads are that fits run on.
fn niceness_of_fits(daemon: &Daemon) -> Vec<i64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.process.child.id())).expect("a process");
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let fits = stats.filter(|stat| stat.contains("(kalmind-fit-"));
    // proc(5): the 19th field, the 17th after the name
    fits.filter_map(|stat| stat.rsplit(')').next()?.split_whitespace().nth(16)?.parse().ok()).collect()
}

#[test]
fn a_file_that_does_not_fit_is_refused_in_the_words_of_a_start() {
    let laboratory = Laboratory::new("refused-models");
    let _outlet = laboratory.outlet("refused-models-array", &[]);
    let configuration = laboratory.controlled("name = \"refused-models-array\"", "");
    let daemon = laboratory.daemon(&configuration, "30");

    let narrow = changed(|model| model.bin_ms = 10.0);
    let turned = changed(|model| model.components.swap(0, 1));
    let whole = fs::read(repository("fixtures/models/kalman.safetensors")).expect("a model");
    let other = laboratory.name.clone() + "-other";
    for (file, words) in [
        (narrow.file.to_vec(), "bins of 10 ms"),
        (turned.file.to_vec(), "the model decodes"),
        (whole[..whole.len() - 1].to_vec(), "cut off"),
        (b"no model at all".to_vec(), "not a model"),
        (Vec::new(), "not a model"),
    ] {
        let (code, body) = daemon.http_bytes("POST", "/v1/models", &file, true);
        let error: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((code, &error["code"]), (422, &json!("invalid")), "{body}");
        let said = error["message"].as_str().expect("words");
        assert!(said.contains(words), "{words}: {said}");
        // a start with the same file says the same of it
        let path = laboratory.path("refused.safetensors");
        fs::write(&path, &file).expect("written");
        let text = fs::read_to_string(&configuration).expect("the configuration");
        let lines = text.lines().map(|line| {
            if line.starts_with("decoder.model") {
                format!(
                    "decoder.model = \"{}\"\nintent.components = [{{ name = \"vx\" }}, {{ name = \"vy\" }}]",
                    path.display()
                )
            } else {
                line.replace(&format!("\"{}\"", laboratory.name), &format!("\"{other}\""))
            }
        });
        let configuration = laboratory.write("refused.toml", &lines.collect::<Vec<_>>().join("\n"));
        let output = laboratory.run(&["run", "--config", configuration.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(2));
        let at_start = String::from_utf8(output.stderr).expect("text");
        let expected = said.replace("the model posted", &format!("the model {}", path.display()));
        assert!(at_start.contains(&expected), "{expected:?} is missing in:\n{at_start}");
    }
    let list = listed(&daemon);
    assert_eq!(list["models"].as_array().map(Vec::len), Some(1), "{list:#}");
    daemon.end();
}

/// A short open loop, told over HTTP, and the fit that follows it.
pub(crate) fn calibrate(daemon: &Daemon) {
    daemon.wait_until("arrival is measured", |status| status["input"]["state"] == "fit");
    event(daemon, "task_block", &json!({ "block": "open_loop", "phase": "start" }));
    for (trial, position) in
        [[0.2, 0.5], [0.8, 0.5], [0.5, 0.8], [0.5, 0.2]].iter().cycle().take(12).enumerate()
    {
        event(daemon, "trial", &json!({ "trial": trial, "phase": "start" }));
        event(daemon, "target", &json!({ "position": position, "radius": 0.06 }));
        ticks(daemon, 40);
        event(daemon, "trial", &json!({ "trial": trial, "phase": "end", "result": "timeout" }));
    }
    event(daemon, "task_block", &json!({ "block": "open_loop", "phase": "end" }));
}

#[test]
fn a_run_resumes_with_the_newest_saved_model_that_fits_and_it_is_the_same_one() {
    let laboratory = Laboratory::new("resumed");
    let name = laboratory.name.clone();
    let stream = format!("{name}-participant");
    let configured = |code: &str| {
        format!(
            "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nsubject.code = \"{code}\"\n\
             safety.stale_after_ms = 10000\n[[stream]]\nname = \"{stream}\"\nbacklog_ms = 10000\n\
             [task]\ndecoder = \"kalman-steady\"\n"
        )
    };
    let configuration = laboratory.write("kalmind.toml", &configured("P7"));
    let mut participant = laboratory.kalmind();
    participant.args(["simulate", "--instance", &name, "--stream", &stream]);
    let _participant = Process::start(participant);
    let daemon = laboratory.daemon(&configuration, "30");
    calibrate(&daemon);
    daemon.wait_until("a decoder", |status| status["decoder"].is_object());
    let mut list = listed(&daemon);
    while list["models"][0]["file"].is_null() {
        list = listed(&daemon);
    }
    let fitted = &list["models"][0];
    assert_eq!((&fitted["source"], &fitted["active"]), (&json!("fitted"), &json!(true)), "{fitted:#}");
    assert!(fitted["train_bins"].as_u64().is_some_and(|bins| bins > 100), "{fitted:#}");
    let hash = fitted["model"].as_str().expect("a hash").to_owned();
    let nice = niceness_of_fits(&daemon);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert_eq!(nice, vec![5; cores.saturating_sub(1).max(1)], "a core is free, and fits give way");
    let folder = laboratory.path("models/P7");
    let saved = folder.join(fitted["file"].as_str().expect("a name"));
    daemon.end();
    assert_eq!(load(&saved).expect("it was saved").id.to_hex(), hash);

    // newer ones: of other streams, cut off, and another model than its name says
    let alien = fs::read(repository("fixtures/models/kalman.safetensors")).expect("a model");
    let alien_hash = load(&repository("fixtures/models/kalman.safetensors")).expect("a model").id.to_hex();
    let newer = |moment: &str, hash: &str, bytes: &[u8]| -> PathBuf {
        let digits: String = hash.chars().take(16).collect();
        let path = folder.join(format!("{moment}_{digits}.safetensors"));
        fs::write(&path, bytes).expect("written");
        path
    };
    newer("2999-01-01T00-00-00.000", &alien_hash, &alien);
    newer("2999-01-01T00-00-00.001", &alien_hash, &alien[..alien.len() - 1]);
    newer("2999-01-01T00-00-00.002", &"ab".repeat(32), &alien);

    let mut command = laboratory.kalmind();
    command.args(["run", "--resume", "--wait", "30", "--json", "--config"]).arg(&configuration);
    let process = Process::start(command);
    let said = process.expect_line("resumed: ");
    assert!(said.contains(saved.file_name().and_then(|name| name.to_str()).expect("a name")), "{said}");
    for why in ["changed since it was saved", "cut off", "channels"] {
        let said = process.expect_line("passed over 2999-01-01T00-00-00");
        assert!(said.contains(why), "{why}: {said}");
    }
    let daemon = Daemon::begun(process);
    let list = listed(&daemon);
    assert_eq!(list["active"], json!(hash));
    let entry = &list["models"][0];
    assert_eq!((&entry["source"], &entry["by"]), (&json!("resumed"), &json!("signal")), "{entry:#}");
    assert_eq!(daemon.status()["decoder"]["model"], json!(hash));
    daemon.end();

    // nobody begins with the model of somebody else, nor with none at all
    let other = laboratory.write("other.toml", &configured("P8"));
    let refused = |configuration: &Path, words: &str| {
        let configuration = configuration.to_str().expect("a path");
        let output = laboratory.run(&["run", "--resume", "--config", configuration]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{words}: {said}");
    };
    refused(&other, "there is none");
    let nobody = configured("P8").replace("subject.code = \"P8\"\n", "");
    refused(&laboratory.write("nobody.toml", &nobody), "[subject] code");
}
