//! From the push of a sample by one process to the pull of what was decoded from it by another, both in Python, through
//! `kalmind run` and, in the same run, through a bare relay (`relay.rs`, this program in a process of its own): the floor.
//!
//! `cargo bench --bench lsl_to_lsl -- [--seconds N] [--rate HZ] [--channels N] [--runs N] [--shared]
//! [--only default|realtime|busy|raw]`
//!
//! Two outlets of one producer take turns, one read by the relay and the other by the daemon, so that whatever loads the
//! machine hits both alike and neither waits for the other. With `--shared` both read the same outlet and handle every
//! sample at the same moment, side by side. Trials: several runs at default settings, of which medians are given; one at
//! real-time priority; one at normal priority while every core is kept busy by another program; and one of raw samples at
//! 30 kHz, which measures the daemon's processor time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to a terminal")]

mod comparison;
mod model;
mod processes;
mod raw;
mod relay;
#[path = "../speed_table/mod.rs"]
mod speed_table;
#[path = "../textbook/kalman.rs"]
mod textbook;
mod trial;

use std::process::Command;

use anyhow::{Context as _, bail};

use speed_table::Row;
use trial::{Findings, trial};

/// The first argument of the process that is the relay; the names of the streams it reads and makes follow.
pub(crate) const RELAY: &str = "relay";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    seconds: f64,
    rate: f64,
    channels: usize,
    only: Option<String>,
    runs: usize,
    shared: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, RELAY, input, output] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        relay::relay(input, output);
        return Ok(());
    }
    let options = options()?;
    let mut rows = Vec::new();
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    if wanted("default") {
        let runs: Vec<_> = (0..options.runs).map(|_| trial(&options, false, 0)).collect::<Result<_, _>>()?;
        rows.extend(medians(&runs));
    }
    if wanted("realtime") {
        let granted =
            Command::new("chrt").args(["--fifo", "60", "true"]).status().is_ok_and(|status| status.success());
        if !granted {
            eprintln!("SCHED_FIFO is not permitted here: the first trial runs at normal priority");
        }
        let what = if granted { "real-time priority" } else { "normal priority (real-time refused)" };
        rows.extend(trial(&options, granted, 0)?.rows(what, true));
    }
    if wanted("busy") {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        rows.extend(trial(&options, false, cores)?.rows("normal priority, busy cores", false));
    }
    if wanted("raw") {
        for channels in [96, 256] {
            rows.push(raw::trial(channels)?);
        }
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
    let mut options =
        Options { seconds: 30.0, rate: 50.0, channels: 192, only: None, runs: 5, shared: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--seconds" => options.seconds = value()?.parse()?,
            "--rate" => options.rate = value()?.parse()?,
            "--channels" => options.channels = value()?.parse()?,
            "--runs" => options.runs = value()?.parse()?,
            "--only" => options.only = Some(value()?),
            "--shared" => options.shared = true,
            // cargo's own
            "--bench" => {}
            other => bail!("{other}: unknown option"),
        }
    }
    Ok(options)
}

/// What runs at default settings have in common: medians over the runs of what was added to the relay.
fn medians(runs: &[Findings]) -> Vec<Row> {
    let spread = |of: &dyn Fn(&Findings) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
    };
    let mut rows = Vec::new();
    let mut row = |what: &str, unit: &str, goal: &str, of: &dyn Fn(&Findings) -> f64| {
        let (median, least, most) = spread(of);
        rows.push(Row {
            what: format!("default settings, median of {}: {what}", runs.len()),
            measured: format!("{median:.3} {unit}"),
            goal: goal.to_owned(),
            accuracy: format!("{least:.3} to {most:.3}"),
        });
    };
    for (quantile, part, goal) in [("p50", 0.5, "0.10 ms"), ("p99", 0.99, "0.25 ms")] {
        row(&format!("relay, {quantile}"), "ms", "", &|run| run.relay.quantile(part));
        row(&format!("kalmind more than relay, {quantile}"), "ms", goal, &|run| {
            run.kalmind.quantile(part) - run.relay.quantile(part)
        });
    }
    row("processor time of kalmind", "% of a core", "", &|run| run.share * 100.0);
    row("samples lost by kalmind", "", "0", &|run| run.kalmind.lost as f64);
    row("largest difference of an intent from the textbook's", "", "", &|run| {
        run.accuracy.unwrap_or(f64::NAN)
    });
    rows
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
            ("incomplete ticks (a sample sent late)", tick["incomplete"].to_string()),
            ("bins closed without their samples", tick["deadlines"].to_string()),
            ("late ticks", tick["late"].to_string()),
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
