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

#[path = "../crates/offline/tests/recorded_run/mod.rs"]
mod recorded_run;

use std::{fs::File, path::Path, time::Instant};

use kalmind::commands::replay::{layout, replay};
use kalmind_engine::Engine;
use kalmind_filter::{KernelPath, kernel_path};
use kalmind_offline::recorded::{ModelPart, RecordDocument, RecordedSamples, SessionDocument, TickDocument};
use kalmind_output::CursorRow;
use kalmind_recording::xdf::{
    encode::HeaderFields,
    recording::read_xdf,
    samples::Values,
    writer::{StreamId, Writer},
};
use kalmind_types::{
    Command, NumberFormat, SampleRows, Samples, Seconds, StageTimes, StreamTime, TickPublication,
};
use recorded_run::{model, noise, session, stream};

const FEATURES: usize = 192;
const POINTS: usize = 3000;
const TICKS: u64 = 180_000;

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
    let model = model("dkf-nw", FEATURES, POINTS);
    let session = SessionDocument { guard, ..session(stream(FEATURES)) };
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
        let time = recorded_run::time(seq);
        let raw: Vec<f32> = (0..FEATURES).map(|_| noise(&mut state) as f32).collect();
        writer.rows(input, &[StreamTime(time)], SampleRows::Float32(&raw));
        samples.add(0, seq, vec![StreamTime(time)], Samples::Float32(raw));
        let mut tick = recorded_run::input(seq, false);
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
