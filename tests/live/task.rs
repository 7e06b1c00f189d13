//! A laboratory's own task program calibrates, drives and stops the daemon; everything it tells comes out again.

use serde_json::{Value, json};

use crate::harness::{Laboratory, Process};

/// Waits for an event of `kind` whose data fit; WebSocket lines are events, lines of `watch_lsl.py` hold them.
fn expect_event(watch: &Process, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let event = |line: &Value| {
        if line["event"].is_object() { line["event"].clone() } else { line.clone() }
    };
    let line = watch.expect_json(kind, |line| {
        let event = event(line);
        event["type"] == "event" && event["kind"] == kind && fits(&event["data"])
    });
    let mut event = event(&line);
    if let Some(event) = event.as_object_mut() {
        // when it came here, which is not the same for everybody
        event.remove("received");
    }
    event
}

#[test]
fn a_task_program_with_pylsl_and_http_alone_calibrates_drives_and_stops() {
    let laboratory = Laboratory::new("task");
    let name = laboratory.name.clone();
    let (counts, markers) = (format!("{name}-participant"), format!("{name}-markers"));
    let configuration = laboratory.write(
        "kalmind.toml",
        &format!(
            "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nsafety.auto_resume_ms = 600000\n\
             safety.stale_after_ms = 10000\n[[stream]]\nname = \"{counts}\"\nbacklog_ms = 10000\n\
             [task]\nname = \"{markers}\"\ndecoder = \"kalman-steady\"\n[task.markers]\n\
             GO_LEFT = {{ kind = \"target\", position = [0.2, 0.5], radius = 0.06 }}\n\
             GO_RIGHT = {{ kind = \"target\", position = [0.8, 0.5], radius = 0.06 }}\n\
             GO_UP = {{ kind = \"target\", position = [0.5, 0.8], radius = 0.06 }}\n\
             GO_DOWN = {{ kind = \"target\", position = [0.5, 0.2], radius = 0.06 }}\n\
             NO_TARGET = {{ kind = \"target\" }}\n\
             END_OPEN = {{ kind = \"task_block\", block = \"open_loop\", phase = \"end\" }}\n\
             BEGIN_CLOSED = {{ kind = \"task_block\", block = \"closed_loop\", phase = \"start\" }}\n\
             HALT = {{ kind = \"operator\", action = \"stop\" }}\n"
        ),
    );
    let mut participant = laboratory.kalmind();
    participant.args(["simulate", "--instance", &name, "--stream", &counts]);
    let participant = Process::start(participant);
    let daemon = laboratory.daemon(&configuration, "30");
    let (client, _) = laboratory.watch(&daemon);
    let lsl = laboratory.watch_lsl();
    let mut task = laboratory.python(
        "task.py",
        &[
            "--name",
            &markers,
            "--cursor",
            &format!("{name}-Cursor"),
            "--address",
            &daemon.address,
            "--token",
            &daemon.token,
        ],
    );
    task.expect_line_or("all done", "failed");

    // what the task told, in order, in both places, as the same event
    let mut told = Vec::new();
    for watch in [&client, &lsl] {
        told.push([
            expect_event(watch, "task_block", |data| {
                *data == json!({ "block": "open_loop", "phase": "start" })
            }),
            expect_event(watch, "trial", |data| data["trial"] == 0 && data["phase"] == "start"),
            expect_event(watch, "target", |data| *data == json!({ "position": [0.2, 0.5], "radius": 0.06 })),
            expect_event(watch, "trial", |data| data["trial"] == 0 && data["result"] == "timeout"),
            expect_event(watch, "task_block", |data| data["block"] == "open_loop" && data["phase"] == "end"),
            expect_event(watch, "model", |data| {
                data["action"] == "swapped" && data["decoder"] == "kalman-steady"
            }),
            expect_event(watch, "task_block", |data| data["block"] == "closed_loop"),
            expect_event(watch, "target", |data| data["position"].is_null()),
            expect_event(watch, "operator", |data| data["action"] == "stop"),
            expect_event(watch, "operator", |data| data["action"] == "control" && data["by"] == "operator"),
            expect_event(watch, "target", |data| data["position"] == json!([0.4, 0.6])),
        ]);
    }
    assert_eq!(told[0], told[1], "the same events over WebSocket and LSL");
    // what was not understood is counted, and the log quotes it
    daemon.wait_until("an unknown marker", |status| status["tick"]["unknown_markers"] == 1);
    daemon.process.expect_line("no such text");
    let hello = laboratory.watch(&daemon).1;
    assert_eq!(hello["target"]["data"], json!({ "position": [0.4, 0.6], "radius": 0.1 }));
    assert_eq!(hello["decoder"]["name"], "kalman-steady");
    let status = daemon.status();
    assert_eq!(status["state"], "hold");
    assert_eq!(status["streams"][1]["key"], "task markers");
    task.say("end");
    assert_eq!(task.wait().0, Some(0));
    daemon.end();
    drop(participant);
    assert_eq!(client.wait().0, Some(0));
}
