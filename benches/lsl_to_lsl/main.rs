//! From the push of a sample by one process to the pull of what was decoded from it by another, both in Python, through
//! `kalmind run` and, in the same run, through a bare relay (`crates/acquisition/examples/relay.rs`): the floor.
//!
//! `cargo bench --bench lsl_to_lsl -- [--seconds N] [--rate HZ] [--channels N] [--only realtime|busy] [--shared]`
//!
//! Two outlets of one producer take turns, one read by the relay and the other by the daemon, so that whatever loads the
//! machine hits both alike and neither waits for the other. With `--shared` both read the same outlet and handle every
//! sample at the same moment, side by side. Two trials: at real-time priority, and at normal priority while every core is
//! kept busy by another program.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to a terminal")]

mod comparison;
mod processes;
#[path = "../speed_table/mod.rs"]
mod speed_table;
#[path = "../textbook/kalman.rs"]
mod textbook;

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use kalmind_filter::Parameters;
use serde_json::Value;

use comparison::{Arrivals, Path, read};
use processes::{Laboratory, Process, Scheduling};
use speed_table::Row;
use textbook::TextbookKalman;

/// Rows that the model is fitted on, and that are pushed over and over.
const ROWS: usize = 2000;
/// Seconds at the start of a trial that the latencies leave out.
const WARM_UP: f64 = 2.0;
/// Priority of the relay and of the daemon's tick thread. Its other threads are one below.
const PRIORITY: u32 = 60;
/// Priority of producer and consumers: below those that are measured, above everything else.
const PEER_PRIORITY: u32 = 50;

#[derive(Clone, Debug)]
struct Options {
    seconds: f64,
    rate: f64,
    channels: usize,
    only: Option<String>,
    shared: bool,
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    let relay = build_relay()?;
    let mut rows = Vec::new();
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    if wanted("realtime") {
        let granted =
            Command::new("chrt").args(["--fifo", "60", "true"]).status().is_ok_and(|status| status.success());
        if !granted {
            eprintln!("SCHED_FIFO is not permitted here: the first trial runs at normal priority");
        }
        let what = if granted { "real-time priority" } else { "normal priority (real-time refused)" };
        rows.extend(trial(&options, &relay, granted, 0)?.rows(what, true));
    }
    if wanted("busy") {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        rows.extend(trial(&options, &relay, false, cores)?.rows("normal priority, busy cores", false));
    }
    let pushed = if options.shared { "one outlet, both at once" } else { "two outlets in turn" };
    let title = format!(
        "LSL to LSL: {} features at {} Hz, {} s a trial, {pushed}",
        options.channels, options.rate, options.seconds
    );
    speed_table::print(&title, &rows);
    Ok(())
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options { seconds: 30.0, rate: 50.0, channels: 192, only: None, shared: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--seconds" => options.seconds = value()?.parse()?,
            "--rate" => options.rate = value()?.parse()?,
            "--channels" => options.channels = value()?.parse()?,
            "--only" => options.only = Some(value()?),
            "--shared" => options.shared = true,
            // cargo's own
            "--bench" => {}
            other => bail!("{other}: unknown option"),
        }
    }
    Ok(options)
}

/// Builds the relay beside the daemon under test, and says where it is.
fn build_relay() -> anyhow::Result<PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_kalmind")).parent().context("a folder")?;
    let target = folder.parent().context("a target folder")?;
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--locked",
            "--release",
            "--quiet",
            "-p",
            "kalmind-acquisition",
            "--example",
            "relay",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        bail!("the relay could not be built");
    }
    Ok(target.join("release/examples/relay"))
}

/// What a trial found.
struct Findings {
    relay: Path,
    kalmind: Path,
    /// Largest relative difference of the intents from the textbook's; none where a sample was lost.
    accuracy: Option<f64>,
    summary: Value,
}

/// One run of all processes. `busy` programs that do nothing but run are started beside it.
fn trial(options: &Options, relay: &std::path::Path, fifo: bool, busy: usize) -> anyhow::Result<Findings> {
    let laboratory = Laboratory::new()?;
    let (peers, floor) = if fifo {
        (Scheduling::FirstInFirstOut(PEER_PRIORITY), Scheduling::FirstInFirstOut(PRIORITY))
    } else {
        (Scheduling::Normal, Scheduling::Normal)
    };
    let rows = write_model(&laboratory, options.channels, options.rate)?;
    let count = ((WARM_UP + options.seconds) * options.rate) as usize;
    let names = if options.shared { vec!["features"] } else { vec!["features", "features-relay"] };

    let mut command = laboratory.python(peers, "bench_producer.py")?;
    command.args(["--names", &names.join(","), "--rows", "rows.csv", "--rate", &options.rate.to_string()]);
    command.args(["--count", &count.to_string(), "--out", "sent.json"]);
    let mut producer = Process::start("the producer", command)?;
    producer.expect("ready", Duration::ZERO)?;

    let mut command = laboratory.command(floor, relay);
    command.arg(names.last().context("a name")?).arg("relayed");
    let relay = Process::start("the relay", command)?;
    relay.expect("ready", Duration::ZERO)?;

    std::fs::write(laboratory.path("kalmind.toml"), configuration(fifo))?;
    // the daemon puts its own threads under the priorities that its configuration names
    let mut command =
        laboratory.command(Scheduling::Normal, std::path::Path::new(env!("CARGO_BIN_EXE_kalmind")));
    command.args(["run", "--config", "kalmind.toml", "--json"]);
    let daemon = Process::start("kalmind", command)?;
    for line in daemon.expect("page: http://", Duration::ZERO)? {
        if line.contains("priority") || line.contains("memory") || line.contains("core ") {
            println!("kalmind: {}", line.trim());
        }
    }

    let mut consumers = Vec::new();
    for name in ["relayed", "bench-Cursor"] {
        let mut command = laboratory.python(peers, "bench_consumer.py")?;
        command.args(["--name", name, "--out", &format!("{name}.json")]);
        let consumer = Process::start(name, command)?;
        consumer.expect("ready", Duration::ZERO)?;
        consumers.push(consumer);
    }
    let loops: Vec<Process> = (0..busy).map(|_| busy_loop()).collect::<Result<_, _>>()?;

    producer.say("go")?;
    producer.expect("done", Duration::from_secs_f64(count as f64 / options.rate))?;
    drop(loops);
    for mut consumer in consumers {
        consumer.say("end")?;
        consumer.end()?;
    }
    daemon.signal("-TERM")?;
    let lines = daemon.end()?;
    let summary = lines.iter().rev().find(|line| line.starts_with('{')).context("kalmind's summary")?;
    producer.end()?;
    drop(relay);

    let sent: HashMap<String, Vec<f64>> = read(&laboratory.path("sent.json"))?;
    let relayed: Arrivals = read(&laboratory.path("relayed.json"))?;
    let decoded: Arrivals = read(&laboratory.path("bench-Cursor.json"))?;
    let warm_up = (WARM_UP * options.rate) as usize;
    let sent_to = |name: &str| sent.get(name).with_context(|| format!("stamps of {name}"));
    let kalmind = Path::new(sent_to("features")?, &decoded, warm_up);
    let accuracy = (kalmind.lost == 0).then(|| difference(&laboratory, &rows, &decoded)).transpose()?;
    Ok(Findings {
        relay: Path::new(sent_to(names.last().context("a name")?)?, &relayed, warm_up),
        kalmind,
        accuracy,
        summary: serde_json::from_str(summary)?,
    })
}

fn configuration(fifo: bool) -> String {
    let wish = if fifo { "try" } else { "off" };
    format!(
        "start = \"control\"\n[instance]\nname = \"bench\"\n[decoder]\nmodel = \"model.kalmind\"\n\
         [server]\nbind = \"127.0.0.1:0\"\n[[stream]]\nname = \"features\"\nbinning = \"sample\"\n\
         [realtime]\npriority = \"{wish}\"\npriority_level = {PRIORITY}\nlock_memory = \"{wish}\"\n"
    )
}

/// A program that keeps one core busy.
fn busy_loop() -> anyhow::Result<Process> {
    let mut command = Command::new("sh");
    command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
    Process::start("a busy loop", command)
}

/// Fits `kalman-steady` with two components to generated rows. Gives the rows as they are pushed, in 32 bits.
fn write_model(laboratory: &Laboratory, channels: usize, rate: f64) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut state = 1_u64;
    let mut noise = || {
        // a sum of uniform numbers from a 64-bit congruential generator: near enough to a Gaussian
        (0..6)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
            })
            .sum::<f64>()
    };
    let (mut features, mut states) = (String::new(), String::new());
    let mut velocity = [0.0_f64; 2];
    let mut rows = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        velocity = velocity.map(|value| 0.95 * value + 0.3 * noise());
        let [x, y] = velocity;
        let row: Vec<f64> = (0..channels)
            .map(|channel| {
                let angle = channel as f64 * 0.6;
                f64::from((x * angle.cos() + y * angle.sin() + 2.0 * noise()) as f32)
            })
            .collect();
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        writeln!(features, "{}", cells.join(","))?;
        writeln!(states, "{x},{y}")?;
        rows.push(row);
    }
    std::fs::write(laboratory.path("rows.csv"), features)?;
    std::fs::write(laboratory.path("states.csv"), states)?;
    let output = laboratory
        .command(Scheduling::Normal, std::path::Path::new(env!("CARGO_BIN_EXE_kalmind")))
        .args(["fit", "--features", "rows.csv", "--states", "states.csv", "--rate", &rate.to_string()])
        .args(["--decoder", "kalman-steady", "-o", "model.kalmind"])
        .output()?;
    if !output.status.success() {
        bail!("the fit failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(rows)
}

/// How far the intents that came out are from the textbook's: the largest difference of a mean, over the largest mean.
fn difference(laboratory: &Laboratory, rows: &[Vec<f64>], decoded: &Arrivals) -> anyhow::Result<f64> {
    let (model, _) = kalmind_recording::read_model(&laboratory.path("model.kalmind"))?;
    let Parameters::KalmanSteady(kalman) = &model.parameters else { bail!("not the model that was fitted") };
    let mut textbook = TextbookKalman::new(kalman, true).context("matrices with an inverse")?;
    let labels = decoded.labels.as_ref().context("labels")?;
    let first = labels.iter().position(|label| label.as_deref() == Some("intent_vx")).context("an intent")?;
    let (mut most, mut scale) = (0.0_f64, 0.0_f64);
    for (sample, row) in decoded.samples.iter().zip(rows.iter().cycle()) {
        textbook.step(row).context("matrices with an inverse")?;
        for (found, expected) in sample[first..].iter().zip(textbook.mean.iter()) {
            most = most.max((found - expected).abs());
            scale = scale.max(expected.abs());
        }
    }
    Ok(most / scale)
}

impl Findings {
    fn rows(&self, conditions: &str, goals: bool) -> Vec<Row> {
        let mut rows = Vec::new();
        let ms = |value: f64| format!("{value:.3} ms");
        let goal = |text: &str| if goals { text.to_owned() } else { String::new() };
        for (name, path) in [("relay", &self.relay), ("kalmind", &self.kalmind)] {
            let accuracy = match (name, self.accuracy) {
                ("relay", _) => String::new(),
                (_, Some(difference)) => format!("intent within {difference:.1e} of the textbook"),
                (_, None) => String::from("samples were lost: not compared"),
            };
            for (quantile, value) in
                [("p50", path.quantile(0.5)), ("p99", path.quantile(0.99)), ("max", path.max())]
            {
                let accuracy = if quantile == "p50" { accuracy.clone() } else { String::new() };
                rows.push(Row {
                    what: format!("{conditions}: {name} {quantile}"),
                    measured: ms(value),
                    goal: String::new(),
                    accuracy,
                });
            }
        }
        for (quantile, part, most) in [("p50", 0.5, "0.10 ms"), ("p99", 0.99, "0.20 ms")] {
            rows.push(Row {
                what: format!("{conditions}: kalmind more than relay, {quantile}"),
                measured: ms(self.kalmind.quantile(part) - self.relay.quantile(part)),
                goal: goal(most),
                accuracy: String::new(),
            });
        }
        let tick = &self.summary["tick"];
        for (what, value) in [
            ("samples lost by the relay", self.relay.lost.to_string()),
            ("samples lost by kalmind", self.kalmind.lost.to_string()),
            ("incomplete ticks", tick["incomplete"].to_string()),
            ("late ticks", tick["late_ticks"].to_string()),
        ] {
            rows.push(Row {
                what: format!("{conditions}: {what}"),
                measured: value,
                goal: if what == "samples lost by kalmind" { String::from("0") } else { String::new() },
                accuracy: String::new(),
            });
        }
        if let Some(stages) = self.summary["latency_us"].as_object() {
            for (stage, figures) in stages {
                println!(
                    "{conditions}: kalmind's ledger, {stage:<10} p50 {} p99 {} max {} us",
                    figures["p50"], figures["p99"], figures["max"]
                );
            }
        }
        rows
    }
}
