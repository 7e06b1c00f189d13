//! Rows in over LSL, intents out over LSL and WebSocket: every row, in order, bit for bit what `evaluate` says.

use std::{fmt::Write as _, path::PathBuf};

use serde_json::Value;

use crate::harness::{Laboratory, json};

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

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Means and covariance triangles that `evaluate --model` predicts, one row each.
fn predictions(path: &std::path::Path) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(path).expect("predictions are there");
    text.lines()
        .skip(1)
        .map(|line| line.split(',').skip(1).map(|cell| cell.parse().expect("a number")).collect())
        .collect()
}

fn assert_equal(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let scale = expected.abs().max(1e-3);
        assert!((found - expected).abs() <= 1e-12 * scale, "{what}: {found} instead of {expected}");
    }
}

/// Pushes the last rows through the daemon and compares with `evaluate`.
fn round_trip(test: &str, decoder: &str) {
    let laboratory = Laboratory::new(test);
    let (x, z, train) = tables(&laboratory);
    let (x, z) = (x.to_str().expect("a path"), z.to_str().expect("a path"));
    let rows = format!("0..{train}");
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
        &rows,
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
    let expected = predictions(&laboratory.path(&file));
    assert_eq!(expected.len(), ROWS);

    let pushed: String = std::fs::read_to_string(x).expect("features").lines().skip(train).take(ROWS).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    );
    laboratory.write("pushed.csv", &pushed);
    let stream = format!("{test}-features");
    let name = &laboratory.name;
    let configuration = laboratory.write(
        "kalmind.toml",
        &format!(
            "start = \"control\"\n[instance]\nname = \"{name}\"\n[decoder]\nmodel = \"model.safetensors\"\n\
             [server]\nbind = \"127.0.0.1:0\"\n\
             [bins]\nmax_wait_ms = 60000\n\
             [[stream]]\nname = \"{stream}\"\nbinning = \"sample\"\nbacklog_ms = 60000\nstall_ms = 60000\n"
        ),
    );
    let mut pusher =
        laboratory.python("push_rows.py", &["--name", &stream, "--rows", "pushed.csv", "--rate", "50"]);
    pusher.expect_line("ready");
    let daemon = laboratory.daemon(&configuration, "30");
    let count = ROWS.to_string();
    let url = format!("ws://{}/v1/state", daemon.address);
    let lsl =
        laboratory.python("read_lsl.py", &["--instance", name, "--samples", &count, "--out", "lsl.json"]);
    let websocket = laboratory
        .python("read_websocket.py", &["--url", &url, "--states", &count, "--out", "websocket.json"]);
    lsl.expect_line("ready");
    websocket.expect_line("ready");
    pusher.say("go");
    pusher.expect_line("done");
    assert_eq!(lsl.wait().0, Some(0));
    assert_eq!(websocket.wait().0, Some(0));
    let summary = daemon.end();

    // over the WebSocket
    let messages = json(&laboratory.path("websocket.json"));
    let messages = messages.as_array().expect("an array");
    assert_eq!(messages[0]["type"], "hello");
    assert!(messages.iter().all(|message| message["type"] != "gap"));
    let states: Vec<&Value> = messages.iter().filter(|message| message["type"] == "state").collect();
    assert_eq!(states.len(), ROWS);
    for (row, (state, expected)) in states.iter().zip(&expected).enumerate() {
        assert_eq!(state["seq"], row);
        assert_eq!(state["incomplete"], false, "row {row}");
        assert_eq!(state["state"], "control", "row {row}");
        let mut found = numbers(&state["intent"]["mean"]);
        for (index, line) in state["intent"]["covariance"].as_array().expect("an array").iter().enumerate() {
            found.extend(numbers(line).into_iter().take(index + 1));
        }
        assert_equal(&found, expected, &format!("WebSocket, row {row}"));
    }

    // over LSL
    let read = json(&laboratory.path("lsl.json"));
    let labels: Vec<&str> =
        read["labels"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
    let column = |label: &str| labels.iter().position(|known| *known == label).expect("a label");
    let first = column("intent_vx");
    assert_eq!(read["rate"], 50.0);
    let samples = read["samples"].as_array().expect("samples");
    let stamps = numbers(&read["stamps"]);
    assert_eq!(samples.len(), ROWS);
    for (row, (sample, expected)) in samples.iter().zip(&expected).enumerate() {
        let sample = numbers(sample);
        assert_eq!(sample[column("seq")] as usize, row);
        assert_eq!(sample[column("incomplete")], 0.0, "row {row}");
        assert_equal(&sample[first..first + 5], expected, &format!("LSL, row {row}"));
        let time = states[row]["time"].as_f64().expect("a time");
        assert!((stamps[row] - time).abs() < 1e-6, "row {row} is stamped with its time");
    }

    // nothing was lost on the way
    let stream = &summary["streams"][0];
    assert_eq!(stream["received"], ROWS);
    for counter in ["missing", "dropped", "late", "reconnects"] {
        assert_eq!(stream[counter], 0, "{counter}: {summary:#}");
    }
    assert_eq!(summary["tick"]["ticks"], ROWS);
    for counter in ["incomplete", "deadlines", "panics", "lost_records"] {
        assert_eq!(summary["tick"][counter], 0, "{counter}: {summary:#}");
    }
}

#[test]
fn every_row_comes_out_of_the_daemon_as_evaluate_says_kalman() {
    round_trip("round-kalman", "kalman");
}

#[test]
fn every_row_comes_out_of_the_daemon_as_evaluate_says_dkf_with_lags() {
    round_trip("round-dkf", "dkf-nw:lags=2,state-order=2");
}
