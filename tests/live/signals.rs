//! The configurations of raw signals, each with the source that shows what it is for.

use std::{cell::Cell, fs};

use serde_json::Value;

use crate::harness::{Daemon, Laboratory, Process, repository};

/// A configuration of `config/` on the test's own network, with these texts in place of others.
fn configuration(laboratory: &Laboratory, file: &str, replaced: &[(&str, &str)]) -> std::path::PathBuf {
    let mut text = fs::read_to_string(repository("config").join(file)).expect("a file of config/");
    let name = text.lines().find(|line| line.starts_with("name = ")).expect("an instance").to_owned();
    text = text.replace(&name, &format!("name = \"{}\"", laboratory.name));
    for (old, new) in replaced {
        assert!(text.contains(old), "{file} does not hold {old}");
        text = text.replace(old, new);
    }
    laboratory.write(file, &format!("{text}\n[server]\nbind = \"127.0.0.1:0\"\n"))
}

/// A daemon with a configuration of `config/` and the participant that sends this signal, once whole bins of numbers came;
/// and what its status says.
fn decoding(
    laboratory: &Laboratory,
    file: &str,
    replaced: &[(&str, &str)],
    signal: &[&str],
) -> (Daemon, Process, Value) {
    let configuration = configuration(laboratory, file, replaced);
    let mut participant = laboratory.kalmind();
    participant.args(["simulate", "--instance", &laboratory.name, "--signal"]).args(signal);
    let participant = Process::start(participant);
    let daemon = laboratory.daemon(&configuration, "30");
    // the first bins are incomplete: filters settle, and how long bins have to wait is still being measured. Then all are whole but
    // those that a busy machine is too late for: one in twenty of a hundred in a row
    let begun = Cell::new((0, 0));
    let whole = |status: &Value| {
        let count = |name: &str| status["tick"][name].as_u64().unwrap_or_default();
        let now = (count("ticks"), count("incomplete"));
        let before = begun.get();
        if now.0 < before.0 + 100 {
            return false;
        }
        begun.set(now);
        (now.1 - before.1) * 20 <= now.0 - before.0 && status["streams"][0]["health"] == "live"
    };
    let status = daemon.wait_until("bins are whole", whole);
    (daemon, participant, status)
}

#[test]
fn rates_and_events_are_decoded_as_config_says() {
    let laboratory = Laboratory::new("rates");
    let (daemon, _participant, _) = decoding(&laboratory, "binned-rates.toml", &[], &["rates"]);
    daemon.end();
    let laboratory = Laboratory::new("events");
    let (daemon, _participant, status) = decoding(&laboratory, "spike-events.toml", &[], &["events"]);
    // 96 units at 8 Hz, a value each
    assert!(status["streams"][0]["received"].as_u64() > Some(100), "{status:#}");
    daemon.end();
}

#[test]
fn eeg_and_ecog_are_decoded_as_config_says() {
    for (file, signal) in [("eeg-band-power.toml", "eeg"), ("ecog.toml", "ecog")] {
        let laboratory = Laboratory::new(signal);
        let (daemon, _participant, _) = decoding(&laboratory, file, &[], &[signal]);
        daemon.end();
    }
}

#[test]
fn broadband_is_decoded_as_config_says() {
    let laboratory = Laboratory::new("broadband");
    // two arrays as small as a busy machine needs them
    let replaced = [("channels = 192", "channels = 8"), ("[[0, 96], [96, 192]]", "[[0, 4], [4, 8]]")];
    let signal = ["broadband", "--channels", "8"];
    let (daemon, _participant, _) = decoding(&laboratory, "intracortical-broadband.toml", &replaced, &signal);
    daemon.end();
}
