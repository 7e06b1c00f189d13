//! Streams that come late, or that nothing matches, and outlets that are there before either.

use kalmind_recording::xdf::{recording::read_xdf, samples::Values};
use kalmind_types::Samples;
use serde_json::Value;

use crate::harness::{Daemon, Laboratory, Process};

/// The daemon as started, not running yet.
fn start(laboratory: &Laboratory, configuration: &std::path::Path, more: &[&str]) -> Process {
    let mut command = laboratory.kalmind();
    command.args(["run", "--wait", "60", "--json", "--config"]).arg(configuration).args(more);
    Process::start(command)
}

/// The same daemon once it runs.
fn running(process: Process) -> Daemon {
    let page = process.expect_line("page: http://");
    let address = page.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let token = page.split("#token=").nth(1).expect("a token").trim();
    Daemon { address: address.to_owned(), token: token.to_owned(), process }
}

fn names(listed: &str) -> Vec<String> {
    let listed: Value = serde_json::from_str(listed).expect("one JSON document");
    let streams = listed["streams"].as_array().expect("a list").iter();
    streams.filter_map(|stream| stream["name"].as_str().map(str::to_owned)).collect()
}

#[test]
fn outlets_are_there_while_a_stream_is_awaited() {
    let laboratory = Laboratory::new("awaited");
    let name = laboratory.name.clone();
    let configuration = laboratory.controlled("name = \"awaited-array\"", "");
    let process = start(&laboratory, &configuration, &[]);
    let told = process.expect_line("waiting");
    assert!(told.contains("\"awaited-array\""), "{told}");
    // a program that waits for the cursor before it sends its own stream finds it now
    let outlets = [format!("{name}-Cursor"), format!("{name}-Events")];
    let mut searches = 0..30;
    let is_there = searches.any(|_| {
        let listed = names(&laboratory.succeed(&["streams", "--seconds", "0.2", "--json"]));
        outlets.iter().all(|outlet| listed.contains(outlet))
    });
    assert!(is_there, "not in so many searches: {outlets:?}");
    let _outlet = laboratory.outlet("awaited-array", &[]);
    let daemon = running(process);
    daemon.wait_until("ticks", |status| status["tick"]["ticks"].as_u64() > Some(10));
    daemon.end();
}

#[test]
fn a_model_is_checked_before_any_stream_is_awaited() {
    let laboratory = Laboratory::new("checked");
    let configuration = laboratory.controlled("name = \"nowhere\"\nbinning = \"mean\"", "bins.bin_ms = 50");
    let file = configuration.to_str().expect("a path");
    let output = laboratory.run(&["run", "--wait", "3600", "--config", file]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("bins of 20 ms") && said.contains("bins of 50 ms"), "{said}");
}

#[test]
fn streams_to_record_may_come_later_and_are_recorded_from_then_on() {
    let laboratory = Laboratory::new("later");
    let _outlet = laboratory.outlet("later-array", &[]);
    let more = "[[record.stream]]\nname = \"later-eyes\"\nrequired = false\n\
                [[record.stream]]\nname = \"later-notes\"\nrequired = false\n";
    let configuration = laboratory.controlled(&format!("name = \"later-array\"\n{more}"), "");
    let file = laboratory.path("later.xdf");
    let process = start(&laboratory, &configuration, &["--record", file.to_str().expect("a path")]);
    let missing = process.expect_line("later-eyes");
    assert!(missing.contains("will be recorded when it appears"), "{missing}");
    let daemon = running(process);
    let place = |status: &Value, key: &str| {
        let streams = status["streams"].as_array().expect("a list");
        streams.iter().find(|stream| stream["key"] == key).cloned().expect("it is shown")
    };
    let waiting = daemon.wait_until("it says what is there instead", |status| {
        place(status, "later-eyes")["detail"].as_str().is_some_and(|detail| detail.contains("there instead"))
    });
    assert_eq!(place(&waiting, "later-eyes")["health"], "waiting");
    let _eyes = laboratory.outlet("later-eyes", &["--channels", "2", "--format", "int16"]);
    let _notes =
        laboratory.outlet("later-notes", &["--text", "--channels", "1", "--nominal", "0", "--rate", "10"]);
    for key in ["later-eyes", "later-notes"] {
        daemon.wait_until("it is recorded", |status| place(status, key)["received"].as_u64() > Some(20));
    }
    daemon.end();
    let recorded = read_xdf(&file).expect("a recording");
    assert!(recorded.problems.is_empty(), "{:?}", recorded.problems);
    let stream = |name: &str| {
        recorded.streams.iter().find(|stream| stream.header.name == name).expect("the stream is recorded")
    };
    let eyes = stream("later-eyes");
    assert!(matches!(&eyes.values, Values::Numbers(Samples::Int16(values)) if values.len() > 40));
    assert!(matches!(&stream("later-notes").values, Values::Texts(texts) if texts.len() > 20));
}

#[test]
fn streams_to_record_are_not_needed_where_nothing_is_recorded() {
    let laboratory = Laboratory::new("unrecorded");
    let _outlet = laboratory.outlet("unrecorded-array", &[]);
    let stream = "name = \"unrecorded-array\"\n[[record.stream]]\nname = \"unrecorded-eyes\"\n";
    let configuration = laboratory.controlled(stream, "");
    let daemon = running(start(&laboratory, &configuration, &[]));
    daemon.wait_until("ticks", |status| status["tick"]["ticks"].as_u64() > Some(10));
    daemon.end();
}

#[test]
fn numbers_are_markers_by_their_text_and_are_recorded_as_numbers() {
    let laboratory = Laboratory::new("numbers");
    let _outlet = laboratory.outlet("numbers-array", &[]);
    let stream = "name = \"numbers-array\"\n[task]\nname = \"numbers-box\"\n[task.markers]\n\
                  1 = { kind = \"target\", position = [0.2, 0.5], radius = 0.06 }\n\
                  \"2.0\" = { kind = \"operator\", action = \"stop\" }\n\
                  9 = { kind = \"target\" }\n";
    let configuration = laboratory.controlled(stream, "");
    let file = laboratory.path("numbers.xdf");
    let process = start(&laboratory, &configuration, &["--record", file.to_str().expect("a path")]);
    let missing = process.expect_line("task markers");
    assert!(missing.contains("numbers-box") && missing.contains("there instead"), "{missing}");
    let daemon = running(process);
    let mut triggers = laboratory.python("triggers.py", &["--name", "numbers-box", "--format", "int32"]);
    triggers.expect_line("ready");
    daemon.wait_until("the box is connected", |status| status["streams"][1]["health"] == "live");
    for value in ["1", "0", "77", "77", "2"] {
        triggers.disturb(value);
    }
    // a stop is in force before its marker is counted
    let status = daemon
        .wait_until("the stop", |status| status["state"] == "hold" && status["task"]["markers"]["2.0"] == 1);
    assert_eq!(status["target"]["data"]["position"], serde_json::json!([0.2, 0.5]));
    assert_eq!(status["task"]["markers"], serde_json::json!({ "1": 1, "2.0": 1, "9": 0 }));
    assert_eq!(status["task"]["unknown"], serde_json::json!({ "77": 2 }), "0 is a line at rest");
    daemon.end();
    let recorded = read_xdf(&file).expect("a recording");
    let stream =
        recorded.streams.iter().find(|stream| stream.header.name == "numbers-box").expect("recorded");
    assert_eq!(stream.values, Values::Numbers(Samples::Int32(vec![1, 0, 77, 77, 2])));
}

#[test]
fn an_input_that_is_not_required_may_come_later_in_any_number_format() {
    let laboratory = Laboratory::new("optional");
    let _outlet = laboratory.outlet("optional-array", &[]);
    let stream = |more: &str| {
        format!(
            "instance.name = \"{}\"\nserver.bind = \"127.0.0.1:0\"\n[[stream]]\nname = \"optional-array\"\n\
             [[stream]]\nname = \"optional-force\"\nbinning = \"mean\"\nrequired = false\n{more}\n",
            laboratory.name
        )
    };
    // how many features would it contribute?
    let unknown = laboratory.write("unknown.toml", &stream(""));
    let output = laboratory.run(&["run", "--wait", "1", "--config", unknown.to_str().expect("a path")]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("optional-force") && said.contains("`channels` says"), "{said}");

    let configuration = laboratory.write("optional.toml", &stream("channels = 2"));
    let file = laboratory.path("optional.xdf");
    let process = start(&laboratory, &configuration, &["--record", file.to_str().expect("a path")]);
    let missing = process.expect_line("optional-force");
    assert!(missing.contains("will be decoded when it appears"), "{missing}");
    let daemon = running(process);
    daemon.wait_until("ticks", |status| status["tick"]["ticks"].as_u64() > Some(10));
    let three = laboratory.outlet("optional-force", &["--channels", "3"]);
    let other =
        daemon.wait_until("another shape is refused", |status| status["streams"][1]["health"] == "mismatch");
    let detail = other["streams"][1]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("number of channels 3 instead of 2"), "{detail}");
    daemon
        .wait_until("what it sends is counted", |status| status["streams"][1]["dropped"].as_u64() > Some(0));
    drop(three);
    let _force =
        laboratory.outlet("optional-force", &["--channels", "2", "--format", "int16", "--rate", "100"]);
    daemon.wait_until("it has come", |status| status["streams"][1]["received"].as_u64() > Some(50));
    // samples of another shape cannot be recorded: they are counted, and the exit code says so
    daemon.end_with(1);
    let replayed: Value =
        serde_json::from_str(&laboratory.succeed(&["replay", file.to_str().expect("a path"), "--json"]))
            .expect("one JSON document");
    assert_eq!(replayed["identical"], true, "{replayed}");
    let recorded = read_xdf(&file).expect("a recording");
    let force =
        recorded.streams.iter().find(|stream| stream.header.name == "optional-force").expect("recorded");
    assert!(
        matches!(&force.values, Values::Numbers(Samples::Double64(values)) if values.iter().any(|value| *value > 1.0))
    );
}
