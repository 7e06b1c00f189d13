//! Power in bands of autoregressive models, against numpy's and against closed forms.

use core::f64::consts::PI;

use kalmind_signal::{ArSpectrumSettings, Signal, StageSettings};

use crate::filters::{numbers, run, signal};
use crate::rig;

const RATE_HZ: f64 = 250.0;

fn settings(bands_hz: &[[f64; 2]], order: u32, over_ms: f64) -> ArSpectrumSettings {
    ArSpectrumSettings {
        bands_hz: bands_hz.to_vec(),
        order,
        over_ms,
        output_ms: 40.0,
        step_hz: 0.2,
        log: false,
    }
}

/// What the stage makes of one channel or several; the last row.
fn last_row(settings: ArSpectrumSettings, channels: usize, x: &[f64]) -> (Vec<f64>, Vec<bool>) {
    let values = settings.bands_hz.len() * channels;
    let (found, valid) = run(vec![StageSettings::ArSpectrum(settings)], &signal(RATE_HZ, channels), x);
    (found[found.len() - values..].to_vec(), valid[valid.len() - values..].to_vec())
}

fn assert_relative(found: &[f64], expected: &[f64], to: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= to * expected.abs(), "{what}: {found} {expected}");
    }
}

#[test]
fn powers_are_those_of_numpy() {
    let lines: Vec<&str> = include_str!("ar_spectrum_by_numpy.txt").lines().collect();
    let (x, bands) = (numbers(lines[0]), [[8.0, 13.0], [18.0, 26.5]]);
    for (line, order) in lines[1..].iter().zip([1, 16, 30]) {
        assert!(line.starts_with(&format!("order{order} ")));
        let stage =
            |log| StageSettings::ArSpectrum(ArSpectrumSettings { log, ..settings(&bands, order, 400.0) });
        let (found, valid) = run(vec![stage(false)], &signal(RATE_HZ, 3), &x);
        let first = valid.iter().position(|valid| *valid).unwrap();
        // a window of 100 samples ends in every tenth one
        assert_eq!(first, 9 * 6);
        assert!(valid[first..].iter().all(|valid| *valid));
        assert_relative(&found[first..], &numbers(line), 1e-9, line.split(' ').next().unwrap());
        let (logarithms, _) = run(vec![stage(true)], &signal(RATE_HZ, 3), &x);
        let powers: Vec<f64> = logarithms[first..].iter().map(|value| value.exp()).collect();
        assert_relative(&powers, &numbers(line), 1e-9, "logarithm");
    }
}

#[test]
fn all_bands_together_hold_the_variance_of_the_window() {
    // the model has the values' own mean square, whatever its order: Burg's recursion keeps it
    let x: Vec<f64> = (0..100).map(|index| 3.0 + rig::finite(index)[0]).collect();
    let mean = x.iter().sum::<f64>() / 100.0;
    let variance = x.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 100.0;
    for order in [1, 4, 16] {
        let bands = [[0.0, 20.0], [20.0, 60.0], [60.0, 125.0]];
        let (found, _) = last_row(settings(&bands, order, 400.0), 1, &x);
        assert_relative(&[found.iter().sum()], &[variance], 1e-9, "variance");
    }
}

#[test]
fn a_sinusoid_in_noise_has_its_power_in_its_band() {
    let sinusoid = |index: u64| 4.0 * (2.0 * PI * 11.0 * index as f64 / RATE_HZ).sin();
    let x: Vec<f64> = (0..200).map(|index| sinusoid(index) + rig::finite(index)[1]).collect();
    // its peak is narrow: in steps of 0.2 Hz much of it would fall between two
    let fine = ArSpectrumSettings { step_hz: 0.02, ..settings(&[[8.0, 14.0], [20.0, 60.0]], 16, 800.0) };
    let (found, _) = last_row(fine, 1, &x);
    // half the square of its height
    assert!((found[0] - 8.0).abs() < 0.2 && found[1] < 0.3, "{found:?}");
}

#[test]
fn a_process_of_second_order_has_its_own_spectrum() {
    // x[n] = 2 r cos(w) x[n - 1] - r^2 x[n - 2] + e[n]: a peak near 20 Hz
    let (radius, w): (f64, f64) = (0.9, 2.0 * PI * 20.0 / RATE_HZ);
    let (a1, a2) = (-2.0 * radius * w.cos(), radius * radius);
    let mut x = vec![0.0, 0.0];
    for index in 0..9998_u64 {
        let [one, other, third] = rig::finite(index);
        x.push(one + other + third - a1 * x[x.len() - 1] - a2 * x[x.len() - 2]);
    }
    let bands = [[5.0, 15.0], [15.0, 25.0], [25.0, 60.0]];
    // three numbers between -1 and 1, each with a variance of a third
    let density = |hz: f64| {
        let w = 2.0 * PI * hz / RATE_HZ;
        let (real, imaginary) =
            (1.0 + a1 * w.cos() + a2 * (2.0 * w).cos(), a1 * w.sin() + a2 * (2.0 * w).sin());
        2.0 / RATE_HZ / (real * real + imaginary * imaginary)
    };
    let expected = bands.map(|[low, high]| {
        let step = (high - low) / 1000.0;
        (0..1000).map(|at| density(low + (f64::from(at) + 0.5) * step) * step).sum::<f64>()
    });
    // ten thousand values of it tell that to a few in a hundred
    let (found, _) = last_row(settings(&bands, 2, 40_000.0), 1, &x);
    assert_relative(&found, &expected, 0.1, "second order");
}

#[test]
fn a_channel_that_stands_still_has_no_power_and_no_logarithm() {
    let x: Vec<f64> = (0..100).flat_map(|index| [7.0, rig::finite(index)[0]]).collect();
    let bands = [[8.0, 13.0], [18.0, 26.0]];
    let (found, valid) = last_row(settings(&bands, 16, 400.0), 2, &x);
    assert!(found[0] == 0.0 && found[1] > 0.0 && found[2] == 0.0 && found[3] > 0.0, "{found:?}");
    assert!(valid.iter().all(|valid| *valid));
    let log = ArSpectrumSettings { log: true, ..settings(&bands, 16, 400.0) };
    assert_eq!(last_row(log, 2, &x).1, [false, true, false, true]);
}

#[test]
fn a_pure_sinusoid_gives_finite_powers_at_every_order() {
    let x: Vec<f64> = (0..100).map(|index| (2.0 * PI * f64::from(index) / 10.0).sin()).collect();
    for order in 1..=60 {
        let (found, _) = last_row(settings(&[[0.0, 125.0]], order, 400.0), 1, &x);
        assert!(found[0].is_finite() && found[0] >= 0.0, "{order}: {found:?}");
    }
}

#[test]
fn outputs_are_named_for_channel_and_band() {
    let built = |log| {
        let settings = ArSpectrumSettings { log, ..settings(&[[8.0, 13.0], [18.0, 26.5]], 16, 400.0) };
        StageSettings::ArSpectrum(settings).build(&signal(RATE_HZ, 2)).unwrap().signal().clone()
    };
    let Signal { outputs, rate_hz, every } = built(false);
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    let expected = ["a 8..13 Hz power", "b 8..13 Hz power", "a 18..26.5 Hz power", "b 18..26.5 Hz power"];
    assert_eq!(names, expected);
    assert!(rate_hz.to_bits() == 25.0_f64.to_bits() && every == 10);
    assert_eq!(outputs.iter().map(|output| output.channel).collect::<Vec<_>>(), [0, 1, 0, 1].map(Some));
    assert!(outputs.iter().all(|output| output.unit == "uV^2"));
    assert!(built(true).outputs.iter().all(|output| output.unit.is_empty()));
}

#[test]
fn models_that_cannot_be_fitted_are_refused_with_what_would_do() {
    let fine = settings(&[[8.0, 13.0]], 16, 400.0);
    for (settings, of_signal, says) in [
        (ArSpectrumSettings { order: 0, ..fine.clone() }, false, "`order` is 0; from 1 to 100"),
        (ArSpectrumSettings { bands_hz: vec![], ..fine.clone() }, false, "`bands_hz` has to be"),
        (ArSpectrumSettings { bands_hz: vec![[13.0, 8.0]], ..fine.clone() }, false, "`bands_hz` has to be"),
        (ArSpectrumSettings { over_ms: 0.0, ..fine.clone() }, false, "`over_ms` is 0"),
        (ArSpectrumSettings { step_hz: 0.0, ..fine.clone() }, false, "`step_hz` is 0"),
        (ArSpectrumSettings { step_hz: 0.001, ..fine.clone() }, false, "come to 5000 frequencies"),
        (ArSpectrumSettings { bands_hz: vec![[70.0, 150.0]], ..fine.clone() }, true, "half the rate, 125 Hz"),
        (ArSpectrumSettings { over_ms: 64.0, ..fine.clone() }, true, "holds 16 samples at 250 Hz"),
        (ArSpectrumSettings { over_ms: 60_000.0, ..fine }, true, "at most 10000"),
    ] {
        let error = StageSettings::ArSpectrum(settings).build(&signal(RATE_HZ, 2)).unwrap_err();
        assert!(error.is_of_signal() == of_signal && error.to_string().contains(says), "{error}");
    }
}
