//! Every decoder against its equations written down once more, with dense matrices and explicit inverses.
#![expect(clippy::unwrap_used, reason = "functions that several tests share fail like tests")]

use kalmind_filter::{
    CovarianceScale, DecoderSpec, DiscriminativeFilter, DkfParameters, Form, KalmanParameters, Model,
    NadarayaWatsonRegressor, Noise, Parameters, Regressor, Start, StateModel, StationarySource,
    WienerParameters,
};

use kalmind_types::{Intent, lower_triangle_index};
use nalgebra::{DMatrix, DVector};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

mod discriminative;

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn uniform(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> DMatrix<f64> {
    DMatrix::from_fn(rows, columns, |_, _| rng.random_range(-1.0..1.0))
}

fn positive(size: usize, rng: &mut ChaCha8Rng) -> DMatrix<f64> {
    let half = uniform(size, size + 2, rng);
    &half * half.transpose() / size as f64 + DMatrix::identity(size, size) * 0.1
}

/// A stable first-order state model whose stationary covariance solves the Lyapunov equation.
fn random_state(d: usize, rng: &mut ChaCha8Rng) -> StateModel {
    let raw = uniform(d, d, rng);
    let radius = raw.complex_eigenvalues().iter().map(|value| value.norm()).fold(0.0, f64::max);
    let transition = raw * (0.9 / radius);
    let process_noise = positive(d, rng);
    let mut stationary_covariance = process_noise.clone();
    for _ in 0..2000 {
        stationary_covariance =
            &transition * &stationary_covariance * transition.transpose() + &process_noise;
    }
    stationary_covariance = (&stationary_covariance + stationary_covariance.transpose()) / 2.0;
    StateModel {
        order: 1,
        transition,
        process_noise,
        stationary_covariance,
        stationary_source: StationarySource::Lyapunov,
        mean: None,
    }
}

fn model(decoder: &str, d: usize, training_mean: Vec<f64>, parameters: Parameters) -> Model {
    Model::plain(decoder.parse::<DecoderSpec>().unwrap(), training_mean, d, parameters)
}

fn inverse(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    matrix.clone().try_inverse().unwrap()
}

fn difference(intent: &Intent, mean: &DMatrix<f64>, covariance: &DMatrix<f64>) -> f64 {
    let mut most = 0.0_f64;
    let scale = covariance.amax().max(mean.amax());
    for row in 0..mean.nrows() {
        most = most.max((intent.mean()[row] - mean[row]).abs());
        for column in 0..=row {
            let entry = intent.covariance()[lower_triangle_index(row, column)];
            most = most.max((entry - covariance[(row, column)]).abs());
        }
    }
    most / scale
}

fn lower_triangle(matrix: &DMatrix<f64>) -> Vec<f64> {
    (0..matrix.nrows()).flat_map(|row| (0..=row).map(move |column| matrix[(row, column)])).collect()
}

fn random_kalman(n: usize, d: usize, start: Start, rng: &mut ChaCha8Rng) -> KalmanParameters {
    KalmanParameters {
        state: random_state(d, rng),
        observation: uniform(n, d, rng),
        observation_offset: DVector::from_fn(n, |_, _| rng.random_range(-1.0..1.0)),
        observation_noise: positive(n, rng),
        information: None,
        start,
        covariance_scale: CovarianceScale::constant(1.0),
    }
}

/// The covariance form, with the gain M H' (H M H' + R)^-1.
struct TextbookKalman<'a> {
    model: &'a KalmanParameters,
    mean: DMatrix<f64>,
    covariance: DMatrix<f64>,
}

impl TextbookKalman<'_> {
    fn predict(&mut self) {
        let state = &self.model.state;
        self.mean = &state.transition * &self.mean;
        self.covariance =
            &state.transition * &self.covariance * state.transition.transpose() + &state.process_noise;
    }

    fn update(&mut self, features: &[f64]) {
        let h = &self.model.observation;
        let x = DMatrix::from_column_slice(features.len(), 1, features);
        let offset = DMatrix::from_column_slice(features.len(), 1, self.model.observation_offset.as_slice());
        let gain = &self.covariance
            * h.transpose()
            * inverse(&(h * &self.covariance * h.transpose() + &self.model.observation_noise));
        self.mean = &self.mean + &gain * (x - offset - h * &self.mean);
        self.covariance = &self.covariance - &gain * h * &self.covariance;
    }
}

#[test]
fn kalman_equals_the_textbook_filter_with_gaps_for_few_and_many_features() {
    let mut rng = random(1);
    for (n, d) in [(1, 1), (2, 4), (12, 2), (40, 5), (17, 8)] {
        let kalman = random_kalman(n, d, Start::Prior, &mut rng);
        let mut decoder =
            model("kalman", d, vec![0.0; n], Parameters::Kalman(kalman.clone())).decoder().unwrap();
        let mut textbook = TextbookKalman {
            model: &kalman,
            mean: DMatrix::zeros(d, 1),
            covariance: kalman.state.stationary_covariance.clone(),
        };
        let mut intent = Intent::zero(d);
        assert!(!decoder.step(None, &mut intent).valid);
        for step in 0..300 {
            let features: Vec<f64> = (0..n).map(|_| rng.random_range(-3.0..3.0)).collect();
            let measured = step % 11 != 5;
            let report = decoder.step(measured.then_some(features.as_slice()), &mut intent);
            assert!(report.valid && report.row_one == (step == 0) && !report.fallback);
            if step > 0 {
                textbook.predict();
            }
            if measured {
                textbook.update(&features);
            }
            let found = difference(&intent, &textbook.mean, &textbook.covariance);
            assert!(found < 1e-10, "{n} {d} {step}: {found:e}");
        }
    }
}

#[test]
fn covariance_form_and_information_form_agree() {
    let mut rng = random(11);
    for (n, d, order) in [(1, 1, 1), (3, 6, 1), (40, 2, 1), (8, 8, 1), (2, 3, 2), (30, 2, 3)] {
        for start in [Start::Prior, Start::First] {
            let mut kalman = random_kalman(n, d, start, &mut rng);
            if order > 1 {
                kalman.state = autoregressive(&kalman.state, order);
            }
            let decoder = |update: &str| {
                let parameters = Parameters::Kalman(kalman.clone());
                model(&format!("kalman:update={update}"), d, vec![0.0; n], parameters).decoder().unwrap()
            };
            let mut decoders = [decoder("information"), decoder("covariance"), decoder("auto")];
            let mut intents = [Intent::zero(d); 3];
            for step in 0..300 {
                let features: Vec<f64> = (0..n).map(|_| rng.random_range(-3.0..3.0)).collect();
                let measured = (step % 11 != 5).then_some(features.as_slice());
                for (decoder, intent) in decoders.iter_mut().zip(&mut intents) {
                    let report = decoder.step(measured, intent);
                    assert!(report.valid && report.row_one == (step == 0) && !report.fallback);
                }
                let [information, covariance, auto] = &intents;
                // the cheaper one
                assert_eq!(auto, if n > d { information } else { covariance });
                let mean = DMatrix::from_column_slice(d, 1, information.mean());
                let expected = DMatrix::from_fn(d, d, |row, column| {
                    information.covariance()[lower_triangle_index(row, column)]
                });
                let found = difference(covariance, &mean, &expected);
                assert!(found < 1e-9, "{n} {d} {order} {step}: {found:e}");
            }
        }
    }
}

/// A state of a higher order whose newest block moves as that of `first` does, and hangs on its older ones a little.
fn autoregressive(first: &StateModel, order: usize) -> StateModel {
    let d = first.dimension();
    let size = d * order;
    let mut transition = DMatrix::zeros(d, size);
    transition.view_mut((0, 0), (d, d)).copy_from(&(&first.transition * 0.8));
    for block in 1..order {
        transition.view_mut((0, block * d), (d, d)).fill_with_identity();
        transition.view_mut((0, block * d), (d, d)).scale_mut(0.1);
    }
    let companion = DMatrix::from_fn(size, size, |row, column| {
        if row < d { transition[(row, column)] } else { f64::from(u8::from(column + d == row)) }
    });
    let mut noise = DMatrix::zeros(size, size);
    noise.view_mut((0, 0), (d, d)).copy_from(&first.process_noise);
    let mut stationary_covariance = noise.clone();
    for _ in 0..4000 {
        stationary_covariance = &companion * &stationary_covariance * companion.transpose() + &noise;
    }
    StateModel {
        order,
        transition,
        process_noise: first.process_noise.clone(),
        stationary_covariance: (&stationary_covariance + stationary_covariance.transpose()) / 2.0,
        stationary_source: StationarySource::Lyapunov,
        mean: None,
    }
}

#[test]
fn steady_kalman_converges_to_the_kalman_filter_and_is_honest_on_the_way() {
    let mut rng = random(2);
    let kalman = random_kalman(10, 3, Start::Prior, &mut rng);
    let mut varying =
        model("kalman", 3, vec![0.0; 10], Parameters::Kalman(kalman.clone())).decoder().unwrap();
    let mut steady =
        model("kalman-steady", 3, vec![0.0; 10], Parameters::KalmanSteady(kalman.clone())).decoder().unwrap();
    let (mut expected, mut found) = (Intent::zero(3), Intent::zero(3));
    for step in 0..400 {
        let features: Vec<f64> = (0..10).map(|_| rng.random_range(-3.0..3.0)).collect();
        let measured = (step != 200).then_some(features.as_slice());
        varying.step(measured, &mut expected);
        assert!(!steady.step(measured, &mut found).fallback);
        // The fixed gain is never better than the optimal one, and the covariance says so.
        for component in 0..3 {
            let at = lower_triangle_index(component, component);
            assert!(found.covariance()[at] >= expected.covariance()[at] * (1.0 - 1e-9), "{step}");
        }
    }
    for (found, expected) in found.mean().iter().zip(expected.mean()) {
        assert!((found - expected).abs() < 1e-9);
    }
    for (found, expected) in found.covariance().iter().zip(expected.covariance()) {
        assert!((found - expected).abs() < 1e-12);
    }
}

/// A = .95, S = H = L = 1: the published steady-state variance.
#[test]
fn the_scalar_steady_state_variance_is_the_published_one() {
    let one = DMatrix::from_element(1, 1, 1.0);
    let state = StateModel {
        order: 1,
        transition: &one * 0.95,
        process_noise: &one * (1.0 - 0.95 * 0.95),
        stationary_covariance: one.clone(),
        stationary_source: StationarySource::Lyapunov,
        mean: None,
    };
    let kalman = KalmanParameters {
        state: state.clone(),
        observation: one.clone(),
        observation_offset: DVector::zeros(1),
        observation_noise: one.clone(),
        information: None,
        start: Start::Prior,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let mut intent = Intent::zero(1);
    for (name, parameters) in
        [("kalman", Parameters::Kalman(kalman.clone())), ("kalman-steady", Parameters::KalmanSteady(kalman))]
    {
        let mut decoder = model(name, 1, vec![0.0], parameters).decoder().unwrap();
        for _ in 0..500 {
            decoder.step(Some(&[0.3]), &mut intent);
        }
        assert!((intent.covariance()[0] - 0.237_950).abs() < 1e-6, "{name}: {}", intent.covariance()[0]);
    }
    for (form, variance) in [(Form::Standard, 0.237_950), (Form::Robust, 0.165)] {
        let mut filter = DiscriminativeFilter::new(&state, form, Start::First).unwrap();
        for _ in 0..500 {
            filter.step(Some((&[0.15], &[0.5])), &mut intent);
        }
        let tolerance = if form == Form::Robust { 1e-3 } else { 1e-6 };
        assert!(
            (intent.covariance()[0] - variance).abs() < tolerance,
            "{form:?}: {}",
            intent.covariance()[0]
        );
    }
}

#[test]
fn wiener_is_linear_in_its_window_and_ages_missing_bins() {
    let mut rng = random(8);
    let weights = uniform(2, 6, &mut rng);
    let wiener = WienerParameters {
        lags: 3,
        weights: weights.clone(),
        intercept: DVector::from_column_slice(&[0.5, -0.5]),
        residual_covariance: positive(2, &mut rng),
        state_covariance: positive(2, &mut rng) * 10.0,
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let background = vec![0.25, -0.75];
    let mut decoder =
        model("wiener", 2, background.clone(), Parameters::Wiener(wiener.clone())).decoder().unwrap();
    let mut intent = Intent::zero(2);
    assert!(!decoder.step(None, &mut intent).valid);
    decoder.step(Some(&[1.0, 2.0]), &mut intent);
    let report = decoder.step(None, &mut intent);
    assert!(report.valid && decoder.state().is_none());
    let window = DVector::from_column_slice(&[0.25, -0.75, 1.0, 2.0, 0.25, -0.75]);
    let expected = &weights * window + &wiener.intercept;
    assert!((intent.mean()[0] - expected[0]).abs() < 1e-14 && (intent.mean()[1] - expected[1]).abs() < 1e-14);
    assert_eq!(intent.covariance(), lower_triangle(&wiener.state_covariance));
}
