//! One measurement: producer, relay, daemon and consumers, from start to end.
#![expect(clippy::print_stdout, reason = "a program that reports to a terminal")]

use std::{
    collections::HashMap,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    Options, RELAY,
    comparison::{Consumed, Path, read},
    model::{difference, write_model},
    processes::{Laboratory, Process, Scheduling},
};

/// Seconds at the start of a trial that the latencies leave out.
const WARM_UP: f64 = 2.0;
/// Priority of the daemon's tick thread.
const PRIORITY: u32 = 60;
/// Priority of the relay: that of the daemon's highest thread.
const RELAY_PRIORITY: u32 = PRIORITY + 1;
/// Priority of producer and consumers: below those that are measured, above everything else.
const PEER_PRIORITY: u32 = 50;

/// What a trial found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) relay: Path,
    pub(crate) kalmind: Path,
    /// Largest relative difference of the intents from the textbook's; none where a sample was lost.
    pub(crate) accuracy: Option<f64>,
    pub(crate) summary: Value,
    /// Part of a core that the daemon used while samples were sent.
    pub(crate) share: f64,
}

/// One run of all processes. `busy` programs that do nothing but run are started beside it.
pub(crate) fn trial(options: &Options, fifo: bool, busy: usize) -> anyhow::Result<Findings> {
    let laboratory = Laboratory::new()?;
    let (peers, floor) = if fifo {
        (Scheduling::FirstInFirstOut(PEER_PRIORITY), Scheduling::FirstInFirstOut(RELAY_PRIORITY))
    } else {
        (Scheduling::Normal, Scheduling::Normal)
    };
    let rows = write_model(&laboratory, options.channels, options.rate, "sample")?;
    let count = ((WARM_UP + options.seconds) * options.rate) as usize;
    let names = if options.shared { vec!["features"] } else { vec!["features", "features-relay"] };

    let mut command = laboratory.python(peers, "bench_producer.py")?;
    command.args(["--names", &names.join(","), "--rows", "rows.csv", "--rate", &options.rate.to_string()]);
    command.args(["--count", &count.to_string(), "--out", "sent.json"]);
    let mut producer = Process::start("the producer", command)?;
    producer.expect("ready", Duration::ZERO)?;

    let this = std::env::current_exe()?;
    // on the core that the daemon is kept on, so that neither has it better
    let mut command = if fifo {
        let mut command = laboratory.command(floor, std::path::Path::new("taskset"));
        command.args(["--cpu-list", &last_core().to_string()]).arg(this);
        command
    } else {
        laboratory.command(floor, &this)
    };
    command.args([RELAY, names.last().context("a name")?, "relayed"]);
    let relay = Process::start("the relay", command)?;
    relay.expect("ready", Duration::ZERO)?;

    let daemon = start_daemon(&laboratory, fifo, "binning = \"sample\"")?;

    let mut consumers = Vec::new();
    for name in ["relayed", "bench-Cursor"] {
        let mut command = laboratory.python(peers, "bench_consumer.py")?;
        command.args(["--name", name, "--out", &format!("{name}.json")]);
        let consumer = Process::start(name, command)?;
        consumer.expect("ready", Duration::ZERO)?;
        consumers.push(consumer);
    }
    let loops: Vec<Process> = (0..busy).map(|_| busy_loop()).collect::<Result<_, _>>()?;

    let before = daemon.processor_seconds()?;
    producer.say("go")?;
    producer.expect("done", Duration::from_secs_f64(count as f64 / options.rate))?;
    let share = (daemon.processor_seconds()? - before) / (count as f64 / options.rate);
    drop(loops);
    for mut consumer in consumers {
        consumer.say("end")?;
        consumer.end()?;
    }
    let summary = end_daemon(daemon)?;
    producer.end()?;
    drop(relay);

    let sent: HashMap<String, Vec<f64>> = read(&laboratory.path("sent.json"))?;
    let relayed: Consumed = read(&laboratory.path("relayed.json"))?;
    let decoded: Consumed = read(&laboratory.path("bench-Cursor.json"))?;
    let warm_up = (WARM_UP * options.rate) as usize;
    let sent_to = |name: &str| sent.get(name).with_context(|| format!("stamps of {name}"));
    let kalmind = Path::new(sent_to("features")?, &decoded, warm_up);
    let accuracy = (kalmind.lost == 0).then(|| difference(&laboratory, &rows, &decoded)).transpose()?;
    Ok(Findings {
        relay: Path::new(sent_to(names.last().context("a name")?)?, &relayed, warm_up),
        kalmind,
        accuracy,
        summary,
        share,
    })
}

/// Starts the daemon on the stream `features`, at real-time priority or not, and waits until it is connected.
pub(crate) fn start_daemon(laboratory: &Laboratory, fifo: bool, stream: &str) -> anyhow::Result<Process> {
    let realtime = if fifo {
        format!(
            "priority = \"try\"\npriority_level = {PRIORITY}\nlock_memory = \"try\"\npin = \"try\"\ncore = {}\n",
            last_core()
        )
    } else {
        String::new()
    };
    let configuration = format!(
        "start = \"control\"\nbins.measure_arrival_s = 0\n[instance]\nname = \"bench\"\n[decoder]\nmodel = \"model.kalmind\"\n\
         [server]\nbind = \"127.0.0.1:0\"\n[[stream]]\nname = \"features\"\n{stream}\n[realtime]\n{realtime}"
    );
    std::fs::write(laboratory.path("kalmind.toml"), configuration)?;
    // the daemon puts its own threads under the priorities that its configuration names
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_kalmind"));
    let mut command = laboratory.command(Scheduling::Normal, program);
    command.args(["run", "--config", "kalmind.toml", "--json"]);
    let daemon = Process::start("kalmind", command)?;
    for line in daemon.expect("page: http://", Duration::ZERO)? {
        if line.contains("granted") || line.contains("refused") {
            println!("kalmind: {}", line.trim());
        }
    }
    Ok(daemon)
}

/// Ends the daemon and gives the summary that it prints.
pub(crate) fn end_daemon(daemon: Process) -> anyhow::Result<Value> {
    daemon.signal("-TERM")?;
    let lines = daemon.end()?;
    let summary = lines.iter().rev().find(|line| line.starts_with('{')).context("kalmind's summary")?;
    Ok(serde_json::from_str(summary)?)
}

/// The core that relay and daemon are kept on in the trial at real-time priority.
fn last_core() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1)
}

/// A program that keeps one core busy.
fn busy_loop() -> anyhow::Result<Process> {
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
    Process::start("a busy loop", command)
}
