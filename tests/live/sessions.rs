//! Sessions that are run from a terminal and from pages: their blocks, what is recorded of them, and what goes wrong in them.

use std::{fs, path::PathBuf, process::Command, sync::mpsc, time::Duration};

use kalmind_offline::{
    model::IdentifiedModel,
    recorded::{Item, SessionReader, Wanted},
    recorded_models,
};
use kalmind_types::{EventBody, ModelEvent, SessionChange};
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process},
    recording::replayed,
};

/// A block of a preset.
fn block(kind: &str, title: &str, seconds: u32, more: &str) -> String {
    format!(
        "[[block]]\nblock = \"{kind}\"\ntitle = \"{title}\"\ntask = \"radial8\"\nseconds = {seconds}\n{more}\n"
    )
}

fn preset(laboratory: &Laboratory, blocks: &[String]) -> PathBuf {
    let text = format!("name = \"short\"\ntitle = \"Short\"\n{}", blocks.join("\n"));
    laboratory.write("short.toml", &text)
}

/// The simulated participant.
fn participant(laboratory: &Laboratory) -> Process {
    let mut command = laboratory.kalmind();
    let stream = format!("{}-participant", laboratory.name);
    command.args(["simulate", "--instance", &laboratory.name, "--stream", &stream]);
    Process::start(command)
}

/// A configuration for it.
fn configuration(laboratory: &Laboratory, more: &str) -> PathBuf {
    let name = &laboratory.name;
    let text = format!(
        "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nsafety.auto_resume_ms = 600000\n\
         subject.code = \"P1\"\ntask.decoder = \"kalman-steady\"\n{more}\n[models]\nfolder = \"models\"\n\
         [[stream]]\nname = \"{name}-participant\"\nbinning = \"sample\"\nrate_hz = 50\nchannels = 96\n"
    );
    laboratory.write("kalmind.toml", &text)
}

/// `kalmind session`, once it has printed its page's address.
pub(crate) fn session(laboratory: &Laboratory, preset: &std::path::Path, more: &[&str]) -> Daemon {
    let mut command = laboratory.kalmind();
    command
        .args(["session", "--wait", "30", "--json", "--config", "kalmind.toml", "--preset"])
        .arg(preset)
        .args(more);
    Daemon::begun(Process::start(command))
}

/// What the session shows of itself.
fn shown(daemon: &Daemon) -> Value {
    let (code, body) = daemon.http("GET", "/v1/session", None, false);
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Waits until it shows what is expected.
pub(crate) fn wait_until(daemon: &Daemon, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let (_keep, pause) = mpsc::channel::<()>();
    let mut status = shown(daemon);
    for _ in 0..600 {
        if holds(&status) {
            return status;
        }
        // waits, and never receives: the sender sends nothing
        let _timeout = pause.recv_timeout(Duration::from_millis(100));
        status = shown(daemon);
    }
    panic!("never happened: {what}; the session is {status:#}");
}

/// Asks something of it as an operator on a page.
pub(crate) fn ask(daemon: &Daemon, (operator, console): (&str, &str), request: &Value) -> (u16, String) {
    let body = json!({ "person": { "operator": operator, "console": console }, "request": request });
    daemon.http("POST", "/v1/session", Some(&body), true)
}

/// The terminal that the session was begun in.
pub(crate) const TERMINAL: (&str, &str) = ("AB", "terminal");

/// Waits for its end, which has to be of this exit code; gives what it printed.
fn ended(daemon: Daemon, expected: i32) -> Value {
    let (code, lines) = daemon.process.wait();
    assert_eq!(code, Some(expected), "{lines:?}");
    let printed = lines.iter().rev().find(|line| line.starts_with('{')).expect("a document");
    serde_json::from_str(printed).expect("it is JSON")
}

/// The session's events in a recording, by name, with who is named in each.
fn changes(file: &std::path::Path) -> Vec<(String, Option<String>)> {
    let mut reader = SessionReader::open(file, Wanted::default()).expect("a recording");
    let mut changes = Vec::new();
    while let Some(item) = reader.next_item().expect("readable") {
        if let Item::Event(event) = item
            && let EventBody::Session(told) = event.body
        {
            let name = json!(told.change)["session"].as_str().expect("a name").to_owned();
            assert_ne!(told.change, SessionChange::Called);
            changes.push((name, told.operator));
        }
    }
    changes
}

#[test]
fn a_session_runs_its_blocks_to_the_end_and_the_recording_has_who_did_what() {
    let laboratory = Laboratory::new("session");
    let _participant = participant(&laboratory);
    configuration(&laboratory, "");
    let blocks = [
        block("open_loop", "Open loop", 8, ""),
        block(
            "closed_loop",
            "Assisted",
            8,
            "assistance = [{ at_s = 0, mixing = 0.5 }, { at_s = 6, mixing = 0 }]\nrefit_every_s = 3",
        ),
        block("evaluation", "Evaluation", 6, "rest_s = 1"),
    ];
    let preset = preset(&laboratory, &blocks);
    let daemon = session(&laboratory, &preset, &["--operator", "AB", "--record", "session.xdf"]);
    let running = wait_until(&daemon, "the second block", |status| status["block"] == 1);
    assert_eq!((&running["operator"], &running["participant"]), (&json!("AB"), &json!("P1")));
    assert_eq!(running["simulated"], true);
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "note", "text": "a cable moved" }));
    assert_eq!(code, 200, "{body}");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "options", "gain": 1.1 }));
    assert_eq!(code, 200, "{body}");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "options", "gain": 11 }));
    assert!(code == 422 && body.contains("0.1 to 10"), "{code} {body}");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "open", "preset": "short" }));
    assert!(code == 409 && body.contains("end it first"), "{code} {body}");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "sing" }));
    assert_eq!(code, 422, "{body}");
    let printed = ended(daemon, 0);
    let session = &printed["session"];
    assert_eq!(session["state"], "done", "{session:#}");
    assert!(session["blocks"].as_array().expect("blocks").iter().all(|block| block["state"] == "done"));
    assert!(session["fits"]["done"].as_u64() >= Some(3), "{session:#}");
    assert!(session["blocks"][2]["score"]["presented"].as_u64() > Some(0), "{session:#}");
    // on a busy machine there may be none
    let first = session["first_target_s"].as_f64();
    assert!(first.is_none_or(|seconds| seconds > 8.0), "{session:#}");
    let file = laboratory.path("session.xdf");
    let changes = changes(&file);
    let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
    for expected in ["opened", "block_started", "note", "tuned", "block_ended", "ended"] {
        assert!(names.contains(&expected), "{expected}: {names:?}");
    }
    assert!(changes.iter().all(|(_, operator)| operator.as_deref() == Some("AB")), "{changes:?}");
    let replayed = replayed(&file);
    assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
    // the first fit in the closed loop has few rows more than the one before it, the second has half as many again
    let mut kept = Vec::new();
    let quality = |model: &IdentifiedModel| model.model.quality().expect("it was judged").of_earlier_fit;
    recorded_models(&file, |_| true, |_, model| kept.push(quality(&model.expect("a model"))))
        .expect("readable");
    assert!(kept.len() >= 3 && !kept[0] && kept.contains(&true) && kept.ends_with(&[false]), "{kept:?}");
}

#[test]
fn one_console_is_in_charge_until_another_takes_over_and_a_lost_stream_makes_the_block_wait() {
    let laboratory = Laboratory::new("consoles");
    let participant = participant(&laboratory);
    configuration(&laboratory, "");
    let preset = preset(&laboratory, &[block("open_loop", "Open loop", 60, "")]);
    let daemon = session(&laboratory, &preset, &["--operator", "AB"]);
    wait_until(&daemon, "it runs", |status| status["elapsed_s"].as_f64() > Some(0.5));
    let page = ("CD", "page-1");
    let (code, body) = ask(&daemon, page, &json!({ "action": "pause" }));
    assert!(code == 409 && body.contains("AB is in charge"), "{code} {body}");
    let (code, body) = ask(&daemon, page, &json!({ "action": "take_over" }));
    assert_eq!(code, 200, "{body}");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "pause" }));
    assert!(code == 409 && body.contains("CD is in charge"), "{code} {body}");

    participant.signal("-STOP");
    daemon.wait_until("stale", |status| status["state"] == "stale");
    let stale = shown(&daemon);
    let elapsed = |status: &Value| status["elapsed_s"].as_f64().expect("seconds");
    let (_keep, pause) = mpsc::channel::<()>();
    let _timeout = pause.recv_timeout(Duration::from_secs(2));
    let still = shown(&daemon);
    assert!(elapsed(&still) - elapsed(&stale) < 0.5, "{} {}", elapsed(&stale), elapsed(&still));
    participant.signal("-CONT");
    wait_until(&daemon, "the block goes on", |status| elapsed(status) > elapsed(&still) + 1.0);

    // whoever is in charge pauses it, and lets it go on
    let (code, body) = ask(&daemon, page, &json!({ "action": "pause" }));
    assert!(code == 200 && body.contains("\"paused\""), "{code} {body}");
    daemon.wait_until("idle", |status| status["state"] == "idle");
    let (code, body) = ask(&daemon, page, &json!({ "action": "start" }));
    assert_eq!(code, 200, "{body}");
    daemon.wait_until("calibrating", |status| status["state"] == "calibrating");
    // a stop holds, whatever the session is asked for; its own way on is to pause and to continue
    assert_eq!(daemon.http("POST", "/v1/stop", None, false).0, 200);
    daemon.wait_until("hold", |status| status["state"] == "hold");
    wait_until(&daemon, "what stands in the way", |status| {
        status["message"].as_str().is_some_and(|message| message.contains("stopped"))
    });
    let (code, body) = ask(&daemon, page, &json!({ "action": "repeat" }));
    assert_eq!(code, 200, "{body}");
    wait_until(&daemon, "the block is begun anew", |status| elapsed(status) < 0.5);
    assert_eq!(daemon.status()["state"], "hold");
    daemon.process.signal("-TERM");
    assert_eq!(ended(daemon, 0)["session"]["operator"], "CD");
}

#[test]
fn a_fit_that_fails_is_told_and_the_session_waits_for_a_decision() {
    let laboratory = Laboratory::new("no-fit");
    let _participant = participant(&laboratory);
    // every trial is over before its rows count
    configuration(&laboratory, "task.label_law.skip_ms = 10000");
    let preset =
        preset(&laboratory, &[block("open_loop", "Open loop", 2, ""), block("closed_loop", "Closed", 2, "")]);
    let daemon = session(&laboratory, &preset, &["--operator", "AB"]);
    let paused = wait_until(&daemon, "it waits", |status| status["state"] == "paused");
    let message = paused["message"].as_str().expect("words");
    assert!(message.contains("the fit failed") && message.contains("repeat the block"), "{message}");
    assert_eq!((&paused["fits"]["failed"], &paused["fits"]["done"]), (&json!(1), &json!(0)));
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "start" }));
    assert!(code == 409 && body.contains("there is no decoder"), "{code} {body}");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "repeat" }));
    assert_eq!(code, 200, "{body}");
    wait_until(&daemon, "the block runs again", |status| status["blocks"][0]["state"] == "running");
    let (code, body) = ask(&daemon, TERMINAL, &json!({ "action": "end" }));
    assert_eq!(code, 200, "{body}");
    assert_eq!(ended(daemon, 0)["session"]["state"], "done");
}

#[test]
fn compared_decoders_cannot_be_told_apart_until_the_end_and_the_recording_knows_them() {
    let laboratory = Laboratory::new("compared");
    let _participant = participant(&laboratory);
    configuration(&laboratory, "");
    let compare = "[compare]\ndecoders = [\"kalman-steady\", \"kalman\"]\nrounds = 1\n[compare.block]\n\
                   block = \"evaluation\"\ntitle = \"Compared\"\ntask = \"radial8\"\nseconds = 4\nrest_s = 2\n";
    let blocks = [block("open_loop", "Open loop", 10, ""), compare.to_owned()];
    let preset = preset(&laboratory, &blocks);
    let daemon = session(&laboratory, &preset, &["--operator", "AB", "--record", "session.xdf"]);
    let list = || -> Value {
        let (code, body) = daemon.http("GET", "/v1/models", None, false);
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    };
    for block in [1, 2] {
        wait_until(&daemon, "a compared block", |status| {
            status["block"] == block
                && status["state"] == "running"
                && status["elapsed_s"].as_f64() > Some(0.5)
        });
        let status = daemon.status();
        let decoder = &status["decoder"];
        assert_eq!(decoder["model"], "0".repeat(64), "{decoder:#}");
        assert!(decoder["name"].as_str().is_some_and(|name| name.starts_with("hidden")), "{decoder:#}");
        assert_eq!((&decoder["quality"], &decoder["poor"]), (&Value::Null, &json!(false)));
        let list = list();
        // the one that was fitted before the comparison, and nothing of which one decodes
        let models = list["models"].as_array().expect("a list");
        assert!(models.len() <= 1 && models.iter().all(|model| model["active"] == false), "{list:#}");
        assert_eq!(
            (&list["active"], &list["before"], &list["wanted"]),
            (&json!(null), &json!(null), &json!(null))
        );
        if let Some(hash) = models.first().and_then(|model| model["model"].as_str()) {
            let (code, body) = daemon.http("POST", &format!("/v1/models/{hash}/activate"), None, true);
            assert!(code == 409 && body.contains("being compared"), "{code} {body}");
        }
    }
    let printed = ended(daemon, 0);
    let told = printed["session"]["comparison"]["decoders"].as_array().expect("decoders").clone();
    assert!(
        told.iter().all(|one| one["decoder"].as_str().is_some_and(|name| name.contains("kalman"))),
        "{told:?}"
    );
    let mut reader =
        SessionReader::open(&laboratory.path("session.xdf"), Wanted::default()).expect("a recording");
    let mut hashes = Vec::new();
    while let Some(item) = reader.next_item().expect("readable") {
        if let Item::Event(event) = item
            && let EventBody::Model(ModelEvent::Swapped { decoder, hash, .. }) = event.body
        {
            assert!(decoder.contains("kalman"), "{decoder}");
            hashes.push(hash);
        }
    }
    assert!(hashes.len() >= 3 && !hashes.contains(&"0".repeat(64)), "{hashes:?}");
}

#[test]
fn a_full_disk_in_the_middle_of_a_session_is_shown_and_the_session_goes_on() {
    let laboratory = Laboratory::new("session-disk");
    let _participant = participant(&laboratory);
    configuration(&laboratory, "");
    let preset = preset(&laboratory, &[block("open_loop", "Open loop", 8, "")]);
    let daemon = session(&laboratory, &preset, &["--operator", "AB", "--record", "session.xdf"]);
    wait_until(&daemon, "it runs", |status| status["elapsed_s"].as_f64() > Some(1.0));
    let bytes = daemon.status()["recording"]["bytes"].as_u64().expect("a count");
    let process = daemon.process.child.id().to_string();
    let limit = format!("--fsize={}:unlimited", bytes + 10_000);
    assert!(Command::new("prlimit").args(["--pid", &process, &limit]).status().expect("prlimit").success());
    daemon.wait_until("the recording fails", |status| status["recording"]["state"] == "failing");
    let at = shown(&daemon)["elapsed_s"].as_f64().expect("seconds");
    wait_until(&daemon, "it goes on", |status| {
        status["elapsed_s"].as_f64() > Some(at + 1.0) || status["state"] == "done"
    });
    // what is missing in the recording is an end of its own
    let printed = ended(daemon, 1);
    assert_eq!(printed["session"]["state"], "done", "{printed:#}");
    assert!(printed["run"]["recording"]["lost_ticks"].as_u64() > Some(0), "{}", printed["run"]["recording"]);
}

#[test]
fn a_daemon_that_was_killed_in_a_session_says_where_when_it_is_started_again() {
    let laboratory = Laboratory::new("killed-session");
    let _participant = participant(&laboratory);
    let file = configuration(&laboratory, "");
    let blocks = [block("open_loop", "Open loop", 8, ""), block("closed_loop", "On your own", 60, "")];
    let mut daemon = session(&laboratory, &preset(&laboratory, &blocks), &["--operator", "AB"]);
    wait_until(&daemon, "the second block", |status| {
        status["block"] == 1 && status["elapsed_s"].as_f64() > Some(0.5)
    });
    daemon.process.child.kill().expect("it runs");
    daemon.process.child.wait().expect("it ends");
    let saved = fs::read_dir(laboratory.path("models/P1")).expect("a folder").count();
    assert!(saved >= 2, "a model, and where the session stood");
    let mut command = laboratory.kalmind();
    command.args(["run", "--resume", "--wait", "30", "--json", "--config"]).arg(file);
    let daemon = Daemon::begun(Process::start(command));
    let again = wait_until(&daemon, "what was interrupted", |status| status["state"] == "closed");
    let message = again["message"].as_str().expect("words");
    assert!(message.contains("interrupted in block 2 (On your own)"), "{message}");
    assert!(daemon.status()["decoder"].is_object());
    daemon.end();
}
