//! Raw samples at 30 kHz into the running daemon: what part of a core does it need, and does it keep up?

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    model::write_model,
    processes::{Laboratory, Process, Scheduling},
    speed_table::Row,
    trial::{end_daemon, start_daemon},
};

const RATE: f64 = 30_000.0;
/// Samples that the producer sends together.
const CHUNK: usize = 32;
const SECONDS: f64 = 10.0;
const BINS_PER_SECOND: f64 = 50.0;

/// `channels` channels, summed in bins of 20 ms and decoded by `kalman-steady`, from network to LSL outlet.
pub(crate) fn trial(channels: usize) -> anyhow::Result<Row> {
    let laboratory = Laboratory::new()?;
    write_model(&laboratory, channels, BINS_PER_SECOND, "sum")?;
    let count = (SECONDS * RATE) as usize / CHUNK * CHUNK;
    let mut command = laboratory.python(Scheduling::Normal, "bench_producer.py")?;
    command.args(["--names", "features", "--rows", "rows.csv", "--rate", &RATE.to_string()]);
    command.args(["--count", &count.to_string(), "--chunk", &CHUNK.to_string(), "--out", "sent.json"]);
    let mut producer = Process::start("the producer", command)?;
    producer.expect("ready", Duration::ZERO)?;
    let daemon = start_daemon(&laboratory, false, "binning = \"sum\"")?;
    let before = daemon.processor_seconds()?;
    producer.say("go")?;
    producer.expect("done", Duration::from_secs_f64(SECONDS))?;
    let used = daemon.processor_seconds()? - before;
    let summary = end_daemon(daemon)?;
    producer.end()?;
    let (tick, stream) = (&summary["tick"], &summary["streams"][0]);
    // the bins after the last sample are incomplete and say nothing
    let complete = tick["ticks"].as_u64().context("ticks")? - tick["incomplete"].as_u64().context("ticks")?;
    Ok(Row {
        what: format!("{channels} channels at 30 kHz, sum, kalman-steady: processor time of kalmind"),
        measured: format!("{:.1} % of a core", used / SECONDS * 100.0),
        goal: if channels == 96 { String::from("25 %") } else { String::from("sustained") },
        accuracy: format!(
            "{} of {count} samples received, {} missing, {} dropped, {} late; {complete} bins complete of {}",
            stream["received"],
            stream["missing"],
            stream["dropped"],
            stream["late"],
            (SECONDS * BINS_PER_SECOND) as u64,
        ),
    })
}
