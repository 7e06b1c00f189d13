//! The discriminative filter against its equations.

use super::*;

/// With x | z ~ N(H z, L): Q = (S^-1 + H' L^-1 H)^-1 and f = Q H' L^-1 x make the standard form the Kalman filter
/// (Neural Computation 2020, sec. 2).
#[test]
fn the_standard_form_equals_the_kalman_filter_on_twenty_random_systems() {
    let mut most = 0.0_f64;
    for system in 0..20 {
        let mut rng = random(100 + system);
        let d = 1 + (system as usize) % 8;
        // As many features as components at least, or Q^-1 - S^-1 is not definite.
        let n = d + 2 + (system as usize) % 14;
        let mut kalman = random_kalman(n, d, Start::Prior, &mut rng);
        kalman.observation_offset.fill(0.0);
        let precision = inverse(&kalman.observation_noise);
        let h = &kalman.observation;
        let q = inverse(&(inverse(&kalman.state.stationary_covariance) + h.transpose() * &precision * h));
        let f_of = &q * h.transpose() * &precision;
        let q_triangle = lower_triangle(&q);
        let mut filter = DiscriminativeFilter::new(&kalman.state, Form::Standard, Start::First).unwrap();
        let mut decoder =
            model("kalman", d, vec![0.0; n], Parameters::Kalman(kalman.clone())).decoder().unwrap();
        let (mut found, mut expected) = (Intent::zero(d), Intent::zero(d));
        for step in 0..200 {
            let features = DMatrix::from_fn(n, 1, |_, _| rng.random_range(-3.0..3.0));
            let f = &f_of * &features;
            let report = filter.step(Some((f.as_slice(), &q_triangle)), &mut found);
            assert!(!report.fallback, "system {system}, step {step}");
            decoder.step(Some(features.as_slice()), &mut expected);
            let covariance = DMatrix::from_fn(d, d, |row, column| {
                expected.covariance()[lower_triangle_index(row, column)]
            });
            let mean = DMatrix::from_column_slice(d, 1, expected.mean());
            most = most.max(difference(&found, &mean, &covariance));
        }
    }
    println!("largest relative difference {most:e}");
    assert!(most < 1e-10, "{most:e}");
}

#[test]
fn clipped_equals_its_definition_by_dense_eigenvalues() {
    let mut rng = random(6);
    let state = random_state(3, &mut rng);
    let root = state.stationary_covariance.clone().cholesky().unwrap().l();
    let mut filter = DiscriminativeFilter::new(&state, Form::Clipped, Start::First).unwrap();
    let mut intent = Intent::zero(3);
    let mut mean = DMatrix::zeros(3, 1);
    let mut covariance = DMatrix::zeros(3, 3);
    let mut clipped = 0;
    for step in 0..200 {
        let q = positive(3, &mut rng) * rng.random_range(0.2..6.0);
        let f = uniform(3, 1, &mut rng);
        let report = filter.step(Some((f.as_slice(), &lower_triangle(&q))), &mut intent);
        if step == 0 {
            (mean, covariance) = (f, q);
        } else {
            let whitened = inverse(&root) * &q * inverse(&root).transpose();
            let eigen = ((&whitened + whitened.transpose()) / 2.0).symmetric_eigen();
            let values = eigen.eigenvalues.map(|value| value.min(1.0 - 1e-3));
            let rebuilt =
                &eigen.eigenvectors * DMatrix::from_diagonal(&values) * eigen.eigenvectors.transpose();
            let precision = inverse(&(&root * rebuilt * root.transpose()));
            let predicted =
                &state.transition * &covariance * state.transition.transpose() + &state.process_noise;
            let prior = inverse(&predicted);
            covariance = inverse(&(&precision + &prior - inverse(&state.stationary_covariance)));
            mean = &covariance * (precision * f + prior * &state.transition * mean);
            clipped += usize::from(report.fallback);
            assert_eq!(report.fallback, eigen.eigenvalues.max() > 1.0 - 1e-3);
        }
        assert!(difference(&intent, &mean, &covariance) < 1e-9, "step {step}");
    }
    assert!((20..180).contains(&clipped), "{clipped}");
}

fn kernel_weights(points: &DMatrix<f64>, bandwidth: f64, window: &[f64]) -> Vec<f64> {
    let logs: Vec<f64> = points
        .row_iter()
        .map(|point| {
            let squared: f64 = point.iter().zip(window).map(|(point, x)| (x - point) * (x - point)).sum();
            -squared / (2.0 * bandwidth * bandwidth)
        })
        .collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter().map(|log| (log - most).exp()).collect()
}

#[test]
fn dkf_nw_with_lags_gaps_and_kernel_noise_equals_its_equations() {
    let mut rng = random(7);
    let (n, d, lags, m) = (4, 2, 3, 150);
    let state = random_state(d, &mut rng);
    let points = uniform(m, n * lags, &mut rng) * 2.0;
    let values = uniform(m, d, &mut rng);
    let residuals = uniform(m, d, &mut rng);
    let products = DMatrix::from_fn(m, 3, |row, entry| {
        let (left, right) = [(0, 0), (1, 0), (1, 1)][entry];
        residuals[(row, left)] * residuals[(row, right)]
    });
    let prior_covariance = positive(d, &mut rng);
    let background: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    for shared in [true, false] {
        let noise_points = if shared { points.clone() } else { uniform(m, n * lags, &mut rng) };
        let dkf = DkfParameters {
            state: state.clone(),
            dynamics: None,
            direction: false,
            form: Form::Robust,
            start: Start::First,
            lags,
            regressor: Regressor::NadarayaWatson(NadarayaWatsonRegressor {
                points: points.clone(),
                values: values.clone(),
                bandwidth: 0.9,
                scales: None,
            }),
            noise: Noise::Kernel {
                points: noise_points.clone(),
                residual_products: products.clone(),
                bandwidth: 1.4,
                scales: None,
                prior_covariance: prior_covariance.clone(),
                prior_samples: 3.0,
            },
            noise_scale: 0.7,
            covariance_scale: CovarianceScale::constant(1.3),
        };
        let mut decoder = model("dkf-nw", d, background.clone(), Parameters::Dkf(dkf)).decoder().unwrap();
        let mut bins: Vec<Vec<f64>> = vec![background.clone(); lags];
        let mut intent = Intent::zero(d);
        let (mut mean, mut covariance) = (DMatrix::zeros(d, 1), DMatrix::zeros(d, d));
        for step in 0..120 {
            let features: Vec<f64> = (0..n).map(|_| rng.random_range(-2.0..2.0)).collect();
            let measured = step % 13 != 6;
            let report = decoder.step(measured.then_some(features.as_slice()), &mut intent);
            bins.insert(0, if measured { features } else { background.clone() });
            bins.truncate(lags);
            if step > 0 {
                mean = &state.transition * mean;
                covariance =
                    &state.transition * covariance * state.transition.transpose() + &state.process_noise;
            }
            if measured {
                let window = bins.concat();
                let weights = kernel_weights(&points, 0.9, &window);
                let all: f64 = weights.iter().sum();
                let f = DMatrix::from_fn(d, 1, |row, _| {
                    weights.iter().enumerate().map(|(at, weight)| weight * values[(at, row)]).sum::<f64>()
                        / all
                });
                let weights = kernel_weights(&noise_points, 1.4, &window);
                let all: f64 = weights.iter().sum();
                let effective = all * all / weights.iter().map(|weight| weight * weight).sum::<f64>();
                let q = DMatrix::from_fn(d, d, |row, column| {
                    let entry = lower_triangle_index(row, column);
                    let kernel =
                        weights.iter().enumerate().map(|(at, weight)| weight * products[(at, entry)]);
                    0.7 * (effective * kernel.sum::<f64>() / all + 3.0 * prior_covariance[(row, column)])
                        / (effective + 3.0)
                });
                if step == 0 {
                    (mean, covariance) = (f, q);
                } else {
                    let prior = inverse(&covariance);
                    covariance = inverse(&(inverse(&q) + &prior));
                    mean = &covariance * (inverse(&q) * f + prior * mean);
                }
                assert!(report.effective_samples.unwrap() >= 1.0);
            }
            let found = difference(&intent, &mean, &(&covariance * 1.3));
            // Kernels have six digits.
            assert!(found < 1e-6, "shared {shared}, step {step}: {found:e}");
        }
    }
}
