//! Prints what a disturbance of one channel costs each decoder, without and with the guard: the robustness protocol of
//! Brandman, Burkhart et al. (2018) on the simulated participant and, where `KALMIND_DATA` names the data folder, on the
//! real recording.
//!
//! `cargo run --release -p kalmind-filter --example robustness [DECODER..]`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a table on standard output is the purpose")]

#[path = "../tests/robustness/participant.rs"]
mod participant;
#[path = "../tests/robustness/protocol.rs"]
mod protocol;
#[path = "../tests/robustness/recording.rs"]
mod recording;

use kalmind_filter::DecoderName;
use protocol::{Disturbance, Recording};

const DISTURBANCES: [(&str, Disturbance); 7] = [
    ("+5 sd", Disturbance::Offset(5.0)),
    ("-5 sd", Disturbance::Offset(-5.0)),
    ("+2 sd", Disturbance::Offset(2.0)),
    ("+50 sd", Disturbance::Offset(50.0)),
    ("dead", Disturbance::Dead),
    ("burst", Disturbance::Burst(5.0)),
    ("passing", Disturbance::Passing(5.0)),
];

fn main() {
    let mut decoders: Vec<String> = std::env::args().skip(1).collect();
    if decoders.is_empty() {
        decoders = DecoderName::ALL.iter().map(ToString::to_string).collect();
    }
    let simulated = participant::participant(7500, 96, 1);
    table("simulated participant, 96 units", &Recording::split(&simulated, 4500, 20.0), &decoders);
    if let Some(data) = recording::recording() {
        // the last 1000 training rows stand for the test while anything is being chosen
        let choosing = std::env::var_os("CHOOSING").is_some();
        let data = if choosing { recording::first_rows(&data, 5000) } else { data };
        let train = if choosing { 4000 } else { 5000 };
        table("real recording (Flint et al. 2012)", &Recording::split(&data, train, 100.0), &decoders);
    }
}

fn table(title: &str, recording: &Recording, decoders: &[String]) {
    println!("\n{title}\n{:34} {:>7} {:>8}", "decoder", "MAAE", "guarded");
    for text in decoders {
        let model = recording.fitted(text);
        let unguarded_clean =
            recording.angle(&mut *model.decoder_with_guard(false).unwrap(), &recording.test.features).0;
        for guard in [false, true] {
            let mut decoder = model.decoder_with_guard(guard).unwrap();
            let (clean, guarded) = recording.angle(&mut *decoder, &recording.test.features);
            let share = 100.0 * guarded as f64 / recording.test.features.len() as f64;
            let name = format!("{text}{}", if guard { " + guard" } else { "" });
            print!("{name:34} {clean:7.4} {share:7.2}%  ({:+.1}%)", 100.0 * (clean / unguarded_clean - 1.0));
            for (name, disturbance) in DISTURBANCES {
                let losses = recording.losses(&mut *decoder, disturbance);
                print!(
                    " | {name} {:+.1} {:+.1} {:+.1}",
                    100.0 * losses.mean,
                    100.0 * losses.best_channel,
                    100.0 * losses.worst
                );
            }
            println!();
        }
    }
}
