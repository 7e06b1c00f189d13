//! How often the test against chance passes where there is nothing to decode, and how soon where there is.
//!
//! `cargo bench -p kalmind-session --bench chance [-- RUNS]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its table, and stops where it cannot be made"
)]

#[path = "../tests/calibrations/mod.rs"]
mod calibrations;

use calibrations::{Source, tested};

const SECONDS: f64 = 180.0;

fn main() {
    let runs: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(300);
    for source in [
        Source::WhiteNoise,
        Source::SlowNoise,
        Source::OtherTargets(0.5),
        Source::OtherTargetsSameCursor(0.5),
    ] {
        let passed: Vec<_> =
            (0..runs).filter(|&seed| tested(source, 1000 + seed, SECONDS, 96).0.is_some()).collect();
        println!("{source:?}: {} of {runs} {passed:?}", passed.len());
    }
    for modulation in [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5] {
        let mut times: Vec<f64> = (0..runs.min(50))
            .map(|seed| tested(Source::Participant(modulation), seed, SECONDS, 96).0.unwrap_or(f64::INFINITY))
            .collect();
        times.sort_by(f64::total_cmp);
        let within = |limit: f64| times.iter().filter(|time| **time <= limit).count();
        println!(
            "{modulation}: of {}: {:?}; median {}",
            times.len(),
            [15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0].map(within),
            times[times.len() / 2]
        );
    }
}
