//! The measurement update on inputs and outputs of an independent implementation: f, Q, A, G, S in, means and
//! covariances out, to 1e-9 relative.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "functions that several tests share fail like tests"
)]

use std::path::{Path, PathBuf};

use kalmind_filter::{DiscriminativeFilter, Form, Start, StateModel, StationarySource};
use kalmind_types::Intent;
use nalgebra::DMatrix;

fn rows(path: &Path) -> Vec<Vec<f64>> {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .lines()
        .map(|line| line.split(',').map(|value| value.trim().parse().unwrap()).collect())
        .collect()
}

fn matrix(value: &serde_json::Value) -> DMatrix<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    DMatrix::from_fn(rows.len(), rows[0].len(), |row, column| rows[row][column])
}

fn largest_relative_difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs() / scale).fold(0.0, f64::max)
}

fn matches_reference(folder: &Path) {
    let model: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("model.json")).unwrap()).unwrap();
    let state = StateModel {
        order: 1,
        transition: matrix(&model["A"]),
        process_noise: matrix(&model["Gamma"]),
        stationary_covariance: matrix(&model["S"]),
        stationary_source: StationarySource::Training,
        mean: None,
    };
    let f = rows(&folder.join("f.csv"));
    let q = rows(&folder.join("q.csv"));
    for (name, form) in
        [("standard", Form::Standard), ("robust", Form::Robust), ("augmented", Form::Augmented)]
    {
        let means = rows(&folder.join(format!("mean_{name}.csv")));
        let covariances = rows(&folder.join(format!("covariance_{name}.csv")));
        assert_eq!(means.len(), f.len());
        let mut filter = DiscriminativeFilter::new(&state, form, Start::First).unwrap();
        let mut intent = Intent::zero(state.dimension());
        let mut fallbacks = 0;
        let mut largest = 0.0_f64;
        for row in 0..f.len() {
            let report = filter.step(Some((&f[row], &q[row])), &mut intent);
            assert!(report.valid && report.row_one == (row == 0));
            fallbacks += u64::from(report.fallback);
            largest = largest
                .max(largest_relative_difference(intent.mean(), &means[row]))
                .max(largest_relative_difference(intent.covariance(), &covariances[row]));
            assert!(largest < 1e-9, "{} {name} row {row}: {largest:e}", folder.display());
        }
        println!(
            "{} {name}: largest relative difference {largest:e}, {fallbacks} fallbacks",
            folder.display()
        );
        let expected = if form == Form::Robust { Some(0) } else { model["fallback_steps"].as_u64() };
        assert_eq!(Some(fallbacks), expected, "{} {name}", folder.display());
    }
}

#[test]
fn forms_match_the_random_reference_in_four_dimensions() {
    matches_reference(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/random_d4"));
}

#[test]
fn forms_match_the_references_made_from_a_recording() {
    let Some(data) = std::env::var_os("KALMIND_DATA").map(PathBuf::from) else {
        println!("SKIPPED: KALMIND_DATA is not set, so the references made from a recording are not there");
        return;
    };
    for name in ["flint_constant_q", "flint_kernel_q"] {
        matches_reference(&data.join("../reference").join(name));
    }
}
