//! Streams with stages: decoded from what these make of them, recorded, replayed, and made again from what was received.

use std::{
    cell::Cell,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use kalmind::starting::recorded::plan_features;
use kalmind_offline::{
    Quiet,
    features::{FeatureRow, make_features},
    recorded::{Item, SessionReader, Wanted},
};
use kalmind_types::{BinClose, EventBody, StagesAction};
use serde_json::{Value, json};

use crate::{
    harness::Laboratory,
    recording::{recording, replayed},
};

const SECTIONS: &str = "[[0.25, 0.5, 0.25, 1, -0.5, 0.25]]";

/// A configuration of a stream with stages that go on as 8 samples of look-ahead let them.
fn configuration(laboratory: &Laboratory, record: &str) -> PathBuf {
    laboratory.write(
        "stages.toml",
        &format!(
            "{record}\ninstance.name = \"{0}\"\nserver.bind = \"127.0.0.1:0\"\nbins.measure_arrival_s = 0\n[[stream]]\n\
             name = \"{0}\"\nbinning = \"mean\"\nstages = [{{ stage = \"iir\", sections = {SECTIONS} }}, \
             {{ stage = \"iir_backward\", sections = {SECTIONS}, block = 8 }}]\n",
            laboratory.name
        ),
    )
}

/// A recording of a stream with stages that had short gaps, made-up values and a long gap; `record` is what the configuration
/// says of recordings.
fn recorded(laboratory: &Laboratory, record: &str) -> PathBuf {
    let mut outlet = laboratory.outlet(&laboratory.name, &["--rate", "1000", "--labels", "a,b,c"]);
    let configuration = configuration(laboratory, record);
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
    daemon.wait_until("it is live", |status| status["streams"][0]["health"] == "live");
    daemon.end();
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
    features_are_made_again(&laboratory, &file);
}

/// Features made of the recorded samples alone, as those of any recording, are those that the run made: up to where a bin was
/// closed because time had passed.
fn features_are_made_again(laboratory: &Laboratory, file: &Path) {
    let configuration =
        kalmind::configuration::load(&configuration(laboratory, "")).expect("a configuration");
    let (plan, _) = plan_features(&configuration, file, None).expect("a plan");
    let mut made = Vec::new();
    let mut show = |row: &FeatureRow<'_>| {
        made.push((row.incomplete, row.values.to_vec()));
        ControlFlow::Continue(())
    };
    make_features(file, &plan, None, &Quiet(|| 0.0), &mut show, None).expect("features");
    let wanted = Wanted { ticks: true, features: true, ..Wanted::default() };
    let mut reader = SessionReader::open(file, wanted).expect("readable");
    let mut compared = 0;
    while let Some(item) = reader.next_item().expect("readable") {
        let Item::Tick(tick) = item else { continue };
        if tick.document.input.closed_by == BinClose::Deadline {
            break;
        }
        let (_, values) = made.get(compared).expect("as many bins");
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(values), bits(&tick.features), "bin {compared}");
        compared += 1;
    }
    assert!(compared > 30 && made.iter().any(|(incomplete, _)| !incomplete), "{compared}");
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

#[test]
fn other_stages_follow_while_it_runs_and_all_of_it_is_made_again() {
    let laboratory = Laboratory::new("stages-change");
    let _outlet = laboratory.outlet(&laboratory.name, &["--rate", "1000", "--labels", "a,b,c"]);
    let file = laboratory.path("stages.xdf");
    let daemon = recording(&laboratory, &configuration(&laboratory, ""), &file);
    let number = |status: &Value| status["stages"][0]["number"].as_u64();
    let ticks = |status: &Value| status["tick"]["ticks"].as_u64();
    daemon.wait_until("it decodes", |status| ticks(status) > Some(20));
    let sections = json!([[0.5, 0.5, 0, 1, -0.25, 0]]);
    let stages = |block: u64| {
        json!([
            { "stage": "iir", "sections": sections },
            { "stage": "iir_backward", "sections": sections, "block": block },
        ])
    };
    let ask = |stream: &str, stages: Value, token: bool| {
        let body = json!({ "stream": stream, "stages": stages });
        daemon.http("POST", "/v1/stages", Some(&body), token)
    };
    let stream = laboratory.name.as_str();
    for (stream, stages, token, expected) in [
        (stream, stages(8), false, 401),
        ("another", stages(8), true, 422),
        (stream, json!([{ "stage": "iir", "sections": [[1, 0, 0, 2, 0, 0]] }]), true, 422),
        (stream, stages(16), true, 422),
        (stream, stages(8), true, 200),
    ] {
        let (code, body) = ask(stream, stages, token);
        assert_eq!(code, expected, "{body}");
    }
    let status = daemon.wait_until("bins are of them", |status| number(status) == Some(1));
    let generation = status["stages"][0]["generation"].clone();
    assert!(status["stages"][0]["next"].is_null(), "{status}");
    assert_eq!(ask(stream, stages(8), true).0, 409, "they are in force already");
    let until = ticks(&status).map(|ticks| ticks + 50);
    daemon.wait_until("it goes on", |status| ticks(status) > until);
    daemon.end();
    let session = replayed(&file);
    assert!(session.identical(), "{:?}", session.comparison.first_difference);
    laboratory.recomputes_alike(&file);
    // the event names the first tick that is wholly of it
    let mut reader =
        SessionReader::open(&file, Wanted { ticks: true, ..Wanted::default() }).expect("readable");
    let (mut told, mut first, mut actions) = (None, None, Vec::new());
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Tick(tick) if tick.document.input.streams[0].generation == 1 => {
                first.get_or_insert(tick.document.input.seq);
            }
            Item::Event(event) => {
                if let EventBody::Stages(event) = event.body {
                    actions.push(event.action);
                    assert_eq!(json!(event.generation), generation);
                    told = event.seq.or(told);
                }
            }
            _ => {}
        }
    }
    assert_eq!(actions, [StagesAction::StagesChanging, StagesAction::StagesInForce]);
    assert!(first.is_some() && told == first, "{told:?} {first:?}");
}

#[test]
fn filters_that_settle_at_the_start_are_waited_for_and_nobody_has_to_resume() {
    let laboratory = Laboratory::new("stages-settle");
    let mut outlet = laboratory.outlet(&laboratory.name, &["--rate", "1000", "--labels", "a,b,c"]);
    // a high-pass that settles for 3.4 s
    let configuration = laboratory.write(
        "stages.toml",
        &format!(
            "instance.name = \"{0}\"\nserver.bind = \"127.0.0.1:0\"\nbins.measure_arrival_s = 0\n\
             [[stream]]\nkey = \"EEG\"\nname = \"{0}\"\nbinning = \"mean\"\n\
             stages = [{{ stage = \"iir\", sections = [[1, -1, 0, 1, -0.998, 0]] }}]\n",
            laboratory.name
        ),
    );
    let file = laboratory.path("settle.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    let settling = |status: &Value| status["streams"][0]["settling_ms"].as_f64();
    for is_start in [true, false] {
        daemon.wait_until("they settle", |status| settling(status) > Some(500.0));
        let complete = |status: &Value| {
            let tick = &status["tick"];
            (tick["ticks"].as_u64(), tick["incomplete"].as_u64())
        };
        let status = daemon.wait_until("they have settled", |status| settling(status).is_none());
        // twenty bins in a row; on a busy machine one may come too late
        let since = Cell::new(complete(&status));
        daemon.wait_until("it decodes", |status| {
            let (now, before) = (complete(status), since.get());
            if now.1 != before.1 {
                since.set(now);
            }
            now.1 == before.1 && now.0 > before.0.map(|ticks| ticks + 20)
        });
        if is_start {
            // too long to be filled, too short to be stale: they begin anew
            outlet.disturb("skip 50");
        }
    }
    daemon.end();
    let session = replayed(&file);
    assert!(session.identical(), "{:?}", session.comparison.first_difference);
    let mut reader =
        SessionReader::open(&file, Wanted { ticks: true, ..Wanted::default() }).expect("readable");
    let (mut told, mut settling) = (Vec::new(), 0);
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Event(event) => {
                if let EventBody::State(event) = event.body {
                    told.push((event.state.name(), event.message));
                }
            }
            Item::Tick(tick) => settling += usize::from(tick.document.input.streams[0].settling.is_some()),
            _ => {}
        }
    }
    assert!(settling > 2 * 150, "{settling}");
    let of_filters =
        |(_, message): &(&str, String)| message.starts_with("filters of stream \"EEG\" settle: 3.");
    let settled: Vec<usize> =
        told.iter().enumerate().filter(|(_, told)| of_filters(told)).map(|(place, _)| place).collect();
    assert_eq!(settled.len(), 2, "{told:?}");
    let (start, later) = told.split_at(settled[1]);
    assert!(start.iter().all(|(state, _)| *state != "stale"), "nobody is asked at the start: {told:?}");
    // later it took longer than a gap may
    let stale = later.iter().find(|(state, _)| *state == "stale");
    assert!(stale.is_some_and(|(_, message)| message.contains("waits for the operator")), "{told:?}");
}
