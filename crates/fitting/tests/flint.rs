//! The real recording (Flint et al. 2012, first run, as published with the DKF): the figures that others measured on the same rows.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "functions that several tests share fail like tests"
)]

use kalmind_filter::{DecoderSpec, Model, TrainingData};
use kalmind_fitting::{FitSettings, fit};
use kalmind_fitting::{accuracy::least_speed, scores::Accuracy};
use kalmind_types::{Binning, Component, Intent, StreamFeatures};
use nalgebra::DMatrix;

fn table(path: &std::path::Path) -> DMatrix<f64> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows: Vec<Vec<f64>> =
        text.lines().map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect();
    DMatrix::from_fn(rows.len(), rows[0].len(), |row, column| rows[row][column])
}

/// Features and hand velocities, or `None`, said plainly, where the data folder is not named.
fn recording() -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    let Some(data) = std::env::var_os("KALMIND_DATA").map(std::path::PathBuf::from) else {
        println!("SKIPPED: KALMIND_DATA is not set, so the recording is not there");
        return None;
    };
    Some((table(&data.join("flint/x.csv")), table(&data.join("flint/z.csv"))))
}

/// Trained on rows 0..5000, cold start at row 5000, judged on rows 5000..6000.
fn evaluated(spec: &str, features: &DMatrix<f64>, states: &DMatrix<f64>) -> (Accuracy, Model) {
    let spec: DecoderSpec = spec.parse().unwrap();
    let data = TrainingData::new(features.rows(0, 5000).into_owned(), states.rows(0, 5000).into_owned());
    let fitted = fit(&spec, &data, &FitSettings::default(), &mut |_progress| ()).unwrap();
    let model = Model {
        decoder: spec,
        streams: vec![StreamFeatures::of_channels(Binning::Sample, 10, None)],
        bin_ms: 100.0,
        components: ["vx", "vy"]
            .map(|name| Component { name: name.to_owned(), unit: String::new() })
            .to_vec(),
        training_mean: data.features.row_mean().iter().copied().collect(),
        zscore: None,
        label_law: None,
        participant: None,
        training_hash: Some(data.hash()),
        report: Some(serde_json::to_value(&fitted.report).unwrap()),
        guard: Some(fitted.guard),
        reduction: fitted.reduction,
        click: None,
        parameters: fitted.parameters,
    };
    let mut decoder = model.decoder().unwrap();
    let mut intents = Vec::new();
    for row in 5000..6000 {
        let features: Vec<f64> = features.row(row).iter().copied().collect();
        let mut intent = Intent::zero(2);
        let report = decoder.step(Some(&features), &mut intent);
        assert!(report.valid && report.row_one == (row == 5000));
        intents.push(intent);
    }
    let accuracy = Accuracy::of(&states.rows(5000, 1000).into_owned(), &intents, least_speed(&data.states));
    println!(
        "{}: nRMSE {:.4} MAAE {:.4} NEES {:.3} {:?} {:?}",
        model.decoder, accuracy.nrmse, accuracy.maae, accuracy.nees, accuracy.coverage, model.report
    );
    (accuracy, model)
}

#[test]
fn kalman_reaches_the_figures_that_five_other_implementations_agree_on() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("kalman:intercept=off", &features, &states);
    assert!((accuracy.nrmse - 0.7647).abs() <= 0.0005, "{}", accuracy.nrmse);
    assert!((accuracy.maae - 0.888).abs() <= 0.002, "{}", accuracy.maae);
    assert_eq!(accuracy.rows_left_out, 1);
}

#[test]
fn the_steady_gain_costs_no_accuracy() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("kalman-steady:intercept=off", &features, &states);
    assert!((accuracy.nrmse - 0.7647).abs() <= 0.0005, "{}", accuracy.nrmse);
}

#[test]
fn wiener_reaches_the_figures_of_others() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("wiener", &features, &states);
    assert!((accuracy.nrmse - 0.659).abs() <= 0.005, "{}", accuracy.nrmse);
    assert!((accuracy.maae - 0.818).abs() <= 0.01, "{}", accuracy.maae);
}

#[test]
fn other_linear_baselines_stay_in_their_neighbourhood() {
    let Some((features, states)) = recording() else { return };
    let (wiener, _model) = evaluated("wiener", &features, &states);
    let (cascade, _model) = evaluated("wiener-cascade", &features, &states);
    assert!(cascade.nrmse < wiener.nrmse + 0.02, "{}", cascade.nrmse);
    let (ole, _model) = evaluated("ole", &features, &states);
    let (one_bin, _model) = evaluated("wiener:lags=1,ridge=0", &features, &states);
    assert!((ole.nrmse - one_bin.nrmse).abs() < 1e-6, "{} {}", ole.nrmse, one_bin.nrmse);
    let (information, _model) = evaluated("kalman:update=information", &features, &states);
    let (covariance, _model) = evaluated("kalman:update=covariance", &features, &states);
    assert!((information.nrmse - covariance.nrmse).abs() < 1e-9);
}

#[test]
fn dkf_nw_reaches_its_figures_with_default_options() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("dkf-nw", &features, &states);
    assert!(accuracy.nrmse <= 0.605, "{}", accuracy.nrmse);
    assert!(accuracy.maae <= 0.77, "{}", accuracy.maae);
}

#[test]
fn dkf_nn_over_lags_reaches_its_figures() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("dkf-nn:lags=5", &features, &states);
    assert!(accuracy.nrmse <= 0.52, "{}", accuracy.nrmse);
    assert!(accuracy.maae <= 0.75, "{}", accuracy.maae);
}

/// Published: 0.78 and 0.92 extended, 0.78 and 0.89 unscented.
#[test]
fn kalman_filters_with_networks_are_better_than_published() {
    let Some((features, states)) = recording() else { return };
    for spec in ["ekf", "ukf"] {
        let (accuracy, _model) = evaluated(spec, &features, &states);
        assert!(accuracy.nrmse <= 0.76, "{spec}: {}", accuracy.nrmse);
        assert!(accuracy.maae <= 0.90, "{spec}: {}", accuracy.maae);
    }
}

#[test]
fn dkf_nw_gains_by_a_scale_for_every_entry_of_the_window() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("dkf-nw:kernel=se-ard", &features, &states);
    assert!(accuracy.nrmse <= 0.589, "{}", accuracy.nrmse);
    assert!(accuracy.maae <= 0.765, "{}", accuracy.maae);
    let (accuracy, _model) = evaluated("dkf-nw:lags=3,kernel=se-ard", &features, &states);
    assert!(accuracy.nrmse <= 0.52, "{}", accuracy.nrmse);
    assert!(accuracy.maae <= 0.74, "{}", accuracy.maae);
}

#[test]
fn dkf_gp_reaches_its_figures_with_default_options() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("dkf-gp", &features, &states);
    assert!(accuracy.nrmse <= 0.545, "{}", accuracy.nrmse);
    assert!(accuracy.maae <= 0.765, "{}", accuracy.maae);
}

#[test]
fn recurrent_networks_reach_the_figures_of_others() {
    let Some((features, states)) = recording() else { return };
    let (accuracy, _model) = evaluated("dkf-gru:networks=2,layers=1,epochs=40", &features, &states);
    assert!(accuracy.nrmse <= 0.48, "{}", accuracy.nrmse);
    assert!(accuracy.maae <= 0.70, "{}", accuracy.maae);
}

#[test]
fn a_linear_f_makes_the_filter_about_as_good_as_a_kalman_filter() {
    let Some((features, states)) = recording() else { return };
    // the Kalman filter's own options; left open, an order and a scale of Q that suit the recording are chosen
    let (accuracy, _model) =
        evaluated("dkf-linear:intercept=off,state-order=1,form=standard,q-scale=1", &features, &states);
    assert!((accuracy.nrmse - 0.7647).abs() <= 0.03, "{}", accuracy.nrmse);
}

#[test]
fn other_options_of_the_discriminative_filter_stay_in_its_neighbourhood() {
    let Some((features, states)) = recording() else { return };
    for spec in [
        "dkf-nw:state-order=2",
        "dkf-nw:q-scale=auto,bandwidth=0.64",
        "dkf-nw:lags=3,state-order=3,q-scale=auto",
        "dkf-nw:q=kernel,form=augmented,bandwidth=0.64",
        "dkf-nw:q=kernel,form=clipped,bandwidth=0.64",
        "dkf-nw:form=robust,stationary=lyapunov,start=prior,bandwidth=0.64",
    ] {
        let (accuracy, _model) = evaluated(spec, &features, &states);
        assert!(accuracy.nrmse < 0.75, "{spec}: {}", accuracy.nrmse);
    }
}
