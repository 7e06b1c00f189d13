//! Models that numpy wrote, decoded here: fixtures/models, made by `tests/python/write_models.py`, which docs/model.md
//! shows in full.
#![expect(clippy::unwrap_used, reason = "a test whose fixtures are not there has failed")]

use std::path::{Path, PathBuf};

use kalmind_recording::{read_model, read_table};
use kalmind_types::Intent;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a fixture's model over its features and compares every mean and covariance with numpy's.
fn reproduces(decoder: &str, tolerance: f64) {
    let folder = root().join("fixtures/models");
    let (model, _) = read_model(&folder.join(format!("{decoder}.safetensors"))).unwrap();
    assert_eq!(model.decoder.to_string(), decoder);
    let features = read_table(&folder.join("features.csv")).unwrap();
    let expected = read_table(&folder.join(format!("{decoder}.csv"))).unwrap();
    assert_eq!((features.rows, expected.rows, expected.width), (80, 80, 5));
    let mut decoder = model.decoder().unwrap();
    let mut intent = Intent::zero(2);
    let mut largest = 0.0_f64;
    for row in 0..features.rows {
        let report = decoder.step(Some(features.row(row)), &mut intent);
        assert!(report.valid && !report.fallback && report.row_one == (row == 0));
        for (found, expected) in intent.mean().iter().chain(intent.covariance()).zip(expected.row(row)) {
            largest = largest.max((found - expected).abs());
        }
    }
    assert!(largest < tolerance, "largest difference {largest:e}");
}

#[test]
fn a_kalman_model_of_numpy_decodes_as_numpy_does() {
    reproduces("kalman", 1e-12);
}

#[test]
fn a_dkf_model_of_numpy_decodes_as_numpy_does() {
    reproduces("dkf-nw", 1e-6);
}

#[test]
fn a_models_identity_is_what_sha256sum_says_of_its_file() {
    let (_, id) = read_model(&root().join("fixtures/models/kalman.safetensors")).unwrap();
    assert_eq!(id.to_hex(), "c7c678712bc9a24dea2b6c5337c7b7cb76de2df1ce045b4b6c662d173c368dbc");
}

#[test]
fn the_documentation_shows_the_script_that_wrote_them() {
    let script = std::fs::read_to_string(root().join("tests/python/write_models.py")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/model.md")).unwrap();
    assert!(page.contains(&format!("```python\n{script}```\n")), "docs/model.md shows another script");
}
