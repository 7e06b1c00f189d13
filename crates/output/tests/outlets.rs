//! The LSL outlets, read by another process through pylsl.
//!
//! liblsl reads its network settings once per process, so each test runs itself again in a child with settings of its
//! own: loopback only, and a session that no other program looks into.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use crossbeam_channel::unbounded;
use fake::{ChannelSource, clock, components, session};
use kalmind_output::{
    CursorLayout, CursorOutletConfig, EventsOutletConfig, Ledger, LslError, LslPublisher, NO_NEWEST,
    PerChannel, spawn_lsl_publisher,
};
use kalmind_types::{
    Actor, Cause, Event, EventBody, EventKind, Heartbeat, LslTime, NumberFormat, OutputState, Position,
    Publication, Reason, RenderedEvent,
};
use serde_json::{Value, json};

mod fake;

/// Runs the test `name` again in a child process on a network of its own; `true` in that child.
fn on_a_network_of_its_own(name: &str) -> bool {
    if env::var_os("LSLAPICFG").is_some() {
        return true;
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("lsl_api.cfg");
    let session = format!("kalmind-output-{name}-{}", std::process::id());
    let text = format!(
        "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {{127.0.0.1}}\n\
         SessionID = {session}\n[log]\nlevel = -2\n"
    );
    fs::File::create(&settings).unwrap().write_all(text.as_bytes()).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("LSLAPICFG", &settings)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Starts the reader and waits until both its streams are open.
fn start_reader(
    cursor: &str,
    ticks: u64,
    events: u64,
    heartbeats: u64,
) -> (Child, BufReader<std::process::ChildStdout>) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../.venv/bin/python");
    assert!(python.exists(), "{} is missing: `make test` sets it up", python.display());
    let mut reader = Command::new(python)
        .arg(root.join("tests/read_outlets.py"))
        .args([cursor, "Kalmind-Events", &ticks.to_string(), &events.to_string(), &heartbeats.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(reader.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (reader, output)
}

fn what_it_saw(mut reader: Child, mut output: BufReader<std::process::ChildStdout>) -> Value {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(reader.wait().unwrap().success());
    serde_json::from_str(&text).unwrap()
}

fn layout() -> CursorLayout {
    CursorLayout {
        bin_ms: 20.0,
        components: components(),
        run: 1_700_000_000,
        session: session().session,
        instance: String::from("fake"),
        participant: String::from("P0"),
        version: String::from("0.0.0"),
        height: 1.0,
    }
}

/// A publisher with the ends of its queues.
struct Fixture {
    publisher: LslPublisher,
    ledger: Arc<Ledger>,
    ticks: crossbeam_channel::Sender<Publication>,
    events: crossbeam_channel::Sender<RenderedEvent>,
}

fn start(outlets: Vec<CursorOutletConfig>) -> Result<Fixture, LslError> {
    let (ticks, tick_queue) = unbounded();
    let (events, event_queue) = unbounded();
    let ledger = Arc::new(Ledger::new().unwrap());
    let publisher = spawn_lsl_publisher(
        outlets,
        EventsOutletConfig::default(),
        layout(),
        Box::new(ChannelSource(tick_queue)),
        event_queue,
        Arc::clone(&ledger),
        clock(),
        None,
    )?;
    Ok(Fixture { publisher, ledger, ticks, events })
}

impl Fixture {
    fn tick(&self, seq: u64) -> LslTime {
        let tick = fake::tick(seq, LslTime(1000.0 + seq as f64 * 0.02), OutputState::Control, None);
        self.ticks.send(Publication::Tick(tick)).unwrap();
        self.publisher.thread().unwrap().unpark();
        tick.output.time
    }
}

/// Ticks that the reader in the other process waits for.
const TICKS: u64 = 500;

#[test]
fn another_process_reads_every_tick_and_event_from_the_first() {
    if !on_a_network_of_its_own("another_process_reads_every_tick_and_event_from_the_first") {
        return;
    }
    let fixture = start(vec![CursorOutletConfig::default()]).unwrap();
    // both outlets are there before the first tick, so the reader misses nothing
    let (reader, output) = start_reader("Kalmind-Cursor", TICKS, 2, 0);
    let stamps: Vec<f64> = (0..TICKS).map(|seq| fixture.tick(seq).0).collect();
    let event =
        |event_seq, data| Event::new(LslTime(1234.5), event_seq, EventBody::read(EventKind::Target, data));
    let events =
        [event(0, json!({"position": [0.25, 0.75], "radius": 0.06})), event(1, json!({"position": null}))];
    for event in &events {
        fixture.events.send(event.clone().into()).unwrap();
    }
    let seen = what_it_saw(reader, output);

    assert_eq!(
        [&seen["type"], &seen["rate"], &seen["format"], &seen["source_id"]],
        [&json!("Cursor"), &json!(50.0), &json!(2), &json!("kalmind-cursor")]
    );
    let labels = [
        "x",
        "y",
        "vx",
        "vy",
        "intent_vx",
        "intent_vy",
        "covariance_vx_vx",
        "covariance_vy_vx",
        "covariance_vy_vy",
        "intent_valid",
        "click",
        "presses",
        "state",
        "incomplete",
        "newest",
        "age_ms",
        "seq",
        "run",
    ];
    assert_eq!(seen["labels"], json!(labels));
    assert_eq!(seen["units"][2], "workspace widths/s");
    assert_eq!(seen["units"][7], "(workspace widths/s)*(workspace widths/s)");
    assert_eq!(seen["can_drop_samples"], "true");
    assert_eq!(seen["session"], session().session);

    // LSL carries 64 bits of each number, and so must what is read
    for (seq, (row, stamp)) in
        seen["rows"].as_array().unwrap().iter().zip(seen["stamps"].as_array().unwrap()).enumerate()
    {
        assert_eq!(stamp.as_f64().unwrap().to_bits(), stamps[seq].to_bits(), "tick {seq}");
        let now = LslTime(1000.0 + seq as f64 * 0.02);
        let sent = fake::tick(seq as u64, now, OutputState::Control, None).output;
        let intent = sent.intent.unwrap();
        let mut expected =
            vec![sent.position.0[0], sent.position.0[1], sent.velocity.0[0], sent.velocity.0[1]];
        expected.extend(intent.mean());
        expected.extend(intent.covariance());
        expected.extend([1.0, 0.0, 0.0, 2.0, 0.0, sent.newest.map_or(NO_NEWEST, |newest| newest.0), 3.0]);
        expected.extend([seq as f64, 1_700_000_000.0]);
        let row: Vec<f64> = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(row, expected, "tick {seq}");
    }

    assert_eq!(
        [&seen["events_type"], &seen["events_format"], &seen["events_rate"]],
        [&json!("Markers"), &json!(3), &json!(0.0)]
    );
    for (text, event) in seen["events"].as_array().unwrap().iter().zip(&events) {
        assert_eq!(serde_json::from_str::<Event>(text.as_str().unwrap()).unwrap(), *event);
    }
    assert_eq!(seen["event_stamps"], json!([1234.5, 1234.5]));

    let (counts, ledger) = (fixture.publisher.stop(), fixture.ledger.snapshot());
    assert_eq!((counts.ticks, counts.events, counts.refused, counts.missed), (TICKS, 2, 0, 0));
    assert_eq!(ledger.ticks, TICKS);
}

#[test]
fn an_outlet_takes_the_place_of_another_programs() {
    if !on_a_network_of_its_own("an_outlet_takes_the_place_of_another_programs") {
        return;
    }
    let other = CursorOutletConfig {
        name: String::from("OtherDecoder"),
        content_type: String::from("Velocity"),
        source_id: String::from("other-decoder-1"),
        format: NumberFormat::Float32,
        scale: PerChannel::Cursor(1920.0),
        channels: Some(vec![String::from("vy"), String::from("vx")]),
        ..CursorOutletConfig::default()
    };
    let fixture = start(vec![CursorOutletConfig::default(), other]).unwrap();
    let (reader, output) = start_reader("OtherDecoder", 3, 1, 0);
    for seq in 0..3 {
        fixture.tick(seq);
    }
    let body = EventBody::Other { kind: EventKind::Trial, data: json!({}) };
    fixture.events.send(Event::new(LslTime(1.0), 0, body).into()).unwrap();
    let seen = what_it_saw(reader, output);
    assert_eq!(
        [&seen["type"], &seen["format"], &seen["source_id"]],
        [&json!("Velocity"), &json!(1), &json!("other-decoder-1")]
    );
    assert_eq!(seen["labels"], json!(["vy", "vx"]));
    assert_eq!(seen["units"][0], "workspace widths/s * 1920");
    for seq in 0..3_u64 {
        let velocity = fake::tick(seq, LslTime(0.0), OutputState::Control, None).output.velocity.0;
        let expected = [velocity[1], velocity[0]].map(|value| f64::from((value * 1920.0) as f32));
        assert_eq!(seen["rows"][seq as usize], json!(expected), "tick {seq}");
    }
}

/// What a reader of an outlet with these channels sees after three ticks in control and a state in which nothing moves.
fn standing(format: NumberFormat, channels: &[&str]) -> Value {
    let outlet = CursorOutletConfig {
        format,
        scale: PerChannel::Cursor(1920.0),
        channels: Some(channels.iter().map(|label| String::from(*label)).collect()),
        ..CursorOutletConfig::default()
    };
    let fixture = start(vec![outlet]).unwrap();
    let (reader, output) = start_reader("Kalmind-Cursor", 3, 0, 3);
    for seq in 0..3 {
        fixture.tick(seq);
    }
    let stale = Some(Reason { cause: Cause::InputNotFresh, by: Actor::Daemon });
    fixture
        .ticks
        .send(Publication::Heartbeat(Heartbeat {
            time: clock().lsl(),
            state: OutputState::Stale,
            reason: stale,
            last_seq: Some(2),
            position: Position([0.25, 0.5]),
        }))
        .unwrap();
    let seen = what_it_saw(reader, output);
    let counts = fixture.publisher.stop();
    assert_eq!((counts.ticks, fixture.ledger.snapshot().ticks), (3, 3), "no heartbeat counts as a tick");
    assert!(counts.heartbeats >= 4, "those read, and the last one");
    seen
}

#[test]
fn without_ticks_every_reader_is_told_that_the_cursor_stands_still() {
    if !on_a_network_of_its_own("without_ticks_every_reader_is_told_that_the_cursor_stands_still") {
        return;
    }
    let channels =
        ["vx", "vy", "x", "intent_vx", "intent_valid", "click", "state", "incomplete", "newest", "seq"];
    for format in [NumberFormat::Double64, NumberFormat::Float32] {
        let seen = standing(format, &channels);
        assert_eq!(seen["gated"], "false", "whoever reads the state can tell");
        let row = [0.0, 0.0, 480.0, 0.0, 0.0, 0.0, 4.0, 1.0, NO_NEWEST, 2.0];
        assert_eq!(seen["standing"], json!([row, row, row]));
    }
    let seen = standing(NumberFormat::Double64, &["vx", "vy", "intent_vy", "intent_valid"]);
    assert_eq!(seen["gated"], "true");
    assert_eq!(seen["rows"][0][3], 1.0, "in control the intent is there");
    assert_eq!(seen["standing"][0], json!([0.0, 0.0, 0.0, 0.0]));
}

#[test]
fn outlets_that_cannot_be_are_refused_with_a_reason() {
    if !on_a_network_of_its_own("outlets_that_cannot_be_are_refused_with_a_reason") {
        return;
    }
    let usual = CursorOutletConfig::default;
    let cases = [
        (CursorOutletConfig { name: String::new(), ..usual() }, "could not be made"),
        (CursorOutletConfig { format: NumberFormat::Int64, ..usual() }, "use float32, double64"),
        (CursorOutletConfig { channels: Some(Vec::new()), ..usual() }, "empty list of channels"),
        (CursorOutletConfig { channels: Some(vec![String::from("z")]), ..usual() }, "there are x, y, vx"),
        (CursorOutletConfig { scale: PerChannel::Cursor(f64::NAN), ..usual() }, "finite"),
    ];
    for (config, word) in cases {
        let error = start(vec![config]).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    }
}
