//! As many features as can be decoded, five of every channel: the step allocates nothing, and the mask of a channel masks its
//! five.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

#[path = "../../../tests/counting_allocator/mod.rs"]
mod counting_allocator;

use arrayvec::ArrayVec;
use counting_allocator::TOUCHED;
use kalmind_engine::{CursorSettings, Engine, EngineSettings, SampleSource, StagedModel};
use kalmind_filter::{CovarianceScale, KernelPath, LabelLaw, Model, Parameters, WienerParameters};
use kalmind_signal::Preparation;
use kalmind_types::{
    BinClose, Binning, ChannelMask, Command, IndexRange, LslTime, MAX_FEATURES, Mode, ModelId, SampleRows,
    Seconds, StreamFeatures, StreamHealth, StreamOutput, StreamTick, StreamTime, TickInput,
};
use nalgebra::{DMatrix, DVector};

const ARRAYS: usize = 4;
const CHANNELS: usize = 819;
const BANDS: usize = 5;
/// Features of an array.
const WIDTH: usize = CHANNELS * BANDS;
/// Channels of the stream behind the arrays, which are features themselves.
const FURTHER: usize = MAX_FEATURES - ARRAYS * WIDTH;
const BIN_S: f64 = 0.02;
const TRAINING_MEAN: f64 = 0.5;
/// The channel that is masked for a while.
const MASKED: (usize, usize) = (2, 818);

fn streams() -> Vec<StreamFeatures> {
    let output = |at: usize| StreamOutput {
        name: format!("e{} band {}", at / BANDS, at % BANDS),
        unit: "uV2".to_owned(),
        channel: Some(at / BANDS),
        sources: Vec::new(),
    };
    let array = StreamFeatures {
        outputs: Some((0..WIDTH).map(output).collect()),
        ..StreamFeatures::of_channels(Binning::Sample, CHANNELS, None)
    };
    let mut streams = vec![StreamFeatures { binning: Binning::Mean, ..array.clone() }; ARRAYS];
    streams[0] = array;
    streams.push(StreamFeatures::of_channels(Binning::Mean, FURTHER, None));
    streams
}

/// Features of the masked channel.
fn of_masked() -> impl Iterator<Item = usize> {
    let first = MASKED.0 * WIDTH + MASKED.1 * BANDS;
    first..first + BANDS
}

/// x is the sum of the five features of the channel that is masked for a while.
fn engine() -> Engine {
    let mut weights = DMatrix::zeros(2, MAX_FEATURES);
    of_masked().for_each(|feature| weights[(0, feature)] = 1.0);
    let parameters = WienerParameters {
        lags: 1,
        weights,
        intercept: DVector::zeros(2),
        residual_covariance: DMatrix::identity(2, 2),
        state_covariance: DMatrix::identity(2, 2),
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let means = vec![TRAINING_MEAN; MAX_FEATURES];
    let model = Model {
        streams: streams(),
        ..Model::plain("wiener:lags=1".parse().unwrap(), means.clone(), 2, Parameters::Wiener(parameters))
    };
    let mut engine = Engine::new(EngineSettings {
        features: model.streams.clone(),
        max_masked: 0.25,
        restart_after: Seconds(0.5),
        stale_after: Seconds(0.1),
        auto_resume: Seconds(2.0),
        start: Mode::Control,
        cursor: CursorSettings::default(),
        label_law: LabelLaw::default(),
        plausibility: true,
        fallback_stale: Seconds(0.3),
        doubted_calibrates: true,
    })
    .unwrap();
    let decoder = model.decoder_with(false, KernelPath::detect()).unwrap();
    let preparation = Preparation::new(means, None).unwrap();
    let staged = StagedModel::new(ModelId([1; 32]), decoder, preparation, model.screen(false), None);
    assert!(engine.stage(Box::new(staged)).is_ok());
    engine
}

/// The same row for every stream, as wide as it is.
struct Rows(Vec<f64>);

impl SampleSource for Rows {
    fn rows(&self, stream: usize, _range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        let width = if stream < ARRAYS { WIDTH } else { FURTHER };
        visit(SampleRows::Double64(&self.0[..width]));
    }

    fn stamp(&self, _stream: usize, _index: u64) -> Option<StreamTime> {
        None
    }
}

#[test]
fn a_mask_masks_the_five_features_of_its_channel_and_the_step_allocates_nothing() {
    let mut engine = engine();
    assert_eq!(engine.layout().width(), 16_384);
    let mut rows = Rows(vec![0.0; WIDTH]);
    let mut input = TickInput { incomplete: false, closed_by: BinClose::Sample, ..TickInput::empty() };
    let part = StreamTick {
        ranges: ArrayVec::from_iter([IndexRange { first: 0, end: 1 }]),
        offset: Seconds(0.0),
        health: StreamHealth::Live,
        lost: 0,
        late: 0,
        generation: 0,
        settling: None,
    };
    input.streams = std::iter::repeat_n(part, ARRAYS + 1).collect();
    input.commands.push(Command::SwapModel(ModelId([1; 32])));
    let mut mask = ChannelMask::default();
    assert!(mask.mask(MASKED.0, MASKED.1));
    for tick in 0..60_u64 {
        (input.seq, input.start) = (tick, LslTime(100.0 + tick as f64 * BIN_S));
        input.time = LslTime(100.0 + (tick + 1) as f64 * BIN_S);
        let value = 1.0 + (tick % 7) as f64;
        rows.0.fill(value);
        // one feature has no value in every bin
        rows.0[7] = f64::NAN;
        let masked = (20..40).contains(&tick);
        input.masked = if masked { mask.clone() } else { ChannelMask::default() };
        let before = TOUCHED.get();
        let output = engine.step(&input, &rows);
        assert_eq!(TOUCHED.get(), before, "tick {tick} touches the heap");
        input.commands.clear();
        let missing = ARRAYS as u32 + if masked { BANDS as u32 } else { 0 };
        assert_eq!((output.masked_features, output.incomplete), (missing, false), "tick {tick}");
        let x = output.intent.unwrap().mean()[0];
        let expected = BANDS as f64 * if masked { TRAINING_MEAN } else { value };
        assert!((x - expected).abs() < 1e-9, "tick {tick}: {x}, not {expected}");
    }
}
