//! A session in which models take over warmed, late and cold, played back from what a recording holds of it: bit for bit.
#![expect(clippy::expect_used, reason = "functions that tests share fail like tests")]

use std::borrow::Cow;

use kalmind_engine::{CursorSettings, Engine, EngineSettings, History, HistoryRow, StagedModel};
use kalmind_filter::{DecoderSpec, KernelPath, LabelLaw, Model, TrainingData, kernel_path};
use kalmind_fitting::{FitSettings, fit};
use kalmind_offline::{
    model::IdentifiedModel,
    recorded::{
        ClockReading, ConfigurationText, FORMAT, InputStream, ModelPart, Playback, RecordedSamples,
        SessionDocument, TickDocument,
    },
};
use kalmind_types::{
    BinClose, Binning, Command, Component, IndexRange, LslTime, Mode, Samples, Seconds, StageTimes,
    StreamFeatures, StreamHealth, StreamTick, StreamTime, TickInput, TickOutput, TickPublication,
};
use nalgebra::DMatrix;

const FEATURES: usize = 8;
const TICKS: u64 = 700;
const WIDTH: f64 = 0.02;

fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn stream() -> StreamFeatures {
    StreamFeatures::of_channels(Binning::Sample, FEATURES, None)
}

fn components() -> Vec<Component> {
    ["vx", "vy"].map(|name| Component { name: name.to_owned(), unit: String::new() }).to_vec()
}

fn model(decoder: &str) -> IdentifiedModel {
    let spec: DecoderSpec = decoder.parse().expect("a decoder");
    let mut state = 1;
    let mut velocity = [0.0_f64; 2];
    let (mut x, mut z) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        velocity = velocity.map(|value| 0.9 * value + 0.1 * noise(&mut state));
        z.extend(velocity);
        x.extend((0..FEATURES).map(|feature| velocity[feature % 2] + 0.3 * noise(&mut state)));
    }
    let data =
        TrainingData::new(DMatrix::from_row_slice(400, FEATURES, &x), DMatrix::from_row_slice(400, 2, &z));
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
        version: String::new(),
        session: String::new(),
        run: 1,
        instance: String::new(),
        participant: String::new(),
        subject: serde_json::Value::Null,
        bin_ms: WIDTH * 1e3,
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

/// The swap of a tick: which model, and how many bins it is behind; cold where it says nothing.
fn swap(seq: u64) -> Option<(usize, Option<u64>)> {
    match seq {
        0 => Some((0, None)),
        270 => Some((1, Some(2))),
        // too late, and once more
        400 => Some((2, Some(7))),
        404 => Some((2, Some(1))),
        // back to the first one
        550 => Some((0, Some(0))),
        620 => Some((1, None)),
        _ => None,
    }
}

/// Runs the session; gives for each tick its samples and what is recorded of it, as text.
fn live(models: &[IdentifiedModel]) -> Vec<(Vec<f32>, String, TickOutput)> {
    let session = session();
    let mut engine = Engine::new(session.engine.clone()).expect("an engine");
    let mut examiner = engine.examiner();
    let mut history = History::new(FEATURES, History::rows_of(Seconds(WIDTH)));
    let mut samples = RecordedSamples::new([(FEATURES, 64)].into_iter());
    let mut state = 3;
    let mut ticks = Vec::new();
    for seq in 0..TICKS {
        let time = 100.0 + seq as f64 * WIDTH;
        let raw: Vec<f32> = (0..FEATURES).map(|_| noise(&mut state) as f32).collect();
        samples.add(0, seq, vec![StreamTime(time)], Samples::Float32(raw.clone()));
        let mut input = TickInput::empty();
        (input.seq, input.closed_by) = (seq, BinClose::Sample);
        (input.start, input.time) = (LslTime(time - WIDTH), LslTime(time));
        let missing = seq % 11 == 4 || (480..515).contains(&seq);
        input.incomplete = missing;
        if (300..320).contains(&seq) {
            assert!(input.masked.mask(0, 3));
        }
        input.streams.push(StreamTick {
            ranges: (!missing).then_some(IndexRange { first: seq, end: seq + 1 }).into_iter().collect(),
            offset: Seconds(0.0),
            health: StreamHealth::Live,
            lost: 0,
            late: 0,
        });
        if let Some((at, behind)) = swap(seq) {
            let id = models[at].id;
            let mut staged = models[at].stage(session.guard, KernelPath::detect()).expect("it can be built");
            input.commands.push(match behind {
                None => Command::SwapModel(id),
                Some(behind) => {
                    let (from, newest) = history.held().expect("ticks were before");
                    let through = newest - behind;
                    for seq in from..=through {
                        staged.warm(&history.row(seq).expect("it is held"), &mut examiner);
                    }
                    Command::SwapWarmed { model: id, from, through }
                }
            });
            assert!(engine.stage(staged).is_ok(), "the model fits");
        }
        let output = engine.step(&input, &samples);
        history.push(&HistoryRow::of(&input, engine.bin_facts(), engine.raw_features()));
        let retired: Vec<Box<StagedModel>> = std::iter::from_fn(|| engine.take_retired()).collect();
        let late = retired.iter().any(|model| model.came_late());
        assert_eq!(late, seq == 400, "tick {seq}");
        let times = StageTimes { received: output.time, closed: output.time, decoded: output.time };
        let published = TickPublication { output, times, age: Seconds(0.0), late: false };
        let document = TickDocument::of(&input, &published, false, 0);
        ticks.push((raw, serde_json::to_string(&document).expect("JSON"), output));
    }
    ticks
}

#[test]
fn a_session_with_warm_late_and_cold_swaps_repeats_bit_for_bit() {
    let models = ["kalman-steady", "wiener:lags=15,guard=on", "dkf-nw:lags=3"].map(model);
    let mut playback = Playback::new(&session()).expect("a session");
    for model in &models {
        for part in ModelPart::all_of(&model.id.to_hex(), "", &model.file) {
            playback.model_part(part);
        }
    }
    let mut decoded = 0;
    for (seq, (raw, text, output)) in live(&models).into_iter().enumerate() {
        playback.samples(0, seq as u64, vec![StreamTime(100.0 + seq as f64 * WIDTH)], Samples::Float32(raw));
        let document: TickDocument<'static> = serde_json::from_str(&text).expect("as it was written");
        let again = playback.tick(&document).expect("nothing is missing");
        assert_eq!(again, output, "tick {seq}");
        decoded += usize::from(output.intent.is_some());
    }
    assert!(decoded > 600, "{decoded}");
}

#[test]
fn swaps_are_read_as_they_have_been_written_since_there_are_recordings() {
    let old = format!(r#"{{"swap_model":{:?}}}"#, [7_u8; 32]);
    let id = kalmind_types::ModelId([7; 32]);
    assert_eq!(serde_json::from_str::<Command>(&old).expect("as it was"), Command::SwapModel(id));
    let mut input = TickInput::empty();
    input.commands.push(Command::SwapWarmed { model: id, from: 3, through: 9 });
    let written = serde_json::to_string(&Cow::Borrowed(&input)).expect("JSON");
    assert_eq!(serde_json::from_str::<TickInput>(&written).expect("the same"), input);
}
