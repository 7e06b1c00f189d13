//! Models that a short numpy script wrote, live: what comes out equals what numpy computes.

use std::{fs, path::Path};

use crate::{
    harness::Laboratory,
    passage::{Passage, rows},
};

/// Writes both models of `write_models.py` and pushes the first rows of the features through one of them.
fn decodes_as_numpy(test: &str, decoder: &str, features: Option<&Path>, count: usize) {
    let laboratory = Laboratory::new(test);
    let folder = laboratory.folder.path().to_str().expect("a path").to_owned();
    let mut arguments = vec![folder.as_str()];
    arguments.extend(features.map(|features| features.to_str().expect("a path")));
    assert_eq!(laboratory.python("write_models.py", &arguments).wait().0, Some(0));

    let source = features.map_or_else(|| laboratory.path("features.csv"), Path::to_owned);
    let text = fs::read_to_string(source).expect("features");
    let pushed: Vec<&str> = text.lines().take(count).collect();
    let pushed = laboratory.write("pushed.csv", &pushed.join("\n"));
    let text = fs::read_to_string(laboratory.path(&format!("{decoder}.csv"))).expect("what numpy decoded");
    let mut expected = rows(&text, 0);
    expected.truncate(count);
    assert_eq!(expected.len(), count);
    let model = laboratory.path(&format!("{decoder}.safetensors"));
    // kernels over training points keep six digits
    let tolerance = if decoder == "kalman" { 1e-12 } else { 1e-6 };
    Passage { features: &pushed, model: &model, expected: &expected, floor: 1.0, tolerance }
        .assert_decodes(&laboratory);
}

#[test]
fn a_kalman_model_of_numpy_decodes_live_as_numpy_does() {
    decodes_as_numpy("numpy-kalman", "kalman", None, 80);
}

#[test]
fn a_dkf_model_of_numpy_decodes_live_as_numpy_does() {
    decodes_as_numpy("numpy-dkf", "dkf-nw", None, 80);
}

#[test]
fn a_dkf_model_of_numpy_decodes_the_real_recording_live_as_numpy_does() {
    let Some(data) = std::env::var_os("KALMIND_DATA") else {
        println!("KALMIND_DATA is not set: nothing was compared on the real recording");
        return;
    };
    let features = Path::new(&data).join("flint/x.csv");
    decodes_as_numpy("numpy-flint", "dkf-nw", Some(&features), 300);
}
