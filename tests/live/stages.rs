//! Streams with stages: decoded from what these make of them, recorded, replayed, and made again from what was received.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    harness::Laboratory,
    recording::{recording, replayed},
};

/// A recording of a stream with stages that had short gaps, made-up values and a long gap; `record` is what the configuration
/// says of recordings.
fn recorded(laboratory: &Laboratory, record: &str) -> PathBuf {
    let mut outlet = laboratory.outlet(&laboratory.name, &["--rate", "1000", "--labels", "a,b,c"]);
    let sections = "[[0.25, 0.5, 0.25, 1, -0.5, 0.25]]";
    let configuration = laboratory.write(
        "stages.toml",
        &format!(
            "{record}\ninstance.name = \"{0}\"\nserver.bind = \"127.0.0.1:0\"\nbins.measure_arrival_s = 0\n[[stream]]\n\
             name = \"{0}\"\nbinning = \"mean\"\nstages = [{{ stage = \"iir\", sections = {sections} }}, \
             {{ stage = \"iir_backward\", sections = {sections}, block = 8 }}]\n",
            laboratory.name
        ),
    );
    let file = laboratory.path("stages.xdf");
    let daemon = recording(laboratory, &configuration, &file);
    let received = |status: &Value| status["streams"][0]["received"].as_u64().expect("a count");
    for command in ["clean", "nan 2", "clean", "pause", "go"] {
        outlet.disturb(command);
        let at = received(&daemon.status());
        daemon.wait_until("it shows", |status| {
            if command == "pause" {
                status["streams"][0]["health"] == "stalled"
            } else {
                received(status) > at + 400
            }
        });
    }
    let summary = daemon.end();
    assert_eq!(summary["streams"][0]["health"], "live", "{summary}");
    file
}

#[test]
fn a_derived_stream_is_decoded_recorded_replayed_and_made_again_from_the_raw_samples() {
    let laboratory = Laboratory::new("stages");
    let file = recorded(&laboratory, "");
    let session = replayed(&file);
    assert!(session.identical(), "{:?}", session.comparison.first_difference);
    assert!(session.comparison.ticks > 30 && session.derived == 0);
    let name = file.display().to_string();
    let text = laboratory.succeed(&["replay", &name, "--recompute", "--json"]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let recomputed = &found["recomputed"];
    assert_eq!(
        (&recomputed["streams"], &recomputed["not_computed"]),
        (&Value::from(1), &Value::from(0)),
        "{found}"
    );
    assert_eq!(recomputed["first_difference"], Value::Null, "{found}");
    assert!(recomputed["compared"].as_u64() > Some(1000), "{found}");
}

#[test]
fn a_recording_of_raw_samples_alone_is_replayed_from_what_the_stages_make_of_them() {
    let laboratory = Laboratory::new("stages-raw");
    let file = recorded(&laboratory, "record.what = \"raw\"");
    let session = replayed(&file);
    assert!(session.identical(), "{:?}", session.comparison.first_difference);
    assert!(session.comparison.ticks > 30 && session.derived > 1000, "{}", session.derived);
    let text = laboratory.succeed(&["replay", &file.display().to_string()]);
    assert!(text.contains("only raw samples are recorded: ") && text.contains("identical"), "{text}");
    let streams = laboratory.succeed(&["recording", "info", &file.display().to_string(), "--json"]);
    assert!(streams.contains("\"raw\"") && !streams.contains("\"input\""), "{streams}");
}
