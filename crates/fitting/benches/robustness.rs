//! Prints what a disturbance of one channel costs each decoder, without and with the guard: the robustness protocol of
//! Brandman, Burkhart et al. (2018) on the simulated participant and, where `KALMIND_DATA` names the data folder, on the
//! real recording.
//!
//! Columns: mean over the ten channels of highest signal-to-noise ratio, the first of them, the worst of them, in percent of
//! the error without disturbance. `cargo bench -p kalmind-fitting --bench robustness -- [--within-training] [DECODER..]`:
//! with the flag the last 1000 training rows of the recording stand for its test rows, for choosing anything by it.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a table on standard output is the purpose")]

#[path = "../tests/robustness/participant.rs"]
#[expect(dead_code, reason = "the tests ask for more")]
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
    let (flags, mut decoders): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    if decoders.is_empty() {
        decoders = DecoderName::ALL.iter().map(ToString::to_string).collect();
    }
    let simulated = participant::participant(7500, 96, 1);
    table("simulated participant, 96 units", &Recording::split(&simulated, 4500, 20.0), &decoders);
    if let Some(data) = recording::recording() {
        let within_training = flags.iter().any(|flag| flag == "--within-training");
        let (data, train) =
            if within_training { (recording::first_rows(&data, 5000), 4000) } else { (data, 5000) };
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
