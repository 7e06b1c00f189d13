//! What decoding loses where counts have to be found in broadband first.
//!
//! `cargo bench --workspace --bench broadband -- [MINUTES] [SEEDS]` prints a table; 10 minutes of 96 electrodes at 30 kHz take about
//! a minute a seed of one core.
#![expect(clippy::unwrap_used, reason = "a bench that cannot build its subject has failed")]
#![expect(clippy::print_stdout, reason = "it prints its table")]

use kalmind_filter::{LabelLaw, Model, TrainingData};
use kalmind_fitting::{FitSettings, accuracy, fit};
use kalmind_session::{
    BroadbandOptions, Calibration, CalibrationOptions, CalibrationTick, DetectedCounts, Participant,
    ParticipantOptions, TASKS, TaskTick,
};
use kalmind_signal::ChainSettings;
use kalmind_types::{
    Command, EventBody, Intent, LslTime, Position, Seconds, TaskBlock, TaskState, TickOutput, Velocity,
};

const BIN_S: f64 = 0.02;
const UNITS: usize = 96;
/// What config/demo-broadband.toml does, and with a common average as config/intracortical-broadband.toml does.
const PLAIN: &str = r#"[{ "stage": "filter", "kind": "band_pass", "hz": [250, 5000], "order": 2 },
    { "stage": "spikes", "scales": [10], "multiple": -4.5, "refractory_ms": 1 }]"#;
const REFERENCED: &str = r#"[{ "stage": "filter", "kind": "band_pass", "hz": [250, 5000], "order": 2 },
    { "stage": "reference", "kind": "common_average" },
    { "stage": "spikes", "scales": [10], "multiple": -4.5, "refractory_ms": 1 }]"#;
const DECODERS: [&str; 2] = ["kalman-steady", "dkf-linear"];
/// The part of the rows that is fitted to; what follows is decoded.
const TRAINED: f64 = 0.8;

fn main() {
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (minutes, seeds) = (numbers.first().copied().unwrap_or(10.0), numbers.get(1).copied().unwrap_or(3.0));
    println!(
        "{minutes} min of open loop, {UNITS} units, trained on the first {:.0} %; mean absolute angular error of the rest in degrees",
        100.0 * TRAINED
    );
    println!("seed  stages      decoder        from counts  from broadband  more by");
    for seed in 1..=seeds as u64 {
        for (name, stages) in [("plain", PLAIN), ("referenced", REFERENCED)] {
            let [counted, detected] = open_loop(seed, 60.0 * minutes, stages);
            for decoder in DECODERS {
                let [counted, detected] = [&counted, &detected].map(|rows| error_deg(decoder, rows));
                println!(
                    "{seed:>4}  {name:<10}  {decoder:<13}  {counted:>11.2}  {detected:>14.2}  {:>6.1} %",
                    100.0 * (detected / counted - 1.0)
                );
            }
        }
    }
}

/// Rows of one open loop: with the participant's counts, and with those found in its broadband.
fn open_loop(seed: u64, seconds: f64, stages: &str) -> [TrainingData; 2] {
    let mut participant =
        Participant::new(ParticipantOptions { seed, ..ParticipantOptions::default() }).unwrap();
    let stages: ChainSettings = serde_json::from_str(stages).unwrap();
    let options = BroadbandOptions { seed, channels: UNITS, ..BroadbandOptions::default() };
    let mut detected = DetectedCounts::new(options, &stages).unwrap();
    let mut task = TASKS[0].build(seed, &[]).unwrap();
    let mut gathered = [(); 2].map(|()| Calibration::new(CalibrationOptions::default(), UNITS));
    let mut position = Position([0.5, 0.5]);
    let mut in_force = TaskState::default();
    let (mut tick, mut counts) = (0_u64, vec![0.0; UNITS]);
    let mut step = task.start(TaskBlock::OpenLoop, Seconds(seconds), LslTime(0.0));
    while task.block().is_some() {
        for event in step.events {
            if let EventBody::Target(target) = event.content {
                participant.observe_target(event.time, target);
            }
        }
        for command in step.commands {
            match command {
                Command::PlaceCursor(place) => position = place,
                Command::Task(state) => in_force = state,
                other => unreachable!("the task asked for {other:?}"),
            }
        }
        tick += 1;
        let (time, trial) = (LslTime(tick as f64 * BIN_S), task.trial());
        participant.counts(time, &mut counts);
        let mut found = counts.clone();
        detected.detect(&mut found);
        let label = |target| LabelLaw::default().label(position, target);
        let velocity = in_force.target.map_or_else(Velocity::default, |target| label(target.position));
        let moved = [0, 1].map(|axis| (position.0[axis] + velocity.0[axis] * BIN_S).clamp(0.0, 1.0));
        position = Position(moved);
        let state = TaskBlock::OpenLoop.mode().into();
        let output = TickOutput { state, position, ..TickOutput::neutral(tick, time) };
        for (calibration, features) in gathered.iter_mut().zip([&counts, &found]) {
            calibration.observe(CalibrationTick {
                output: &output,
                features,
                target: in_force.target,
                trial,
                drive: TaskBlock::OpenLoop.drive(),
            });
        }
        participant.observe_state(time, position);
        step = task.step(TaskTick { time, position, state, click: None });
    }
    gathered.map(|calibration| calibration.data(true).unwrap().training)
}

/// The error of a decoder on the rows that it was not fitted to.
fn error_deg(decoder: &str, data: &TrainingData) -> f64 {
    let rows = data.rows();
    let trained = (rows as f64 * TRAINED) as usize;
    let first = TrainingData {
        features: data.features.rows(0, trained).into_owned(),
        states: data.states.rows(0, trained).into_owned(),
        measurement: data.measurement.as_ref().map(|measured| measured[..trained].to_vec()),
        segment_starts: data.segment_starts.iter().copied().filter(|row| *row < trained).collect(),
        task: data.task.as_ref().map(|task| task[..trained].to_vec()),
    };
    let spec = decoder.parse().unwrap();
    let settings = FitSettings { labels: true, ..FitSettings::default() };
    let parameters = fit(&spec, &first, &settings, &mut |_| {}).unwrap().parameters;
    let mut decoder = Model::plain(spec, vec![0.0; UNITS], 2, parameters).decoder().unwrap();
    let mut intent = Intent::zero(2);
    let estimates: Vec<Intent> = (trained..rows)
        .map(|row| {
            let features: Vec<f64> = data.features.row(row).iter().copied().collect();
            decoder.step(Some(&features), &mut intent);
            intent
        })
        .collect();
    let truth = data.states.rows(trained, rows - trained).into_owned();
    accuracy::maae(&truth, &estimates).mean.to_degrees()
}
