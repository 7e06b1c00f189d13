//! What recordings cost: writing 96 channels at 30 kHz, reading a gigabyte, replaying an hour. Each figure stands beside
//! a check that the result is right.
//!
//! `cargo bench --bench recording`; needs 2 GB in the temporary folder, and takes a minute.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, measures, and ends where something fails"
)]

use std::{fs::File, path::Path, time::Instant};

use kalmind::commands::replay::{layout, replay};
use kalmind_engine::{CursorSettings, Engine, EngineSettings};
use kalmind_filter::{DecoderSpec, KernelPath, LabelLaw, Model, TrainingData, kernel_path};
use kalmind_fitting::{FitSettings, fit};
use kalmind_offline::{
    model::IdentifiedModel,
    recorded::{
        ClockReading, ConfigurationText, FORMAT, InputStream, ModelPart, RecordDocument, RecordedSamples,
        SessionDocument, TickDocument,
    },
};
use kalmind_output::CursorRow;
use kalmind_recording::xdf::{
    encode::HeaderFields,
    recording::read_xdf,
    samples::Values,
    writer::{StreamId, Writer},
};
use kalmind_types::{
    BinClose, Binning, Command, Component, IndexRange, LslTime, Mode, NumberFormat, SampleRows, Samples,
    Seconds, StageTimes, StreamFeatures, StreamHealth, StreamTick, StreamTime, TickInput, TickPublication,
};
use nalgebra::DMatrix;

const FEATURES: usize = 192;
const POINTS: usize = 3000;
const TICKS: u64 = 180_000;

/// Numbers between -1 and 1 from a 64-bit congruential generator.
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("kernels {}", kernel_path());
    raw(&folder.path().join("raw.xdf"));
    for guard in [true, false] {
        hour(&folder.path().join(format!("hour-{guard}.xdf")), guard);
    }
}

/// 60 s of 96 channels at 30 kHz, written as the recorder does, and read back whole.
fn raw(path: &Path) {
    const CHANNELS: usize = 96;
    const RATE: f64 = 30_000.0;
    const BLOCK: usize = 600;
    const SECONDS: usize = 90;
    let mut state = 1;
    let values = Samples::Float32((0..BLOCK * CHANNELS).map(|_| noise(&mut state) as f32).collect());
    let file = File::create(path).expect("a file");
    let mut writer = Writer::new(file, "2026-01-31T12:00:00+0000", "");
    let header = HeaderFields {
        name: "Raw",
        channels: CHANNELS,
        nominal_rate_hz: RATE,
        format: Some(NumberFormat::Float32),
        ..HeaderFields::default()
    };
    let stream = writer.add_stream(&header);
    let begin = Instant::now();
    let blocks = SECONDS * RATE as usize / BLOCK;
    for block in 0..blocks {
        let stamps: Vec<StreamTime> =
            (0..BLOCK).map(|row| StreamTime((block * BLOCK + row) as f64 / RATE)).collect();
        writer.samples(stream, CHANNELS, &stamps, &values);
        writer.commit().expect("the disk has room");
    }
    let seconds = begin.elapsed().as_secs_f64();
    let bytes = writer.length() as f64;
    println!(
        "writing {CHANNELS} x {:.0} kHz: {:.1} % of a core ({:.0} MB/s)",
        RATE / 1e3,
        100.0 * seconds / SECONDS as f64,
        bytes / 1e6 / seconds
    );
    drop(read_xdf(path)); // into the page cache
    let begin = Instant::now();
    let recorded = read_xdf(path).expect("readable");
    let seconds = begin.elapsed().as_secs_f64();
    let (Values::Numbers(Samples::Float32(read)), Samples::Float32(written)) =
        (&recorded.streams[0].values, &values)
    else {
        return println!("reading gave another format");
    };
    let same =
        read.chunks(written.len()).all(|block| block == written) && read.len() == blocks * written.len();
    println!("reading {:.2} GB: {:.0} MB/s, values equal: {same}", bytes / 1e9, bytes / 1e6 / seconds);
    std::fs::remove_file(path).expect("it was there");
}

/// An hour of 192 features at 50 Hz, decoded by a Nadaraya-Watson regression of 3000 points, with a guard in front or
/// without, and replayed.
fn hour(path: &Path, guard: bool) {
    let model = model();
    let session = SessionDocument { guard, ..session() };
    let mut engine = Engine::new(session.engine.clone()).expect("an engine");
    assert!(
        engine.stage(model.stage(guard, KernelPath::detect()).expect("builds")).is_ok(),
        "the model fits"
    );
    let mut row = CursorRow::new(&layout(&session));
    let labels: Vec<(String, String)> =
        row.channels().map(|(label, unit)| (label.to_owned(), unit.to_owned())).collect();
    let mut writer = Writer::new(File::create(path).expect("a file"), "2026-01-31T12:00:00+0000", "");
    let mut add = |role: &str, channels: usize, format, more: &str| -> StreamId {
        let desc = format!("{more}<kalmind><role>{role}</role><index>0</index></kalmind>");
        writer.add_stream(&HeaderFields {
            name: role,
            channels,
            format,
            desc: &desc,
            ..HeaderFields::default()
        })
    };
    let named: String = labels
        .iter()
        .map(|(label, _)| format!("<channel><label>{label}</label></channel>"))
        .collect::<Vec<_>>()
        .concat();
    let number = Some(NumberFormat::Double64);
    let (ticks, features) = (add("ticks", 1, None, ""), add("features", FEATURES, number, ""));
    let cursor = add("cursor", labels.len(), number, &format!("<channels>{named}</channels>"));
    let record = add("record", 1, None, "");
    let input = add("input", FEATURES, Some(NumberFormat::Float32), "");
    let say = |writer: &mut Writer<File>, document: &RecordDocument| {
        let text = serde_json::to_string(document).expect("JSON");
        writer.text(record, StreamTime(1.0), &[&text], true);
    };
    say(&mut writer, &RecordDocument::Session(Box::new(session)));
    for part in ModelPart::all_of(&model.id.to_hex(), "dkf-nw", &model.file) {
        say(&mut writer, &RecordDocument::Model(part));
    }
    let mut samples = RecordedSamples::new([(FEATURES, 64)].into_iter());
    let mut state = 3;
    let mut values = Vec::new();
    for seq in 0..TICKS {
        let time = 100.0 + seq as f64 * 0.02;
        let raw: Vec<f32> = (0..FEATURES).map(|_| noise(&mut state) as f32).collect();
        writer.rows(input, &[StreamTime(time)], SampleRows::Float32(&raw));
        samples.add(0, seq, vec![StreamTime(time)], Samples::Float32(raw));
        let mut tick = TickInput::empty();
        (tick.seq, tick.incomplete, tick.closed_by) = (seq, false, BinClose::Sample);
        (tick.start, tick.time) = (LslTime(time - 0.02), LslTime(time));
        tick.streams.push(StreamTick {
            ranges: [IndexRange { first: seq, end: seq + 1 }].into_iter().collect(),
            offset: Seconds(0.0),
            health: StreamHealth::Live,
            lost: 0,
            late: 0,
        });
        if seq == 0 {
            tick.commands.push(Command::SwapModel(model.id));
        }
        let output = engine.step(&tick, &samples);
        let times = StageTimes { received: output.time, closed: output.time, decoded: output.time };
        let published = TickPublication { output, times, age: Seconds(0.0), late: false };
        let document = TickDocument::of(&tick, &published, false, 0);
        let stamp = StreamTime(time);
        writer.text(ticks, stamp, &[&serde_json::to_string(&document).expect("JSON")], false);
        writer.rows(features, &[stamp], SampleRows::Double64(engine.raw_features()));
        row.write(&output, 0.0, &mut values);
        writer.rows(cursor, &[stamp], SampleRows::Double64(&values));
        writer.commit().expect("the disk has room");
    }
    let replayed = replay(path, false, |_, _| {}).expect("it can be replayed");
    println!(
        "replay of {TICKS} ticks x {FEATURES} features, dkf-nw of {POINTS} points, guard {guard}: {:.2} s ({:.0} ticks/s, {:.2} GB), \
         identical: {}",
        replayed.seconds,
        replayed.comparison.ticks as f64 / replayed.seconds,
        writer.length() as f64 / 1e9,
        replayed.identical()
    );
}

fn components() -> Vec<Component> {
    ["vx", "vy"].map(|name| Component { name: name.to_owned(), unit: String::new() }).to_vec()
}

fn stream() -> StreamFeatures {
    StreamFeatures::of_channels(Binning::Sample, FEATURES, None)
}

fn model() -> IdentifiedModel {
    let spec: DecoderSpec = "dkf-nw".parse().expect("a decoder");
    let mut state = 1;
    let mut velocity = [0.0_f64; 2];
    let (mut x, mut z) = (Vec::new(), Vec::new());
    for _ in 0..POINTS {
        velocity = velocity.map(|value| 0.9 * value + 0.1 * noise(&mut state));
        z.extend(velocity);
        x.extend((0..FEATURES).map(|feature| velocity[feature % 2] + 0.3 * noise(&mut state)));
    }
    let data = TrainingData::new(
        DMatrix::from_row_slice(POINTS, FEATURES, &x),
        DMatrix::from_row_slice(POINTS, 2, &z),
    );
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| {}).expect("a fit");
    IdentifiedModel::of(Model {
        components: components(),
        streams: vec![stream()],
        guard: Some(fitted.guard),
        ..Model::plain(spec, vec![0.0; FEATURES], 2, fitted.parameters)
    })
    .expect("a model")
}

fn session() -> SessionDocument {
    SessionDocument {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        session: "bench".to_owned(),
        run: 1,
        instance: "Bench".to_owned(),
        participant: String::new(),
        subject: serde_json::Value::Null,
        bin_ms: 20.0,
        components: components(),
        workspace: [1.0, 1.0],
        kernel_path: kernel_path().to_owned(),
        guard: true,
        engine: EngineSettings {
            features: vec![stream()],
            max_masked: 0.25,
            restart_after: Seconds(0.5),
            stale_after: Seconds(0.2),
            auto_resume: Seconds(2.0),
            start: Mode::Control,
            cursor: CursorSettings::default(),
            label_law: LabelLaw::default(),
            plausibility: true,
            fallback_stale: Seconds(0.3),
        },
        streams: vec![InputStream { key: "input".to_owned(), held_samples: 64, stages: None }],
        windows: Vec::new(),
        configuration: ConfigurationText { file: String::new(), sha256: String::new(), toml: String::new() },
        clock: ClockReading { lsl: 1.0, unix: 1.0 },
    }
}
