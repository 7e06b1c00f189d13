//! How often the test against chance passes where there is nothing to decode, and how soon where there is.
//!
//!     cargo bench -p kalmind-session --bench chance -- [RUNS [SECONDS]]
#![expect(clippy::unwrap_used, reason = "a bench that cannot build its subject has failed")]

#[path = "../tests/calibrations/mod.rs"]
mod calibrations;

use calibrations::{Source, tested};

/// Features of the noise, units of the participant.
const WIDTH: usize = 96;
const NULLS: [Source; 3] = [Source::WhiteNoise, Source::SlowNoise, Source::OtherTargets(0.5)];
const MODULATIONS: [f64; 6] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
const SECONDS_SHOWN: [f64; 7] = [15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 180.0];

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let runs = numbers.first().copied().unwrap_or(300);
    let seconds = numbers.get(1).copied().unwrap_or(180) as f64;
    let first = numbers.get(2).copied().unwrap_or(0);
    println!("{runs} calibrations each of {seconds} s, looked at after every fit, {WIDTH} features");
    println!("\nnothing to decode: how many passed");
    for source in NULLS {
        let passed = (first..first + runs)
            .filter(|&seed| tested(source, 1000 + seed, seconds, WIDTH).0.is_some())
            .count();
        println!("  {:<22} {passed}", format!("{source:?}"));
    }
    println!("\nthe participant: share that passed within so many seconds, by modulation");
    print!("  modulation");
    SECONDS_SHOWN.iter().for_each(|limit| print!("{limit:>6}"));
    println!("  median, s");
    for modulation in MODULATIONS {
        let source = Source::Participant(modulation);
        let mut times: Vec<f64> = (first..first + runs)
            .map(|seed| tested(source, 1 + seed, seconds, WIDTH).0.unwrap_or(f64::INFINITY))
            .collect();
        times.sort_by(f64::total_cmp);
        print!("  {modulation:>10}");
        for limit in SECONDS_SHOWN {
            print!("{:>6.2}", times.iter().filter(|time| **time <= limit).count() as f64 / runs as f64);
        }
        println!("  {:>9}", times[times.len() / 2]);
    }
}
