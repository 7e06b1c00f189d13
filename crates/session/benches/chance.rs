//! How often the test against chance passes where there is nothing to decode, and how soon where there is.
//!
//! `cargo bench -p kalmind-session --bench chance -- [nulls] [power] [RUNS]` prints the tables, or one of them; 300 runs of
//! both take about five minutes of one core.
#![expect(clippy::unwrap_used, reason = "a bench that cannot build its subject has failed")]
#![expect(clippy::print_stdout, reason = "it prints its tables")]

#[path = "../tests/calibrations/mod.rs"]
mod calibrations;

use calibrations::{Source, tested};
use kalmind_session::CHANCE_LEVEL;

const SECONDS: f64 = 180.0;
/// Features of the noise, units of the participant.
const WIDTH: usize = 96;
const NULLS: [Source; 3] = [Source::WhiteNoise, Source::SlowNoise, Source::OtherTargets(0.5)];
const MODULATIONS: [f64; 6] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
const SHOWN: [f64; 7] = [15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 180.0];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runs: u64 = words.iter().find_map(|word| word.parse().ok()).unwrap_or(300);
    let wanted = |table: &str| {
        words.iter().all(|word| word != "nulls" && word != "power") || words.iter().any(|word| word == table)
    };
    println!(
        "{runs} calibrations each of {SECONDS} s, looked at after every fit, {WIDTH} features, level {CHANCE_LEVEL}"
    );
    if wanted("nulls") {
        nulls(runs);
    }
    if wanted("power") {
        power(runs);
    }
}

/// Where there is nothing to decode: how many passed.
fn nulls(runs: u64) {
    println!("\nnothing to decode        passed");
    for source in NULLS {
        let passed =
            (0..runs).filter(|&seed| tested(source, 1000 + seed, SECONDS, WIDTH).0.is_some()).count();
        println!("  {:<22} {passed:>6}", format!("{source:?}"));
    }
}

/// The participant: the share that passed within so many seconds.
fn power(runs: u64) {
    print!("\nmodulation  passed within");
    for limit in SHOWN {
        print!("{limit:>5.0} s");
    }
    println!("  median, s");
    for modulation in MODULATIONS {
        let source = Source::Participant(modulation);
        let mut times: Vec<f64> =
            (1..=runs).map(|seed| tested(source, seed, SECONDS, WIDTH).0.unwrap_or(f64::INFINITY)).collect();
        times.sort_by(f64::total_cmp);
        print!("  {modulation:<23}");
        for limit in SHOWN {
            print!("{:>7.2}", times.iter().filter(|time| **time <= limit).count() as f64 / runs as f64);
        }
        println!("  {:>9.0}", times[times.len() / 2]);
    }
}
