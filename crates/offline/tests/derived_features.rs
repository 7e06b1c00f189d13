//! A session whose features are made of channels: its documents and its model carry what they are, and it replays bit for bit.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

mod recorded_run;

use std::borrow::Cow;

use kalmind_engine::{Engine, EngineSettings};
use kalmind_filter::{CovarianceScale, KernelPath, Model, Parameters, WienerParameters};
use kalmind_offline::{
    model::IdentifiedModel,
    recorded::{ModelPart, Playback, RecordedSamples, SessionDocument, TickDocument},
};
use kalmind_types::{
    Command, Samples, Seconds, StageTimes, StreamFeatures, StreamOutput, StreamTime, TickInput,
    TickPublication,
};
use nalgebra::{DMatrix, DVector};
use recorded_run::{components, stream, time};

const TICKS: u64 = 40;
const MEAN: f64 = 0.5;

/// Two bands of each of three channels, and the mean of the first two channels.
fn array() -> StreamFeatures {
    let band = |at: usize| StreamOutput {
        name: format!("e{} {}", at / 2, ["alpha", "beta"][at % 2]),
        unit: "uV2".to_owned(),
        channel: Some(at / 2),
        sources: Vec::new(),
    };
    let mean = StreamOutput {
        name: "mean".to_owned(),
        unit: "uV".to_owned(),
        channel: None,
        sources: core::iter::once(0..2).collect(),
    };
    StreamFeatures { outputs: Some((0..6).map(band).chain([mean]).collect()), ..stream(3) }
}

fn session() -> SessionDocument {
    let session = recorded_run::session(array());
    let engine = EngineSettings { max_masked: 0.5, ..session.engine };
    SessionDocument { guard: false, engine, ..session }
}

/// x is the sum of the bands, y the mean.
fn model() -> IdentifiedModel {
    let weight = |row: usize, column: usize| f64::from(u8::from((row == 1) == (column == 6)));
    let parameters = WienerParameters {
        lags: 1,
        weights: DMatrix::from_fn(2, 7, weight),
        intercept: DVector::zeros(2),
        residual_covariance: DMatrix::identity(2, 2),
        state_covariance: DMatrix::identity(2, 2),
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let spec = "wiener:lags=1".parse().unwrap();
    let plain = Model::plain(spec, vec![MEAN; 7], 2, Parameters::Wiener(parameters));
    IdentifiedModel::of(Model { streams: vec![array()], components: components(), ..plain }).unwrap()
}

fn row(tick: u64) -> Vec<f64> {
    (0..7).map(|feature| 1.0 + f64::from(feature) / 8.0 + (tick % 5) as f64).collect()
}

/// A bin of one sample; channel 1 is switched off for a while.
fn input(tick: u64) -> TickInput {
    let mut input = recorded_run::input(tick, false);
    if tick == 0 {
        input.commands.push(Command::SwapModel(model().id));
    }
    if (10..20).contains(&tick) {
        assert!(input.masked.mask(0, 1));
    }
    input
}

#[test]
fn a_session_of_derived_features_replays_bit_for_bit() {
    let (session, model) = (session(), model());
    let mut engine = Engine::new(session.engine.clone()).unwrap();
    assert!(engine.stage(model.stage(false, KernelPath::detect()).unwrap()).is_ok());
    let mut samples = RecordedSamples::new([(7, 100)].into_iter());
    let read: SessionDocument = serde_json::from_str(&serde_json::to_string(&session).unwrap()).unwrap();
    assert_eq!((read.check(), &read), (Ok(()), &session));
    assert_eq!(read.layout().channel_names([2, 3, 6]), ["1", "mean"]);
    let mut playback = Playback::new(&read).unwrap();
    let hex = model.id.to_hex();
    ModelPart::all_of(&hex, "wiener", &model.file).for_each(|part| playback.models().part(part));
    for tick in 0..TICKS {
        let stamps = || vec![StreamTime(time(tick))];
        samples.add(0, tick, stamps(), Samples::Double64(row(tick)));
        playback.samples(0, tick, stamps(), Samples::Double64(row(tick)));
        let input = input(tick);
        let live = engine.step(&input, &samples);
        let (masked, bands): (bool, f64) = ((10..20).contains(&tick), row(tick)[..6].iter().sum());
        let off: f64 = row(tick)[2..4].iter().map(|value| value - MEAN).sum();
        let mean = live.intent.unwrap();
        assert_eq!(live.masked_features, if masked { 2 } else { 0 });
        assert!((mean.mean()[0] - if masked { bands - off } else { bands }).abs() < 1e-12, "tick {tick}");
        assert!((mean.mean()[1] - row(tick)[6]).abs() < 1e-12, "no mask concerns what is made of several");
        let published =
            TickPublication { output: live, times: StageTimes::default(), age: Seconds(0.0), late: false };
        let text = serde_json::to_string(&TickDocument::of(&input, &published, false, 0)).unwrap();
        assert_eq!(text.contains("\"masked\":[[1]]"), masked, "{text}");
        let document: TickDocument<'_> = serde_json::from_str(&text).unwrap();
        let document = TickDocument { input: Cow::Owned(document.input.into_owned()), ..document };
        assert_eq!(playback.tick(&document).unwrap(), live, "tick {tick}");
        let bits = |engine: &[f64]| engine.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(playback.raw_features()), bits(engine.raw_features()));
    }
}
