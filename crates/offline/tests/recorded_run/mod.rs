//! What tests of replay and the bench of recordings make a run of: its session's document, a model, the input of a tick.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "no test needs all of it, and one that cannot build its subject has failed"
)]

use kalmind_filter::{DecoderSpec, Model, TrainingData, ZScore};
use kalmind_fitting::{FitSettings, fit};
use kalmind_offline::{model::IdentifiedModel, recorded::SessionDocument};
use kalmind_types::{
    BinClose, Binning, Component, IndexRange, LslTime, Seconds, StreamFeatures, StreamHealth, StreamTick,
    TickInput,
};
use nalgebra::DMatrix;

/// Seconds of a bin.
pub(crate) const WIDTH: f64 = 0.02;

/// Numbers between -1 and 1 from a 64-bit congruential generator.
pub(crate) fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// A stream whose samples are bins.
pub(crate) fn stream(features: usize) -> StreamFeatures {
    StreamFeatures::of_channels(Binning::Sample, features, None)
}

pub(crate) fn components() -> Vec<Component> {
    ["vx", "vy"].map(|name| Component { name: name.to_owned(), unit: String::new() }).to_vec()
}

/// A decoder fitted to so many points of noise with two velocities in it; z-scored by the start of a running z-score, where it
/// has one.
pub(crate) fn model(decoder: &str, features: usize, points: usize) -> IdentifiedModel {
    let spec: DecoderSpec = decoder.parse().expect("a decoder");
    let mut state = 1;
    let mut velocity = [0.0_f64; 2];
    let (mut x, mut z) = (Vec::new(), Vec::new());
    for _ in 0..points {
        velocity = velocity.map(|value| 0.9 * value + 0.1 * noise(&mut state));
        z.extend(velocity);
        x.extend((0..features).map(|feature| velocity[feature % 2] + 0.3 * noise(&mut state)));
    }
    let data = TrainingData::new(
        DMatrix::from_row_slice(points, features, &x),
        DMatrix::from_row_slice(points, 2, &z),
    );
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| {}).expect("a fit");
    IdentifiedModel::of(Model {
        components: components(),
        streams: vec![stream(features)],
        guard: Some(fitted.guard),
        click: None,
        zscore: spec
            .options
            .running_zscore
            .map(|_| ZScore { mean: vec![0.0; features], standard_deviation: vec![0.5; features] }),
        ..Model::plain(spec, vec![0.0; features], 2, fitted.parameters)
    })
    .expect("a model")
}

/// A session of one stream, in control from its start.
pub(crate) fn session(features: StreamFeatures) -> SessionDocument {
    SessionDocument::example(features)
}

/// The time at which tick `seq` ends.
pub(crate) fn time(seq: u64) -> f64 {
    100.0 + seq as f64 * WIDTH
}

/// The input of a tick that sample `seq` makes, or that is short of it.
pub(crate) fn input(seq: u64, missing: bool) -> TickInput {
    let mut input = TickInput::empty();
    (input.seq, input.closed_by, input.incomplete) = (seq, BinClose::Sample, missing);
    (input.start, input.time) = (LslTime(time(seq) - WIDTH), LslTime(time(seq)));
    input.streams.push(StreamTick {
        ranges: (!missing).then_some(IndexRange { first: seq, end: seq + 1 }).into_iter().collect(),
        offset: Seconds(0.0),
        health: StreamHealth::Live,
        lost: 0,
        late: 0,
        generation: 0,
        settling: None,
    });
    input
}
