//! A run of one stream as benchmarks need it: models that nobody fitted, and the engine and the binner that they run in.

use kalmind_engine::{Binner, BinnerSettings, CursorSettings, Engine, EngineSettings, StreamBinning};
use kalmind_filter::{
    CovarianceScale, DecoderSpec, DkfParameters, Form, KalmanParameters, LabelLaw, Model,
    NadarayaWatsonRegressor, Noise, Parameters, Regressor, Start, StateModel, StationarySource, ZScore,
};
use kalmind_offline::model::IdentifiedModel;
use kalmind_types::{Binning, ChannelMask, Component, Mode, Seconds, StreamFeatures};
use nalgebra::{DMatrix, DVector};

/// Width of a bin in seconds.
pub(crate) const WIDTH: f64 = 0.02;
/// Training points of the kernel regression, and its bandwidth.
const POINTS: usize = 5000;
pub(crate) const BANDWIDTH: f64 = 3.0;

/// Reproducible numbers in -1..1 without structure.
pub(crate) fn noise(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut state = seed;
    DMatrix::from_fn(rows, columns, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

pub(crate) fn state() -> StateModel {
    StateModel {
        order: 1,
        transition: DMatrix::identity(2, 2) * 0.95,
        process_noise: DMatrix::identity(2, 2) * 0.0975,
        stationary_covariance: DMatrix::identity(2, 2),
        stationary_source: StationarySource::Training,
        mean: None,
    }
}

pub(crate) fn kalman(n: usize) -> KalmanParameters {
    KalmanParameters {
        state: state(),
        observation: noise(n, 2, 1),
        observation_offset: DVector::zeros(n),
        observation_noise: DMatrix::identity(n, n) * 4.0,
        information: None,
        start: Start::Prior,
        covariance_scale: CovarianceScale::constant(1.0),
    }
}

pub(crate) fn dkf(n: usize) -> DkfParameters {
    DkfParameters {
        state: state(),
        dynamics: None,
        direction: false,
        form: Form::Standard,
        start: Start::Prior,
        lags: 1,
        regressor: Regressor::NadarayaWatson(NadarayaWatsonRegressor {
            points: noise(POINTS, n, 7) * 1.7,
            values: noise(POINTS, 2, 9),
            bandwidth: BANDWIDTH,
            scales: None,
        }),
        noise: Noise::Constant { covariance: DMatrix::identity(2, 2) * 0.5 },
        noise_scale: 1.0,
        covariance_scale: CovarianceScale::constant(1.0),
    }
}

/// A model of that decoder, for one stream.
pub(crate) fn model(decoder: &str, channels: usize, binning: Binning) -> IdentifiedModel {
    let parameters = match decoder {
        "dkf-nw" => Parameters::Dkf(dkf(channels)),
        _ => Parameters::KalmanSteady(kalman(channels)),
    };
    let component = |name: &str| Component { name: name.to_owned(), unit: String::new() };
    let spec = decoder.parse::<DecoderSpec>().expect("a known decoder");
    // where the option is written the features are z-scored, which changes nothing at first
    let ones = |_| ZScore { mean: vec![0.0; channels], standard_deviation: vec![1.0; channels] };
    IdentifiedModel::of(Model {
        components: vec![component("vx"), component("vy")],
        streams: vec![StreamFeatures::of_channels(binning, channels, None)],
        bin_ms: WIDTH * 1e3,
        zscore: spec.options.running_zscore.map(ones),
        ..Model::plain(spec, vec![0.0; channels], 2, parameters)
    })
    .expect("a valid model")
}

pub(crate) fn engine(features: Vec<StreamFeatures>) -> Engine {
    Engine::new(EngineSettings {
        features,
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
    .expect("an engine")
}

/// Bins of one stream, in so many blocks of so many samples.
pub(crate) fn binner(binning: Binning, rate_hz: f64, (blocks, block_samples): (usize, usize)) -> Binner {
    let stream = StreamBinning {
        binning,
        rate_hz: Some(rate_hz),
        required: true,
        max_age: Seconds(0.0),
        blocks,
        block_samples,
    };
    let settings = BinnerSettings {
        width: Seconds(WIDTH),
        max_wait: Seconds(10.0),
        epoch_jump: Seconds(1.0),
        streams: vec![stream],
    };
    Binner::new(settings, ChannelMask::default()).expect("a binner")
}
