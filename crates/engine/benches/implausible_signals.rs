//! How fast dead arrays are told, how often living ones are taken for dead, and what the look costs.
//!
//!     cargo bench --workspace --bench implausible_signals -- faults [SEEDS]
//!     cargo bench --workspace --bench implausible_signals -- hours HOURS [SEED]
//!     cargo bench --workspace --bench implausible_signals -- table FILE.csv HZ
//!     cargo bench --workspace --bench implausible_signals -- cost
//!
//! `hours` and `table` end with 1 where there is more than one false alarm an hour.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be taken ends at once"
)]

#[path = "../tests/rig/mod.rs"]
mod rig;

use std::{collections::BTreeMap, process::ExitCode, time::Instant};

use kalmind_session::{Drift, ParticipantOptions};
use kalmind_types::{Actor, Command, FeatureSet, Mode, OutputState, Seconds, Velocity};
use rig::{Breaker, Fault, Loop, Rows, Subject, model};

fn main() -> ExitCode {
    // cargo adds a flag of its own
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, default: f64| arguments.get(at).map_or(default, |text| text.parse().unwrap());
    match arguments.first().map(String::as_str) {
        Some("faults") => faults(number(1, 8.0) as u64),
        Some("hours") => return hours(number(1, 1.0), number(2, 1.0) as u64),
        Some("table") => return table(&arguments[1], number(2, 50.0)),
        Some("cost") => cost(),
        _ => println!("faults [SEEDS] | hours HOURS [SEED] | table FILE.csv HZ | cost"),
    }
    ExitCode::SUCCESS
}

const FAULTS: [(&str, Fault); 16] = [
    ("zero", Fault::Zero),
    ("railed at 32767", Fault::Value(32767.0)),
    ("railed at -32768", Fault::Value(-32768.0)),
    ("railed at the training maximum", Fault::RailWithin),
    ("frozen", Fault::Frozen),
    ("constant 1", Fault::Value(1.0)),
    ("noise, 3 x deviation", Fault::Noise(3.0)),
    ("noise, 0.3 x deviation", Fault::Noise(0.3)),
    ("noise, same deviation", Fault::Noise(1.0)),
    ("shuffled channels", Fault::Shuffled),
    ("1e308", Fault::Value(1e308)),
    ("-1e59", Fault::Value(-1e59)),
    ("1e-310", Fault::Value(1e-310)),
    ("infinity", Fault::Value(f64::INFINITY)),
    ("-infinity", Fault::Value(f64::NEG_INFINITY)),
    ("not a number", Fault::Value(f64::NAN)),
];

/// Time to `stale`, and until every broken channel is named, in milliseconds.
fn faults(seeds: u64) {
    println!("broken | fault | stale: median, max ms (of {seeds}) | all named: median, max ms | reason");
    for part in [1.0, 0.5, 0.1, 0.01] {
        for (name, fault) in FAULTS {
            let (mut stale, mut named, mut reason) = (Vec::new(), Vec::new(), String::new());
            for seed in 1..=seeds {
                let options = ParticipantOptions { seed, ..ParticipantOptions::default() };
                let mut subject = Subject::new(options);
                let rows = subject.calibrate(30.0);
                let model = model("kalman-steady", &rows, 0.02);
                let mut running = Loop::new(&model, 0.02, true, true);
                let mut row = vec![0.0; 96];
                let mut breaker = Breaker::new(fault, part, &rows, seed);
                let (mut first_stale, mut first_named) = (None, None);
                for tick in 0..1000 {
                    subject.row(running.time(), running.engine.position(), &mut row);
                    if tick >= 500 {
                        breaker.apply(&mut row);
                    }
                    let output = running.tick(&row);
                    assert!(output.velocity.0.iter().all(|value| value.is_finite()));
                    if tick < 500 {
                        continue;
                    }
                    let after = f64::from(tick - 499) * 20.0;
                    if output.state == OutputState::Stale && first_stale.is_none() {
                        first_stale = Some(after);
                        reason = output.reason.map_or_else(String::new, |reason| reason.to_string());
                    }
                    let lost = running.suspects(breaker.broken());
                    let masked = output.masked_features as usize;
                    if lost.max(masked) >= breaker.broken() && first_named.is_none() {
                        first_named = Some(after);
                    }
                }
                stale.extend(first_stale);
                named.extend(first_named);
            }
            println!("{:>3} % | {name} | {} | {} | {reason}", part * 100.0, summary(stale), summary(named));
        }
    }
}

fn summary(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match values.last() {
        Some(most) => format!("{} {most} ({})", values[values.len() / 2], values.len()),
        None => "never".to_owned(),
    }
}

/// What a run without faults showed.
#[derive(Default)]
struct Alarms {
    ticks: u64,
    count: u64,
    stale_ticks: u64,
    named: u64,
    guarded: u64,
    reasons: BTreeMap<String, u64>,
}

impl Alarms {
    fn note(&mut self, running: &mut Loop, row: &[f64], was_stale: &mut bool, before: &mut FeatureSet) {
        let output = running.tick(row);
        self.ticks += 1;
        let stale = output.state == OutputState::Stale;
        self.stale_ticks += u64::from(stale);
        if stale && !*was_stale {
            self.count += 1;
            let reason = output.reason.map_or_else(String::new, |reason| format!("{:?}", reason.cause));
            *self.reasons.entry(reason).or_default() += 1;
        }
        if stale && self.ticks.is_multiple_of(500) {
            running.command(Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator });
        }
        *was_stale = stale;
        self.guarded += u64::from(output.guarded_channels);
        let suspects = running.engine.suspects();
        self.named += suspects.features().filter(|at| !before.contains(*at)).count() as u64;
        before.clone_from(suspects);
    }

    fn show(&self, name: &str, n: usize, bin: f64) -> f64 {
        let hours = self.ticks as f64 * bin / 3600.0;
        let rate = self.count as f64 / hours;
        println!(
            "{name} | {hours:.2} h | {} alarms, {rate:.2} an hour | {:.3} % of ticks stale | channels under suspicion {:.2} % | {:?}",
            self.count,
            100.0 * self.stale_ticks as f64 / self.ticks as f64,
            100.0 * self.guarded as f64 / (self.ticks as f64 * n as f64),
            self.reasons
        );
        rate
    }
}

/// Participants that live, for so many hours each.
fn hours(hours: f64, seed: u64) -> ExitCode {
    let default = || ParticipantOptions { seed, ..ParticipantOptions::default() };
    let drift = |rotation_deg_per_min, baseline_per_min| Drift {
        rotation_deg_per_min,
        baseline_per_min,
        after_calibration: false,
    };
    let cases: Vec<(&str, ParticipantOptions, f64, f64)> = vec![
        ("default", default(), 1.0, 1.0),
        ("modulation 0.3", ParticipantOptions { modulation: 0.3, ..default() }, 1.0, 1.0),
        ("modulation 0.05", ParticipantOptions { modulation: 0.05, ..default() }, 1.0, 1.0),
        ("noise 0.3", ParticipantOptions { noise: 0.3, ..default() }, 1.0, 1.0),
        ("standard drift", ParticipantOptions { drift: drift(1.0, 0.02), ..default() }, 1.0, 1.0),
        ("0.5 Hz units", default(), 1.0 / 16.0, 1.0),
        ("smoothed rates", default(), 1.0, 5.0),
        ("8 units", ParticipantOptions { units: 8, ..default() }, 1.0, 1.0),
        ("400 units", ParticipantOptions { units: 400, ..default() }, 1.0, 1.0),
        ("10 Hz bins", ParticipantOptions { bin: Seconds(0.1), ..default() }, 1.0, 1.0),
        ("100 Hz bins", ParticipantOptions { bin: Seconds(0.01), ..default() }, 1.0, 1.0),
        ("8 units, 10 Hz bins", ParticipantOptions { units: 8, bin: Seconds(0.1), ..default() }, 1.0, 1.0),
        ("8 units of 0.5 Hz", ParticipantOptions { units: 8, ..default() }, 1.0 / 16.0, 1.0),
    ];
    let mut failed = false;
    for (name, options, kept, smoothing) in cases {
        let (bin, n) = (options.bin.0, options.units);
        let mut subject = Subject::new(options);
        (subject.kept, subject.smoothing) = (kept, smoothing);
        let rows = subject.calibrate(30.0_f64.max(300.0 * bin));
        let model = model("kalman-steady", &rows, bin);
        let mut running = Loop::new(&model, bin, true, true);
        let mut row = vec![0.0; n];
        let mut alarms = Alarms::default();
        let (mut was_stale, mut before) = (false, FeatureSet::default());
        // drift is meant for half an hour: after that people calibrate anew
        let most = if name.contains("drift") { 0.5_f64.min(hours) } else { hours };
        while (alarms.ticks as f64) * bin < most * 3600.0 {
            subject.row(running.time(), running.engine.position(), &mut row);
            alarms.note(&mut running, &row, &mut was_stale, &mut before);
        }
        failed |= alarms.show(name, n, bin) > 1.0;
    }
    ExitCode::from(u8::from(failed))
}

/// Recorded features: fitted on each quarter, run over the others.
fn table(file: &str, hz: f64) -> ExitCode {
    let text = std::fs::read_to_string(file).unwrap();
    let rows: Vec<Vec<f64>> = text
        .lines()
        .map(|line| line.split(',').map(|value| value.trim().parse().unwrap()).collect())
        .collect();
    let (n, bin) = (rows[0].len(), 1.0 / hz);
    let quarter = rows.len() / 4;
    let mut alarms = Alarms::default();
    for fold in 0..4 {
        let mut training = Rows::new(n);
        for (at, row) in rows[fold * quarter..(fold + 1) * quarter].iter().enumerate() {
            training.push(row, Velocity([(at as f64 * 0.05).sin(), (at as f64 * 0.031).cos()]));
        }
        let model = model("kalman-steady", &training, bin);
        for other in (0..4).filter(|other| *other != fold) {
            let mut running = Loop::new(&model, bin, true, true);
            let (mut was_stale, mut before) = (false, FeatureSet::default());
            for row in &rows[other * quarter..(other + 1) * quarter] {
                alarms.note(&mut running, row, &mut was_stale, &mut before);
            }
        }
    }
    let rate = alarms.show(file, n, bin);
    // a single alarm in less than an hour may be chance
    ExitCode::from(u8::from(alarms.count > 1 && rate > 1.0))
}

/// Time of a step with 192 features, with and without guard and monitor.
fn cost() {
    let options = ParticipantOptions { units: 192, ..ParticipantOptions::default() };
    let mut subject = Subject::new(options);
    let rows = subject.calibrate(30.0);
    let model = model("kalman-steady", &rows, 0.02);
    for (guard, watched) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut best = f64::INFINITY;
        for _round in 0..20 {
            let mut running = Loop::new(&model, 0.02, guard, watched);
            #[expect(clippy::disallowed_methods, reason = "nothing but this program is timed by it")]
            let start = Instant::now();
            for row in rows.features.chunks_exact(192) {
                running.tick(row);
            }
            best = best.min(start.elapsed().as_secs_f64() / (rows.features.len() / 192) as f64);
        }
        println!("192 features, guard {guard}, plausibility {watched}: {:.2} us a step", best * 1e6);
    }
}
