//! How streams arrive: in chunks, ahead of their time, in bursts; and what follows.

use serde_json::{Value, json};

use crate::harness::Laboratory;

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

#[test]
fn a_sender_of_long_chunks_is_measured_and_control_needs_a_confirmation() {
    let laboratory = Laboratory::new("chunks");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &["--chunk", "25", "--together"]);
    let configuration = laboratory.controlled(
        &format!("name = \"{stream}\""),
        "safety.auto_resume_ms = 600000\nsafety.allow_slow_input = false",
    );
    let daemon = laboratory.daemon(&configuration, "30");
    let status =
        daemon.wait_until("its arrival is measured", |status| status["input"]["state"] != "measuring");
    assert_eq!(status["input"]["state"], "slow", "{:#}", status["input"]);
    let text = status["input"]["text"].as_str().expect("words");
    assert!(text.contains("too late for cursor control") && text.contains("in chunks"), "{text}");
    let arrival = &status["streams"][0]["arrival"];
    assert!(arrival["measured"]["longest_interval_ms"].as_f64().expect("measured") > 400.0, "{arrival:#}");
    assert!(arrival["stall_ms"].as_f64().expect("a limit") > 600.0, "{arrival:#}");

    // started with `start = "control"`: not without a word of the operator's
    daemon.wait_until("idle, and why", |status| {
        status["state"] == "idle"
            && status["reason"].as_str().is_some_and(|reason| reason.contains("too late for cursor control"))
    });
    let ask = |body: &Value| daemon.http("POST", "/v1/control", Some(body), true);
    let (code, body) = ask(&json!({ "state": "control" }));
    assert!(code == 409 && body.contains("slow_input"), "{code} {body}");
    let (code, body) = ask(&json!({ "state": "control", "confirm": "slow_input" }));
    assert_eq!(code, 200, "{body}");
    daemon.wait_until("control", |status| status["state"] == "control");

    // measured anew when the operator asks: idle meanwhile, and the confirmation was for what was measured then
    let event = json!({ "kind": "operator", "data": { "action": "measure_arrival" } });
    let (code, body) = daemon.http("POST", "/v1/events", Some(&event), true);
    assert_eq!(code, 200, "{body}");
    daemon.wait_until("measuring", |status| {
        status["input"]["state"] == "measuring" && status["state"] == "idle"
    });
    daemon.wait_until("measured", |status| status["input"]["state"] == "slow");
    let summary = daemon.end();
    assert_eq!(summary["streams"][0]["missing"], 0, "{summary:#}");
    assert_eq!(summary["input"]["state"], "slow");
}

#[test]
fn a_slow_input_is_controlled_with_where_the_configuration_allows_it() {
    let laboratory = Laboratory::new("allowed");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &["--chunk", "25", "--together"]);
    let configuration = laboratory.controlled(
        &format!("name = \"{stream}\""),
        "safety.auto_resume_ms = 600000\nsafety.allow_slow_input = true",
    );
    let daemon = laboratory.daemon(&configuration, "30");
    let status = daemon.wait_until("control", |status| status["state"] == "control");
    assert!(status["input"]["delay_ms"].as_f64().expect("measured") > 400.0, "{:#}", status["input"]);
    daemon.end();
}

#[test]
fn limits_that_are_configured_stand_and_one_that_is_too_short_is_told() {
    let laboratory = Laboratory::new("configured");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &["--chunk", "10", "--together"]);
    let limits = format!("name = \"{stream}\"\nstall_ms = 120\nbacklog_ms = 130");
    let daemon = laboratory.daemon(&laboratory.controlled(&limits, ""), "30");
    let status =
        daemon.wait_until("a remark", |status| status["streams"][0]["arrival"]["remark"].is_string());
    let arrival = &status["streams"][0]["arrival"];
    assert_eq!((&arrival["stall_ms"], &arrival["backlog_ms"]), (&json!(120.0), &json!(130.0)));
    let remark = arrival["remark"].as_str().expect("words");
    assert!(
        remark.contains("stall_ms = 120 is too short") && remark.contains("backlog_ms = 130 is too short"),
        "{remark}"
    );
    daemon.end();
}

#[test]
fn a_stop_behind_a_burst_of_markers_arrives_and_every_marker_is_counted() {
    let laboratory = Laboratory::new("burst-of-markers");
    let (stream, markers) = (laboratory.name.clone(), format!("{}-markers", laboratory.name));
    let _outlet = laboratory.outlet(&stream, &[]);
    let mut task = laboratory.python("markers.py", &["--name", &markers]);
    task.expect_line("ready");
    let more =
        format!("bins.measure_arrival_s = 0\nsafety.auto_resume_ms = 600000\ntask.name = \"{markers}\"");
    let daemon = laboratory.daemon(&laboratory.controlled(&format!("name = \"{stream}\""), &more), "30");
    daemon.wait_until("control, the task connected", |status| {
        status["state"] == "control" && status["streams"][1]["health"] == "live"
    });
    task.say(r#"burst 30000 {"kind":"operator","data":{"action":"stop"}}"#);
    let stopped = |status: &Value| {
        status["state"] == "hold"
            || status["reason"].as_str().is_some_and(|reason| reason.contains("stopped"))
    };
    daemon.wait_until("stopped", stopped);
    let status =
        daemon.wait_until("every marker", |status| count(&status["tick"]["unknown_markers"]) == 30_000);
    assert_eq!(count(&status["streams"][1]["received"]), 30_001);
    assert_eq!(
        (&status["streams"][1]["dropped"], &status["streams"][1]["overflows"]),
        (&json!(0), &json!(0))
    );
    daemon.end();
}
