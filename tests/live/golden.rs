//! Makes fixtures/session/kinds.xdfz: a short session with every kind of what replay has to repeat.
//!
//!     unshare --uts sh -c "hostname lab; cargo test --test live -- --ignored write_the_session_of_every_kind"
//!
//! The file names the machine it was made on; `unshare` makes that a plain one. It differs each time (clocks, when things
//! happen); after making it, `cargo test --test replay -- --ignored write_the_golden_hash` writes what replay gives beside
//! it. tests/replay.rs says what has to be in it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use kalmind_filter::{DecoderSpec, Model, TrainingData, ZScore};
use kalmind_fitting::{FitSettings, fit};
use kalmind_offline::{
    model::IdentifiedModel,
    recorded::{Item, SessionDocument, SessionReader, Wanted},
};
use nalgebra::DMatrix;
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, Laboratory, Process, repository},
    recording::{recording, replayed},
    run_models::{activate, calibrate, event, ticks},
};

/// One stream of each kind, and two stages with memory on the first.
const CONFIGURATION: &str = r#"
instance.name = "Kalmind-Kinds"
server.bind = "127.0.0.1:0"
bins.measure_arrival_s = 0
decoder.plausibility = false
safety.auto_resume_ms = 600000
task.name = "kinds-task"
task.decoder = "dkf-nw:lags=2,running-zscore=20"

[[stream]]
name = "kinds-array"
binning = "mean"
masked = ["b"]
stages = [
    { stage = "iir", sections = [[0.25, 0.5, 0.25, 1, -0.5, 0.25]] },
    { stage = "iir_backward", sections = [[0.25, 0.5, 0.25, 1, -0.5, 0.25]], block = 4 },
]

[[stream]]
name = "kinds-counts"
binning = "sum"
backlog_ms = 1000

[[stream]]
name = "kinds-slow"
binning = "latest"
max_age_ms = 400

[[window]]
key = "response"
stream = "kinds-array"
name = "kinds-task"
texts = ["flash"]
offset_ms = 20
length_ms = 100
"#;

/// The senders of a session.
struct Senders {
    array: Process,
    counts: Process,
    slow: Process,
    task: Process,
}

impl Senders {
    fn new(laboratory: &Laboratory) -> Self {
        let array = ["--rate", "500", "--labels", "a,b,c", "--noise", "0.5"];
        let counts = ["--rate", "200", "--channels", "2", "--format", "int16", "--noise", "0.5"];
        let slow = ["--rate", "5", "--channels", "1", "--format", "double64", "--noise", "0.5"];
        let task = laboratory.python("markers.py", &["--name", "kinds-task"]);
        task.expect_line("ready");
        Self {
            array: laboratory.outlet("kinds-array", &array),
            counts: laboratory.outlet("kinds-counts", &counts),
            slow: laboratory.outlet("kinds-slow", &slow),
            task,
        }
    }

    fn mark(&mut self, text: &str) {
        self.task.say(text);
        self.task.expect_line("done");
    }
}

/// What a session was, and the features of its complete bins.
fn rows(file: &Path) -> (Box<SessionDocument>, Vec<Vec<f64>>) {
    let wanted = Wanted { features: true, ticks: true, ..Wanted::default() };
    let mut reader = SessionReader::open(file, wanted).expect("a recording");
    let (mut session, mut rows) = (None, Vec::new());
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Session(found) => session = Some(found),
            Item::Tick(tick) if tick.features.iter().all(|value| value.is_finite()) => {
                rows.push(tick.features);
            }
            _ => {}
        }
    }
    (session.expect("a session"), rows)
}

/// A decoder of a velocity that follows two of the features.
fn model(session: &SessionDocument, rows: &[Vec<f64>], decoder: &str) -> IdentifiedModel {
    let spec: DecoderSpec = decoder.parse().expect("a decoder");
    let x = DMatrix::from_fn(rows.len(), rows[0].len(), |row, feature| rows[row][feature]);
    let (mean, deviation) = (x.row_mean(), x.row_variance().map(f64::sqrt));
    let x = DMatrix::from_fn(x.nrows(), x.ncols(), |row, at| (x[(row, at)] - mean[at]) / deviation[at]);
    let mut velocity = [0.0_f64; 2];
    let z = x.row_iter().flat_map(|row| {
        velocity = [0, 1].map(|at: usize| 0.8 * velocity[at] + 0.2 * row[3 * at]);
        velocity
    });
    let z = DMatrix::from_row_iterator(rows.len(), 2, z);
    let fitted = fit(&spec, &TrainingData::new(x, z), &FitSettings::default(), &mut |_| {}).expect("a fit");
    let [mean, standard_deviation] = [mean, deviation].map(|row| row.iter().copied().collect::<Vec<f64>>());
    IdentifiedModel::of(Model {
        streams: session.engine.features.clone(),
        components: session.components.clone(),
        guard: Some(fitted.guard),
        click: None,
        zscore: Some(ZScore { mean: mean.clone(), standard_deviation }),
        ..Model::plain(spec, mean, 2, fitted.parameters)
    })
    .expect("a model")
}

/// Sends a model and has it decode.
fn take_over(daemon: &Daemon, model: &IdentifiedModel) {
    let (code, body) = daemon.http_bytes("POST", "/v1/models", &model.file, true);
    assert_eq!(code, 200, "{body}");
    let id = model.id.to_hex();
    let (code, body) = activate(daemon, &id);
    assert_eq!(code, 200, "{body}");
    daemon.wait_until("the model decodes", |status| status["decoder"]["model"] == *id);
    ticks(daemon, 15);
}

/// Gives the stages of the array other settings, and has a model take over that was fitted behind these.
fn change_stages(daemon: &Daemon, model: &IdentifiedModel) {
    let received = daemon.status()["streams"][0]["received"].as_u64().expect("a count");
    let sections = json!([[0.5, 0.5, 0, 1, -0.25, 0]]);
    let stages = json!([
        { "stage": "iir", "sections": sections },
        { "stage": "iir_backward", "sections": sections, "block": 4 },
    ]);
    let body = json!({ "stream": "kinds-array", "stages": stages, "at": received + 500 });
    let (code, body) = daemon.http("POST", "/v1/stages", Some(&body), true);
    assert_eq!(code, 200, "{body}");
    let mut behind = (*model.model).clone();
    let status = daemon.wait_until("it is on its way", |status| status["stages"][0]["next"].is_object());
    let next = status["stages"][0]["next"]["generation"].clone();
    behind.streams[0].generation = serde_json::from_value(next).expect("its identity");
    take_over(daemon, &IdentifiedModel::of(behind).expect("a model"));
}

/// Everything that a session may meet, a kind a paragraph.
fn meet(daemon: &Daemon, senders: &mut Senders, models: &[IdentifiedModel; 3]) {
    let control = |status: &Value| status["state"] == "control";
    let counted = |name: &'static str| {
        let before = daemon.status()["tick"][name].as_u64();
        move |status: &Value| status["tick"][name].as_u64() > before
    };
    daemon.wait_until("control", control);
    daemon.wait_until("the task's stream", |status| {
        let streams = status["streams"].as_array().expect("a list");
        streams.iter().any(|stream| stream["key"] == "task markers" && stream["health"] == "live")
    });
    senders
        .mark(&json!({ "kind": "target", "data": { "position": [0.8, 0.2], "radius": 0.06 } }).to_string());
    ticks(daemon, 20);

    // a swap to a model with lags, warmed
    take_over(daemon, &models[1]);

    // windows at events: two that overlap, one with a gap in it, and a marker that comes too late
    for text in ["flash", "flash", "late 12 flash"] {
        senders.mark(text);
    }
    daemon.wait_until("two windows", |status| status["windows"]["read"].as_u64() >= Some(2));
    senders.mark("flash");
    senders.array.disturb("skip 20");
    daemon.wait_until("one with a gap", |status| status["windows"]["gap"].as_u64() >= Some(1));

    // samples that are filled, and values that are not finite
    senders.array.disturb("skip 2");
    senders.array.disturb("nan 1");
    ticks(daemon, 5);
    senders.array.disturb("clean");

    // a value that becomes too old
    let now = |status: &Value| status["clock"]["lsl"].as_f64().expect("a time");
    senders.slow.disturb("pause");
    let begin = now(&daemon.status());
    daemon.wait_until("the held value is too old", |status| now(status) - begin > 0.6);
    senders.slow.disturb("go");

    // samples for bins that were closed without them
    let incomplete = counted("incomplete");
    senders.counts.signal("-STOP");
    daemon.wait_until("a bin closes without counts", incomplete);
    senders.counts.signal("-CONT");
    daemon.wait_until("control", control);

    // lost blocks: samples too old to be decoded as live; stages and decoder begin anew
    let begin = now(&daemon.status());
    for sender in [&senders.array, &senders.counts] {
        sender.signal("-STOP");
    }
    daemon.wait_until("more than a second without samples", |status| now(status) - begin > 1.2);
    for sender in [&senders.array, &senders.counts] {
        sender.signal("-CONT");
    }
    let lost = |status: &Value| status["streams"][1]["dropped"].as_u64() > Some(0);
    daemon.wait_until("control", |status| lost(status) && control(status));
    ticks(daemon, 15);

    // back to the first model over a history with all that, and to one that was never seen
    let (code, body) = activate(daemon, &models[0].id.to_hex());
    assert_eq!(code, 200, "{body}");
    ticks(daemon, 15);
    take_over(daemon, &models[2]);

    // another generation of the stages, and a model with it
    change_stages(daemon, &models[1]);

    // a model that is fitted now
    calibrate(daemon);
    let fitted = |status: &Value| {
        let decodes = |model: &IdentifiedModel| status["decoder"]["model"] == *model.id.to_hex();
        !models.iter().any(decodes)
    };
    daemon.wait_until("the model of this session decodes", fitted);
    ticks(daemon, 15);
    event(daemon, "operator", &json!({ "action": "stop" }));
    daemon.wait_until("hold", |status| status["state"] == "hold");
}

#[test]
#[ignore = "writes fixtures/session/kinds.xdfz"]
fn write_the_session_of_every_kind() {
    let laboratory = Laboratory::new("kinds");
    let mut senders = Senders::new(&laboratory);
    // relative, as everything that stands in the file
    laboratory.write("rows.toml", CONFIGURATION);
    let daemon = recording(&laboratory, Path::new("rows.toml"), Path::new("rows.xdf"));
    ticks(&daemon, 300);
    daemon.end();
    let (session, rows) = rows(&laboratory.path("rows.xdf"));
    let models = ["kalman-steady", "wiener:lags=10,running-zscore=30", "dkf-nw:lags=3"]
        .map(|decoder| model(&session, &rows, decoder));
    fs::write(laboratory.path("first.safetensors"), &models[0].file).expect("a file");
    let head = "start = \"control\"\ndecoder.model = \"first.safetensors\"\n";
    laboratory.write("kinds.toml", &format!("{head}{CONFIGURATION}"));
    let daemon = recording(&laboratory, Path::new("kinds.toml"), Path::new("kinds.xdf"));
    meet(&daemon, &mut senders, &models);
    daemon.end();

    let file = laboratory.path("kinds.xdf");
    let replayed = replayed(&file);
    assert!(replayed.identical(), "{:?} {:?}", replayed.comparison.first_difference, replayed.losses);
    let packed = Command::new("gzip").args(["-9", "-n", "-c"]).arg(&file).stderr(Stdio::inherit()).output();
    let packed = packed.expect("gzip starts").stdout;
    assert!(packed.len() < 700_000, "{} bytes", packed.len());
    fs::write(repository("fixtures/session/kinds.xdfz"), packed).expect("the fixtures' folder");
}
