//! Streams with stages: decoded from what these make of them, recorded, replayed, and made again from what was received.

use serde_json::Value;

use crate::{
    harness::Laboratory,
    recording::{recording, replayed},
};

#[test]
fn a_derived_stream_is_decoded_recorded_replayed_and_made_again_from_the_raw_samples() {
    let laboratory = Laboratory::new("stages");
    let mut outlet = laboratory.outlet("staged", &["--rate", "1000", "--labels", "a,b,c"]);
    let sections = "[[0.25, 0.5, 0.25, 1, -0.5, 0.25]]";
    let configuration = laboratory.write(
        "stages.toml",
        &format!(
            "instance.name = \"{}\"\nserver.bind = \"127.0.0.1:0\"\nbins.measure_arrival_s = 0\n[[stream]]\n\
             name = \"staged\"\nbinning = \"mean\"\nstages = [{{ stage = \"iir\", sections = {sections} }}, \
             {{ stage = \"iir_backward\", sections = {sections}, block = 8 }}]\n",
            laboratory.name
        ),
    );
    let file = laboratory.path("stages.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
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
    let session = replayed(&file);
    assert!(session.identical(), "{:?}", session.comparison.first_difference);
    assert!(session.comparison.ticks > 30);
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
