//! Windows at events: cut at markers of another program, published, recorded, and read again from the recording.

use serde_json::Value;

use crate::{
    harness::{Laboratory, Process},
    recording::{recording, replayed},
};

/// The events of kind `window` that come next: of `watch.py`, or of `watch_lsl.py`, whose lines hold them.
fn windows(watch: &Process, count: usize) -> Vec<Value> {
    let one = || {
        let line = watch.expect_json("a window", |line| {
            let event = if line["event"].is_object() { &line["event"] } else { line };
            event["type"] == "event" && event["kind"] == "window"
        });
        let mut event = if line["event"].is_object() { line["event"].clone() } else { line };
        // when it came here, which is not the same for everybody
        event.as_object_mut().expect("an object").remove("received");
        event
    };
    (0..count).map(|_| one()).collect()
}

#[test]
fn windows_at_markers_are_read_published_recorded_and_replayed_bit_for_bit() {
    let laboratory = Laboratory::new("windows");
    let name = &laboratory.name;
    let mut outlet = laboratory.outlet("windows-array", &["--rate", "1000", "--labels", "a,b,c"]);
    let mut markers = laboratory.python("markers.py", &["--name", "windows-markers"]);
    markers.expect_line("ready");
    let window = |name: &str, offset_ms: i32, length: &str| {
        format!(
            "[[window]]\nkey = \"{name}\"\nstream = \"windows-array\"\nname = \"windows-markers\"\n\
             texts = [\"flash\", \"other\"]\noffset_ms = {offset_ms}\n{length}\n"
        )
    };
    let configuration = laboratory.write(
        "windows.toml",
        &format!(
            "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nbins.measure_arrival_s = 0\n[[stream]]\n\
             name = \"windows-array\"\nbinning = \"mean\"\nstages = [{{ stage = \"identity\" }}]\n{}{}",
            window("after", 100, "length_ms = 200"),
            window("before", -200, "samples = 200"),
        ),
    );
    let file = laboratory.path("windows.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    let (client, _) = laboratory.watch(&daemon);
    let lsl = laboratory.watch_lsl();
    let is_live = |status: &Value| {
        let live = |place: usize| status["streams"][place]["health"] == "live";
        live(0) && live(1) && status["streams"][0]["received"].as_u64() > Some(1000)
    };
    daemon.wait_until("both streams are live", is_live);
    for text in ["flash", "nothing", "other", "flash"] {
        markers.say(text);
        markers.expect_line("done");
    }
    let told = windows(&client, 6);
    assert_eq!(told, windows(&lsl, 6), "the same events over WebSocket and LSL");
    for event in &told {
        let data = &event["data"];
        assert_eq!(data["samples"], 200, "{data}");
        assert_eq!(data["missing"], Value::Null, "{data}");
        let names: Vec<&Value> =
            data["values"].as_array().expect("values").iter().map(|value| &value["name"]).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
    let texts = |window: &str| {
        let of = told.iter().filter(|event| event["data"]["window"] == window);
        of.map(|event| event["data"]["marker"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts("after"), ["flash", "other", "flash"]);
    assert_eq!(texts("before"), ["flash", "other", "flash"]);
    // samples are missing before the marker
    outlet.disturb("pause");
    daemon.wait_until("it is stalled", |status| status["streams"][0]["health"] == "stalled");
    markers.say("flash");
    markers.expect_line("done");
    outlet.disturb("go");
    let told = windows(&client, 2);
    let before = told.iter().find(|event| event["data"]["window"] == "before").expect("both are told");
    assert_eq!((&before["data"]["missing"], &before["data"]["values"]), (&"gap".into(), &Value::Null));
    let counted = |status: &Value, what: &str| status["windows"][what].as_u64().expect("a count");
    let status =
        daemon.wait_until("all are counted", |status| counted(status, "read") + counted(status, "gap") == 8);
    assert!(counted(&status, "gap") >= 1 && counted(&status, "refused") == 0, "{status}");
    daemon.wait_until("it is live again", |status| status["streams"][0]["health"] == "live");
    daemon.end();
    let first = replayed(&file);
    assert!(first.identical(), "{:?}", first.comparison.first_difference);
    let hash = first.comparison.output_sha256();
    for _ in 0..3 {
        assert_eq!(replayed(&file).comparison.output_sha256(), hash);
    }
    let found = laboratory
        .python("window_means.py", &[&file.display().to_string(), "windows-array derived", "100"])
        .expect_json("the means", |line| line["type"] == "means");
    assert!(found["read"].as_u64() >= Some(6), "{found}");
    assert!(found["worst"].as_f64() < Some(1e-12), "{found}");
}
