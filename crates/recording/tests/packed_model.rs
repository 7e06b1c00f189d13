//! Packed models: what comes out decodes what went in, to the bit, and damage is refused.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

mod models;

use kalmind_filter::{
    Model, NadarayaWatsonRegressor, Noise, Parameters, PrincipalComponents, Reduction, Regressor, ZScore,
};
use kalmind_recording::{
    FittedRows, PackedModel, UnpackError, UnpackedModel, model_from_bytes, model_to_bytes, packed_report,
    unpack_model,
};
use kalmind_types::Intent;
use models::{FEATURES, LAGS, every_decoder, matrix, number};
use nalgebra::DMatrix;

fn no_ticks<'a>(_seq: u64) -> Option<&'a [f64]> {
    None
}

fn packed(model: &Model) -> (Vec<u8>, PackedModel) {
    let file = model_to_bytes(model).unwrap();
    let packed = PackedModel::of(model, &file, FittedRows::default(), true).unwrap();
    (file, packed)
}

fn ticks_of(packed: &PackedModel) -> Vec<(u64, u64)> {
    packed.ticks.iter().map(|ticks| (ticks.start, ticks.end)).collect()
}

/// The intents of steps with and without features, as bits.
fn decoded(model: &Model) -> Vec<u64> {
    let mut decoder = model.decoder().unwrap();
    let mut bits = Vec::new();
    for step in 0..60 {
        let features: Vec<f64> =
            (0..FEATURES).map(|feature| 2.0 * number(step * FEATURES + feature)).collect();
        let mut intent = Intent::zero(2);
        decoder.step((step % 7 != 3).then_some(&features), &mut intent);
        bits.extend(intent.mean().iter().chain(intent.covariance()).map(|value| value.to_bits()));
    }
    bits
}

#[test]
fn what_comes_out_is_the_file_that_went_in_or_decodes_the_same_with_less() {
    for model in every_decoder() {
        let (file, packed) = packed(&model);
        let UnpackedModel { file: out, whole } = unpack_model(&packed.bytes, &no_ticks).unwrap();
        let name = model.decoder.to_string();
        assert_eq!(whole, !name.contains("kalman"), "{name}");
        assert_eq!(packed_report(&packed.bytes), model.report, "{name}");
        if whole {
            assert!(out == file, "{name}");
            continue;
        }
        let (read, _) = model_from_bytes(&out).unwrap();
        assert_ne!(*read, model, "{name}");
        assert_eq!(decoded(&read), decoded(&model), "{name}");
        // what has nothing left to leave out stays as it is
        let (again, twice) = self::packed(&read);
        assert_eq!(
            unpack_model(&twice.bytes, &no_ticks).unwrap(),
            UnpackedModel { file: again, whole: true }
        );
    }
}

#[test]
fn a_filter_whose_gain_needs_the_noise_keeps_it() {
    let model = every_decoder().swap_remove(0);
    let model = Model { decoder: "kalman:update=covariance".parse().unwrap(), ..model };
    let (file, packed) = packed(&model);
    assert_eq!(unpack_model(&packed.bytes, &no_ticks).unwrap(), UnpackedModel { file, whole: true });
}

/// Rows of two stretches of ticks, a value of which is missing here and there, and which of them are windows.
struct Rows {
    seqs: Vec<u64>,
    features: Vec<f64>,
}

impl Rows {
    fn new() -> Self {
        let seqs: Vec<u64> = (100..120).chain(131..150).collect();
        let features = (0..seqs.len() * FEATURES).map(|at| if at % 11 == 5 { f64::NAN } else { number(at) });
        Self { features: features.collect(), seqs }
    }

    fn row(&self, seq: u64) -> Option<&[f64]> {
        let place = self.seqs.iter().position(|known| *known == seq)?;
        Some(&self.features[place * FEATURES..(place + 1) * FEATURES])
    }

    /// The window of a tick as a decoder with this z-score sees it, computed by itself.
    fn window(&self, seq: u64, zscore: &ZScore, mean: &[f64]) -> Vec<f64> {
        let lags =
            (0..LAGS as u64).map(|lag| self.row(seq - lag).map(<[f64]>::to_vec).unwrap_or(mean.to_vec()));
        lags.flat_map(|raw| {
            (0..FEATURES).map(move |at| {
                let value = if raw[at].is_nan() { mean[at] } else { raw[at] };
                (value - zscore.mean[at]) / zscore.standard_deviation[at]
            })
        })
        .collect()
    }

    /// A model whose points are the windows of these ticks.
    fn model(&self, ticks: &[u64]) -> Model {
        let zscore = ZScore { mean: vec![0.1, 0.2, -0.3], standard_deviation: vec![1.5, 0.7, 1.0 / 3.0] };
        let mean = vec![0.3, 0.1, -0.2];
        let windows: Vec<f64> = ticks.iter().flat_map(|seq| self.window(*seq, &zscore, &mean)).collect();
        let points = DMatrix::from_row_slice(ticks.len(), FEATURES * LAGS, &windows);
        let spec = "dkf-nw:q=kernel,lags=2".parse().unwrap();
        let model = every_decoder().into_iter().find(|model| model.decoder == spec).unwrap();
        let Parameters::Dkf(mut dkf) = model.parameters.clone() else { panic!("a DKF") };
        dkf.regressor = Regressor::NadarayaWatson(NadarayaWatsonRegressor {
            points: points.clone(),
            values: matrix(ticks.len(), 2, 4),
            bandwidth: 0.7,
            scales: None,
        });
        if let Noise::Kernel { points: own, residual_products, .. } = &mut dkf.noise {
            (*own, *residual_products) = (points, matrix(ticks.len(), 3, 9));
        }
        let (zscore, parameters) = (Some(zscore), Parameters::Dkf(dkf));
        Model { training_mean: mean, zscore, parameters, ..model }
    }
}

#[test]
fn windows_stand_as_the_numbers_of_their_ticks() {
    let rows = Rows::new();
    // the first of each stretch has no bin before it
    let ticks: Vec<u64> = (100..110).chain([117, 105, 115]).chain(131..150).collect();
    let model = rows.model(&ticks);
    let file = model_to_bytes(&model).unwrap();
    let fitted = FittedRows { seqs: &rows.seqs, features: &rows.features };
    let packed = PackedModel::of(&model, &file, fitted, true).unwrap();
    assert_eq!(ticks_of(&packed), [(100, 110), (114, 118), (131, 150)]);
    let whole = PackedModel::of(&model, &file, FittedRows::default(), true).unwrap();
    let windows = 2 * 8 * ticks.len() * FEATURES * LAGS;
    assert!(
        packed.bytes.len() + windows / 4 < whole.bytes.len(),
        "{} {}",
        packed.bytes.len(),
        whole.bytes.len()
    );
    let unpacked = unpack_model(&packed.bytes, &|seq| rows.row(seq)).unwrap();
    assert!(unpacked.whole && unpacked.file == file);
    let missing = unpack_model(&packed.bytes, &|seq| rows.row(seq).filter(|_| seq != 116));
    assert_eq!(missing, Err(UnpackError::TickMissing(116)));
    let other = [0.5; FEATURES];
    let differs = unpack_model(&packed.bytes, &|seq| if seq == 116 { Some(&other) } else { rows.row(seq) });
    assert!(matches!(differs, Err(UnpackError::Differs { .. })));
}

#[test]
fn windows_of_what_is_made_of_the_features_stand_as_the_numbers_of_their_ticks() {
    let rows = Rows::new();
    let ticks: Vec<u64> = (100..110).chain(131..150).collect();
    let plain = rows.model(&ticks);
    let Parameters::Dkf(mut dkf) = plain.parameters.clone() else { panic!("a DKF") };
    let principal = PrincipalComponents { mean: vec![0.2, 0.7, -0.1], axes: matrix(FEATURES, FEATURES, 5) };
    let reduction = Reduction { selected: Some(vec![0, 1, 2]), principal: Some(principal) };
    let reduced = |points: &DMatrix<f64>| {
        let across = points.transpose();
        let numbers: Vec<f64> =
            across.as_slice().chunks(FEATURES).flat_map(|bin| reduction.apply(bin)).collect();
        DMatrix::from_row_slice(points.nrows(), points.ncols(), &numbers)
    };
    if let Regressor::NadarayaWatson(regressor) = &mut dkf.regressor {
        regressor.points = reduced(&regressor.points);
    }
    if let Noise::Kernel { points, .. } = &mut dkf.noise {
        *points = reduced(points);
    }
    let model = Model { parameters: Parameters::Dkf(dkf), reduction: Some(reduction.clone()), ..plain };
    let file = model_to_bytes(&model).unwrap();
    let fitted = FittedRows { seqs: &rows.seqs, features: &rows.features };
    let packed = PackedModel::of(&model, &file, fitted, true).unwrap();
    assert_eq!(ticks_of(&packed), [(100, 110), (131, 150)]);
    assert!(unpack_model(&packed.bytes, &|seq| rows.row(seq)).unwrap().file == file);
}

#[test]
fn points_that_are_no_rows_are_stored() {
    let rows = Rows::new();
    let model = rows.model(&[103, 104]);
    let Parameters::Dkf(mut dkf) = model.parameters.clone() else { panic!("a DKF") };
    if let Regressor::NadarayaWatson(regressor) = &mut dkf.regressor {
        regressor.points[(1, 4)] += 1e-15;
    }
    let model = Model { parameters: Parameters::Dkf(dkf), ..model };
    let file = model_to_bytes(&model).unwrap();
    let fitted = FittedRows { seqs: &rows.seqs, features: &rows.features };
    let packed = PackedModel::of(&model, &file, fitted, true).unwrap();
    assert_eq!(ticks_of(&packed), [(102, 105)], "those of the noise are");
    assert!(unpack_model(&packed.bytes, &|seq| rows.row(seq)).unwrap().file == file);
}

#[test]
fn damage_is_refused() {
    let rows = Rows::new();
    let model = rows.model(&[101, 102, 140]);
    let file = model_to_bytes(&model).unwrap();
    let fitted = FittedRows { seqs: &rows.seqs, features: &rows.features };
    let packed = PackedModel::of(&model, &file, fitted, true).unwrap().bytes;
    let unpack = |bytes: &[u8]| unpack_model(bytes, &|seq| rows.row(seq));
    assert!(unpack(&[]).is_err());
    for at in (0..packed.len()).step_by(7) {
        let mut changed = packed.clone();
        changed[at] ^= 0x10;
        for bytes in [&packed[..at], &changed] {
            assert!(unpack(bytes).map_or(true, |unpacked| unpacked.file == file), "at {at}");
        }
    }
}
