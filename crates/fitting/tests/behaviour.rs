//! What decoders do at starts, gaps, swaps, bad numbers and in the long run.
#![expect(clippy::unwrap_used, reason = "functions that several tests share fail like tests")]

use kalmind_filter::{
    CovarianceScale, Decoder, DecoderSpec, DiscriminativeFilter, Form, KalmanParameters, Model, ModelError,
    Parameters, Start, StateModel, StationarySource, TrainingData,
};
use kalmind_fitting::{FitBroken, FitError, FitPool, FitSettings, Fitted, abandon, fit};
use kalmind_types::Intent;
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

const ALL: [&str; 29] = [
    "kalman:guard=on",
    "dkf-mk:steps=3",
    "dkf-mk:sparsify=octants,guard=off,steps=3",
    "kalman",
    "kalman:update=covariance",
    "kalman:intercept=on,state-order=2,start=first",
    "kalman-steady",
    "wiener",
    "wiener-cascade:lags=2",
    "wiener-cascade:degree=7",
    "ole",
    "ole:intercept=off",
    "dkf-linear",
    "dkf-linear:q=kernel,lags=2",
    "dkf-nw",
    "dkf-nw:lags=3,state-order=2",
    "dkf-nw:form=robust,start=prior,stationary=lyapunov",
    "dkf-nw:form=clipped,q=kernel",
    "dkf-nw:form=augmented,q=kernel,state-order=3",
    "dkf-nw:q-scale=auto,covariance-scale=2",
    "dkf-nn:hidden=8,networks=2,epochs=3,lags=2",
    "dkf-nn:hidden=3,networks=1,epochs=3,optimizer=levenberg-marquardt,dynamics=ekf",
    "dkf-linear:dynamics=ukf",
    "ekf:hidden=8,epochs=3",
    "ukf:hidden=8,epochs=3",
    "dkf-gru:hidden=8,networks=2,epochs=5",
    "dkf-gru:hidden=8,networks=1,epochs=5,layers=2,cell=lstm,lags=2",
    "dkf-nw:kernel=se-ard,q=kernel,steps=3",
    "dkf-gp:lags=2,steps=3",
];

/// Linear features with noise of a second-order velocity.
fn simulated(rows: usize, features: usize, seed: u64) -> TrainingData {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let mut states = DMatrix::zeros(rows, 2);
    let tuning = DMatrix::from_fn(features, 2, |_, _| normal());
    let mut table = DMatrix::zeros(rows, features);
    for row in 0..rows {
        for column in 0..2 {
            let before = if row > 0 { states[(row - 1, column)] } else { 0.0 };
            states[(row, column)] = 0.95 * before + 0.1 * normal();
        }
        for feature in 0..features {
            let mean: f64 = (0..2).map(|column| tuning[(feature, column)] * states[(row, column)]).sum();
            table[(row, feature)] = mean + 0.5 * normal() + 3.0;
        }
    }
    TrainingData::new(table, states)
}

fn fitted(spec: &str, data: &TrainingData) -> Result<Model, FitError> {
    let spec: DecoderSpec = spec.parse().unwrap();
    let Fitted { parameters, guard, .. } = fit(&spec, data, &FitSettings::default(), &mut |_progress| ())?;
    Ok(Model {
        guard: Some(guard),
        click: None,
        ..Model::plain(
            spec,
            data.features.row_mean().iter().copied().collect(),
            data.states.ncols(),
            parameters,
        )
    })
}

fn row(data: &TrainingData, at: usize) -> Vec<f64> {
    data.features.row(at).iter().copied().collect()
}

fn is_positive_definite(intent: &Intent) -> bool {
    let d = intent.dimension();
    let covariance = DMatrix::from_fn(d, d, |row, column| {
        intent.covariance()[kalmind_types::lower_triangle_index(row, column)]
    });
    intent.is_finite() && covariance.cholesky().is_some()
}

#[test]
fn every_decoder_starts_at_the_first_features_and_starts_anew_after_a_restart() {
    let data = simulated(400, 6, 1);
    for spec in ALL {
        let mut decoder = fitted(spec, &data).unwrap().decoder().unwrap();
        let mut intent = Intent::zero(2);
        let untouched = intent;
        let report = decoder.step(None, &mut intent);
        assert!(!report.valid && !report.row_one && intent == untouched, "{spec}");
        let run = |decoder: &mut dyn Decoder| {
            (0..50)
                .map(|at| {
                    let mut intent = Intent::zero(2);
                    let report = decoder.step((at % 9 != 4).then_some(&row(&data, at)), &mut intent);
                    assert!(report.valid && report.row_one == (at == 0), "{spec} {at}");
                    assert!(is_positive_definite(&intent), "{spec} {at}");
                    intent
                })
                .collect::<Vec<_>>()
        };
        let first = run(decoder.as_mut());
        decoder.restart();
        assert!(decoder.state().is_none());
        assert_eq!(first, run(decoder.as_mut()), "{spec}");
    }
}

#[test]
fn a_fit_that_is_abandoned_ends_between_two_steps() {
    let data = simulated(400, 6, 1);
    let pool = FitPool::new(1, || {}).unwrap();
    for (spec, last) in
        [("kalman-steady", "covariance"), ("dkf-nw", "cross-fitting"), ("dkf-gp:steps=3", "noise")]
    {
        let (mut heard, parsed) = (Vec::new(), spec.parse().unwrap());
        let ended = pool.run(|| {
            fit(&parsed, &data, &FitSettings::default(), &mut |progress| {
                heard.push(progress.stage);
                if progress.stage == last {
                    abandon()
                }
            })
        });
        assert_eq!(ended.err(), Some(FitBroken::Abandoned), "{spec}");
        assert_eq!(heard.iter().filter(|stage| **stage == last).count(), 1, "{spec}: {heard:?}");
        assert_eq!(heard.last(), Some(&last));
    }
}

#[test]
fn a_gap_widens_the_belief_of_every_filter() {
    let data = simulated(400, 6, 2);
    for spec in ALL {
        let mut decoder = fitted(spec, &data).unwrap().decoder().unwrap();
        let mut intent = Intent::zero(2);
        for at in 0..100 {
            decoder.step(Some(&row(&data, at)), &mut intent);
        }
        let before = intent.covariance()[0];
        for _ in 0..10 {
            decoder.step(None, &mut intent);
        }
        assert!(intent.covariance()[0] > before, "{spec}");
    }
}

#[test]
fn features_that_are_not_finite_or_of_another_length_count_as_none() {
    let data = simulated(400, 6, 3);
    for spec in ALL {
        let model = fitted(spec, &data).unwrap();
        for bad in [vec![f64::NAN; 6], vec![f64::INFINITY; 6], vec![1.0; 5], vec![]] {
            let (mut decoder, mut expected) = (model.decoder().unwrap(), model.decoder().unwrap());
            let (mut intent, mut expected_intent) = (Intent::zero(2), Intent::zero(2));
            for at in 0..20 {
                let features = row(&data, at);
                let (given, plain) = if at == 10 {
                    (Some(bad.as_slice()), None)
                } else {
                    (Some(features.as_slice()), Some(features.as_slice()))
                };
                decoder.step(given, &mut intent);
                expected.step(plain, &mut expected_intent);
            }
            assert_eq!(intent, expected_intent, "{spec}");
        }
    }
}

#[test]
fn a_belief_is_carried_over_where_its_shape_matches() {
    let data = simulated(400, 6, 4);
    let models: Vec<_> = ALL.iter().map(|spec| (*spec, fitted(spec, &data).unwrap())).collect();
    let mut decoders: Vec<_> = models.iter().map(|(spec, model)| (*spec, model.decoder().unwrap())).collect();
    for (_, decoder) in &mut decoders {
        for at in 0..30 {
            decoder.step(Some(&row(&data, at)), &mut Intent::zero(2));
        }
    }
    for (from, old) in &decoders {
        for (to, model) in &models {
            let mut new = model.decoder().unwrap();
            let Some(state) = old.state() else { continue };
            let probe = |decoder: &dyn Decoder| decoder.state().map(|state| (state.dimension, state.order));
            let order =
                decoders.iter().find(|(name, _)| name == to).and_then(|(_, decoder)| probe(decoder.as_ref()));
            let adopted = new.adopt(state);
            assert_eq!(adopted, order == Some((state.dimension, state.order)), "{from} -> {to}");
            if adopted {
                let adopted = new.state().unwrap();
                assert_eq!((adopted.dimension, adopted.order), (state.dimension, state.order));
                assert_eq!(adopted.covariance, state.covariance);
                // the mean at which the intent rests was taken off and added again
                for (value, given) in adopted.mean.iter().zip(state.mean) {
                    assert!((value - given).abs() <= 1e-15 * (1.0 + given.abs()), "{from} -> {to}");
                }
                let report = new.step(Some(&row(&data, 31)), &mut Intent::zero(2));
                assert!(report.valid && !report.row_one, "{from} -> {to}");
            }
        }
    }
}

#[test]
fn millions_of_steps_leave_the_covariance_symmetric_positive_definite() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let measurements: Vec<([f64; 2], [f64; 3])> = (0..997)
        .map(|_| {
            let scale = 10.0_f64.powf(random.random_range(-6.0..3.0));
            let (a, b, c) = (
                random.random_range(0.1..1.0),
                random.random_range(-1.0..1.0),
                random.random_range(0.1..1.0),
            );
            let q = [scale * a * a, scale * a * b, scale * (b * b + c * c)];
            ([random.random_range(-2.0..2.0), random.random_range(-2.0..2.0)], q)
        })
        .collect();
    for (order, steps) in [(1, 5_000_000), (3, 500_000)] {
        let mut transition = DMatrix::zeros(2, 2 * order);
        transition[(0, 0)] = 0.999;
        transition[(1, 1)] = 0.9;
        let state = StateModel {
            order,
            transition,
            process_noise: DMatrix::from_row_slice(2, 2, &[1e-6, 0.0, 0.0, 0.1]),
            stationary_covariance: DMatrix::identity(2 * order, 2 * order),
            stationary_source: StationarySource::Training,
            mean: None,
        };
        for form in [Form::Standard, Form::Clipped] {
            let mut filter = DiscriminativeFilter::new(&state, form, Start::First).unwrap();
            let mut intent = Intent::zero(2);
            for step in 0..steps {
                let (f, q) = &measurements[step % measurements.len()];
                filter.step((step % 101 != 100).then_some((f, q)), &mut intent);
                if let [a, b, c] = *intent.covariance() {
                    assert!(a > 0.0 && a * c > b * b, "{form:?} order {order} step {step}: {intent:?}");
                }
            }
            assert!(intent.is_finite());
            let belief = filter.state().unwrap();
            let size = 2 * order;
            let covariance = DMatrix::from_row_slice(size, size, belief.covariance);
            assert_eq!(covariance, covariance.transpose());
            assert!(covariance.symmetric_eigenvalues().min() > -1e-15 * covariance.amax());
        }
    }
}

/// Position integrates velocity and no feature sees it: its variance never settles, and the decoder says so.
#[test]
fn a_position_that_no_feature_observes_runs_as_the_varying_filter_and_reports_it() {
    let kalman = KalmanParameters {
        state: StateModel {
            order: 1,
            transition: DMatrix::from_row_slice(2, 2, &[1.0, 0.02, 0.0, 0.9]),
            process_noise: DMatrix::from_row_slice(2, 2, &[0.0, 0.0, 0.0, 0.1]),
            stationary_covariance: DMatrix::identity(2, 2),
            stationary_source: StationarySource::Training,
            mean: None,
        },
        observation: DMatrix::from_row_slice(3, 2, &[0.0, 1.0, 0.0, -0.5, 0.0, 0.3]),
        observation_offset: DVector::zeros(3),
        observation_noise: DMatrix::identity(3, 3),
        information: None,
        start: Start::First,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let mut model = fitted("kalman-steady", &simulated(100, 3, 5)).unwrap();
    model.parameters = Parameters::KalmanSteady(kalman);
    let mut decoder = model.decoder().unwrap();
    let mut intent = Intent::zero(2);
    for _ in 0..1000 {
        let report = decoder.step(Some(&[0.1, 0.2, 0.3]), &mut intent);
        assert!(report.fallback && intent.is_finite());
    }
    assert!(intent.covariance()[0] > 1.0);
}

#[test]
fn fits_that_cannot_work_say_what_to_do() {
    let good = simulated(200, 4, 6);
    let fails = |data: &TrainingData, spec: &str| fitted(spec, data).unwrap_err();
    let mut data = good.clone();
    data.features[(17, 2)] = f64::NAN;
    assert!(matches!(
        fails(&data, "kalman"),
        FitError::NotFinite { table: "features", row: 17, column: 2, .. }
    ));
    let mut data = good.clone();
    data.states = data.states.rows(0, 199).into_owned();
    assert_eq!(fails(&data, "wiener"), FitError::RowsDiffer { features: 200, states: 199 });
    let mut data = good.clone();
    data.states.column_mut(1).fill(0.5);
    for spec in ALL.iter().filter(|spec| !spec.starts_with("wiener")) {
        assert_eq!(fails(&data, spec), FitError::CollinearStates { column: 1 }, "{spec}");
    }
    for rows in [0, 1, 3] {
        let few = TrainingData::new(
            good.features.rows(0, rows).into_owned(),
            good.states.rows(0, rows).into_owned(),
        );
        for spec in ALL {
            assert!(matches!(fails(&few, spec), FitError::TooFewRows { .. }), "{spec} {rows}");
        }
    }
    let mut data = good.clone();
    data.features.fill(1.0);
    for spec in ALL {
        assert_eq!(fails(&data, spec), FitError::NothingMoves, "{spec}");
    }
    let masked = TrainingData { measurement: Some(vec![true; 3]), ..good };
    assert_eq!(fails(&masked, "kalman"), FitError::MaskLength { mask: 3, rows: 200 });
}

#[test]
fn a_channel_that_never_moves_is_left_aside_with_a_warning() {
    let mut data = simulated(300, 5, 7);
    data.features.column_mut(2).fill(4.0);
    let spec: DecoderSpec = "kalman".parse().unwrap();
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_| ()).unwrap();
    assert!(fitted.report.warnings[0].contains('2'));
    let Parameters::Kalman(kalman) = fitted.parameters else { panic!("a Kalman filter") };
    assert_eq!(kalman.observation.row(2).amax().to_bits(), 0.0_f64.to_bits());
}

#[test]
fn rows_outside_the_mask_train_the_state_model_only() {
    let good = simulated(300, 5, 8);
    let mut spoilt = TrainingData { measurement: Some((0..300).map(|at| at >= 100).collect()), ..good };
    // the factor on the covariance follows what a decoder errs that sees every bin, as in a run
    let decoder = "kalman:covariance-scale=1";
    let before = fitted(decoder, &spoilt).unwrap();
    for at in 0..100 {
        spoilt.features.row_mut(at).fill(1e3);
    }
    assert_eq!(before.parameters, fitted(decoder, &spoilt).unwrap().parameters);
}

#[test]
fn a_model_that_does_not_fit_together_is_refused_by_name() {
    let model = fitted("kalman", &simulated(200, 4, 10)).unwrap();
    let Parameters::Kalman(kalman) = &model.parameters else { panic!("a Kalman filter") };
    let refuse = |change: &dyn Fn(&mut KalmanParameters)| {
        let mut kalman = kalman.clone();
        change(&mut kalman);
        Model { parameters: Parameters::Kalman(kalman), ..model.clone() }.validate().unwrap_err()
    };
    assert!(matches!(
        refuse(&|kalman| kalman.observation = DMatrix::zeros(3, 2)),
        ModelError::Shape { tensor: "observation", .. }
    ));
    assert!(matches!(
        refuse(&|kalman| kalman.observation_noise.fill(1.0)),
        ModelError::NotPositive { tensor: "observation_noise", strict: true }
    ));
    assert!(matches!(
        refuse(&|kalman| kalman.state.transition[(1, 0)] = f64::NAN),
        ModelError::NotFinite { tensor: "transition", row: 1, column: 0, .. }
    ));
    let wrong = Model { decoder: "dkf-nw".parse().unwrap(), ..model.clone() };
    assert!(matches!(wrong.validate(), Err(ModelError::WrongParameters { .. })));
    let short = Model { training_mean: vec![0.0; 3], ..model.clone() };
    assert!(matches!(short.validate(), Err(ModelError::Shape { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_finite_features_leave_every_output_finite_and_positive(
        seed in 0_u64..1000,
        exponent in -12.0_f64..12.0,
        which in 0_usize..ALL.len(),
    ) {
        let data = simulated(120, 3, 11);
        let mut decoder = fitted(ALL[which], &data).unwrap().decoder().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut intent = Intent::zero(2);
        for step in 0..300 {
            let features: Vec<f64> =
                (0..3).map(|_| random.random_range(-1.0..1.0) * 10.0_f64.powf(exponent)).collect();
            let report = decoder.step((step % 17 != 16).then_some(&features), &mut intent);
            prop_assert!(report.valid);
            prop_assert!(is_positive_definite(&intent), "{} {:?}", ALL[which], intent);
        }
    }
}
