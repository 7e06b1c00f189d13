//! Rows in over LSL, intents out over LSL and WebSocket: every row, in order, bit for bit what `evaluate` says.

use std::{fmt::Write as _, path::PathBuf};

use crate::{
    harness::Laboratory,
    passage::{Passage, rows},
};

/// Rows pushed live.
const ROWS: usize = 1000;

/// Features and states: the real recording where it is, else rows of the same shape from a seeded generator.
fn tables(laboratory: &Laboratory) -> (PathBuf, PathBuf, usize) {
    if let Some(data) = std::env::var_os("KALMIND_DATA") {
        let folder = PathBuf::from(data).join("flint");
        return (folder.join("x.csv"), folder.join("z.csv"), 5000);
    }
    println!("KALMIND_DATA is not set: generated rows instead of the real recording");
    let mut state = 1_u64;
    let mut noise = || {
        // a sum of uniform numbers from a 64-bit congruential generator: near enough to a Gaussian
        (0..6)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
            })
            .sum::<f64>()
    };
    let (mut features, mut states) = (String::new(), String::new());
    let mut velocity = [0.0_f64; 2];
    for _ in 0..1500 + ROWS {
        velocity = velocity.map(|value| 0.95 * value + 0.3 * noise());
        let [x, y] = velocity;
        let row: Vec<String> = (0..10)
            .map(|channel| {
                let angle = f64::from(channel) * 0.6;
                ((x * angle.cos() + y * angle.sin()).tanh() + 0.5 * noise()).to_string()
            })
            .collect();
        writeln!(features, "{}", row.join(",")).expect("a string grows");
        writeln!(states, "{x},{y}").expect("a string grows");
    }
    (laboratory.write("x.csv", &features), laboratory.write("z.csv", &states), 1500)
}

/// Pushes the last rows through the daemon and compares with `evaluate`.
fn round_trip(test: &str, decoder: &str) {
    let laboratory = Laboratory::new(test);
    let (x, z, train) = tables(&laboratory);
    let (x, z) = (x.to_str().expect("a path"), z.to_str().expect("a path"));
    let train_rows = format!("0..{train}");
    let test_rows = format!("{train}..{}", train + ROWS);
    laboratory.succeed(&[
        "fit",
        "--features",
        x,
        "--states",
        z,
        "--rate",
        "50",
        "--rows",
        &train_rows,
        "--decoder",
        decoder,
        "-o",
        "model.safetensors",
    ]);
    laboratory.succeed(&[
        "evaluate",
        "--features",
        x,
        "--states",
        z,
        "--rate",
        "50",
        "--test",
        &test_rows,
        "--model",
        "model.safetensors",
        "--predictions",
        "predictions",
        "--json",
    ]);
    let file = format!("predictions/0-{}.csv", decoder.split(':').next().expect("a name"));
    let text = std::fs::read_to_string(laboratory.path(&file)).expect("predictions are there");
    let (_header, predicted) = text.split_once('\n').expect("a header and rows");
    let expected = rows(predicted, 1);
    assert_eq!(expected.len(), ROWS);

    let features = std::fs::read_to_string(x).expect("features");
    let pushed: Vec<&str> = features.lines().skip(train).take(ROWS).collect();
    let pushed = laboratory.write("pushed.csv", &pushed.join("\n"));
    let model = laboratory.path("model.safetensors");
    Passage { features: &pushed, model: &model, expected: &expected, floor: 1e-3, tolerance: 1e-12 }
        .assert_decodes(&laboratory);
}

#[test]
fn every_row_comes_out_of_the_daemon_as_evaluate_says_kalman() {
    round_trip("round-kalman", "kalman");
}

#[test]
fn every_row_comes_out_of_the_daemon_as_evaluate_says_dkf_with_lags() {
    round_trip("round-dkf", "dkf-nw:lags=2,state-order=2");
}
