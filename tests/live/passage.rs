//! Rows pushed through a live daemon, read back over WebSocket and LSL, compared with what was to be expected.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Laboratory, json};

/// What to push and what to expect of it.
pub(crate) struct Passage<'a> {
    /// CSV of features, pushed at 50 Hz.
    pub(crate) features: &'a Path,
    /// Model file.
    pub(crate) model: &'a Path,
    /// Mean and lower triangle of the covariance (two components), one entry a row.
    pub(crate) expected: &'a [Vec<f64>],
    /// A number differs where it differs by more than `tolerance` of itself, or of this where it is smaller.
    pub(crate) floor: f64,
    /// See `floor`.
    pub(crate) tolerance: f64,
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Rows of numbers from a CSV text, without its first `columns_left_out` columns.
pub(crate) fn rows(text: &str, columns_left_out: usize) -> Vec<Vec<f64>> {
    text.lines()
        .map(|line| {
            line.split(',').skip(columns_left_out).map(|cell| cell.parse().expect("a number")).collect()
        })
        .collect()
}

impl Passage<'_> {
    fn assert_equal(&self, found: &[f64], expected: &[f64], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (found, expected) in found.iter().zip(expected) {
            let scale = expected.abs().max(self.floor);
            assert!(
                (found - expected).abs() <= self.tolerance * scale,
                "{what}: {found} instead of {expected}"
            );
        }
    }

    /// Pushes the rows live; every one has to come out of both interfaces as expected, in order, and nothing lost. Limits
    /// are so wide that a busy machine cannot drop a bin.
    pub(crate) fn assert_decodes(&self, laboratory: &Laboratory) {
        let count = self.expected.len();
        let name = &laboratory.name;
        let stream = format!("{name}-features");
        let configuration = laboratory.write(
            "kalmind.toml",
            &format!(
                "start = \"control\"\n[instance]\nname = \"{name}\"\n[decoder]\nmodel = \"{}\"\n\
                 [server]\nbind = \"127.0.0.1:0\"\n\
                 [bins]\nmax_wait_ms = 60000\nmeasure_arrival_s = 0\n[safety]\nstale_after_ms = 60000\n\
                 [[stream]]\nname = \"{stream}\"\nbinning = \"sample\"\nbacklog_ms = 60000\nstall_ms = 60000\n",
                self.model.display()
            ),
        );
        let features = self.features.to_str().expect("a path");
        let mut pusher =
            laboratory.python("push_rows.py", &["--name", &stream, "--rows", features, "--rate", "50"]);
        pusher.expect_line("ready");
        let daemon = laboratory.daemon(&configuration, "30");
        let samples = count.to_string();
        let url = format!("ws://{}/v1/state", daemon.address);
        let lsl = laboratory
            .python("read_lsl.py", &["--instance", name, "--samples", &samples, "--out", "lsl.json"]);
        let websocket = laboratory
            .python("read_websocket.py", &["--url", &url, "--states", &samples, "--out", "websocket.json"]);
        lsl.expect_line("ready");
        websocket.expect_line("ready");
        pusher.say("go");
        pusher.expect_line("done");
        assert_eq!(lsl.wait().0, Some(0));
        assert_eq!(websocket.wait().0, Some(0));
        let summary = daemon.end();

        let states = self.check_websocket(&json(&laboratory.path("websocket.json")));
        self.check_lsl(&json(&laboratory.path("lsl.json")), &states);
        let stream = &summary["streams"][0];
        assert_eq!(stream["received"], count);
        for counter in ["missing", "dropped", "late", "reconnects"] {
            assert_eq!(stream[counter], 0, "{counter}: {summary:#}");
        }
        assert_eq!(summary["tick"]["ticks"], count);
        for counter in ["incomplete", "deadlines", "panics", "lost_records"] {
            assert_eq!(summary["tick"][counter], 0, "{counter}: {summary:#}");
        }
    }

    /// Gives row and time of the states. A client that a busy machine keeps from reading misses some, and is told so.
    fn check_websocket(&self, messages: &Value) -> Vec<(usize, f64)> {
        let messages = messages.as_array().expect("an array");
        assert_eq!(messages[0]["type"], "hello");
        let missed: u64 = messages.iter().filter_map(|message| message["missed"].as_u64()).sum();
        let states: Vec<&Value> = messages.iter().filter(|message| message["type"] == "state").collect();
        assert_eq!(states.len() + missed as usize, self.expected.len());
        assert!(states.len() > self.expected.len() / 2, "{missed} states were missed");
        let row_of = |state: &Value| state["seq"].as_u64().expect("a number") as usize;
        for state in &states {
            let row = row_of(state);
            let expected = &self.expected[row];
            assert_eq!(state["incomplete"], false, "row {row}");
            assert_eq!(state["state"], "control", "row {row}");
            let mut found = numbers(&state["intent"]["mean"]);
            let covariance = state["intent"]["covariance"].as_array().expect("an array");
            for (index, line) in covariance.iter().enumerate() {
                found.extend(numbers(line).into_iter().take(index + 1));
            }
            self.assert_equal(&found, expected, &format!("WebSocket, row {row}"));
        }
        states.iter().map(|state| (row_of(state), state["time"].as_f64().expect("a time"))).collect()
    }

    fn check_lsl(&self, read: &Value, times: &[(usize, f64)]) {
        let labels: Vec<&str> =
            read["labels"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
        let column = |label: &str| labels.iter().position(|known| *known == label).expect("a label");
        let first = column("intent_vx");
        assert_eq!(read["rate"], 50.0);
        let samples = read["samples"].as_array().expect("samples");
        let stamps = numbers(&read["stamps"]);
        assert_eq!(samples.len(), self.expected.len());
        for (row, (sample, expected)) in samples.iter().zip(self.expected).enumerate() {
            let sample = numbers(sample);
            assert_eq!(sample[column("seq")] as usize, row);
            assert_eq!(sample[column("incomplete")], 0.0, "row {row}");
            self.assert_equal(&sample[first..first + 5], expected, &format!("LSL, row {row}"));
        }
        for &(row, time) in times {
            assert!((stamps[row] - time).abs() < 1e-6, "row {row} is stamped with its time");
        }
    }
}
