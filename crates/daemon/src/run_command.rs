//! `kalmind run`: the daemon.

use std::{io::Write as _, time::Duration};

use kalmind_filter::DecoderSpec;
use kalmind_types::{Actor, Seconds};

use crate::{
    cli::RunArguments,
    commands::say,
    configuration::Configuration,
    daemon::{Daemon, RunOptions},
    failure::{OrFail as _, Outcome},
    network::NetworkInForce,
    plan::{self, Plan},
    signals::EndSignals,
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 for a configuration or model that does not fit, 3 for streams, 1 for everything else.
pub fn run(arguments: &RunArguments, configuration: Configuration, network: &NetworkInForce) -> Outcome<()> {
    let signals = EndSignals::install().or_work()?;
    if configuration.stream.is_empty() {
        let file = arguments.config.display();
        return Err(anyhow::anyhow!(
            "{file}: no [[stream]] is configured, so there is nothing to decode from"
        ))
        .or_usage();
    }
    let decoder = configuration.task.decoder.clone();
    let calibrate: DecoderSpec = decoder.parse().or_usage()?;
    say(&format!("kalmind {}; LSL: {}; looking for the streams", env!("CARGO_PKG_VERSION"), network.text));
    let wait = Seconds(arguments.wait);
    let Some(plan) = signals.or_signal(move || plan::plan(configuration, wait)).or_work()? else {
        say("ended while it waited for the streams");
        return Ok(());
    };
    let plan = plan?;
    let banner = banner(&plan);
    let daemon = Daemon::start(
        &plan,
        network,
        RunOptions { program: None, calibrate: Some(calibrate), record: arguments.record.clone() },
    )?;
    say(&banner);
    say(&started(&daemon));
    while daemon.is_whole() {
        if signals.wait(Duration::from_millis(500)) {
            break;
        }
    }
    let died = !daemon.is_whole();
    let summary = daemon.shut_down(Actor::Signal);
    if arguments.json {
        writeln!(std::io::stdout().lock(), "{}", summary.json()).or_work()?;
    } else {
        say(&summary.text());
    }
    summary.write_page();
    if died {
        return Err(anyhow::anyhow!("a thread ended by itself; the log says why")).or_work();
    }
    summary.require_recording()
}

/// Which streams, which model.
fn banner(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan
        .streams
        .iter()
        .map(|stream| {
            let description = &stream.inlet.description;
            format!(
                "  stream {}: \"{}\" ({}), {} channels at {} Hz from {}{}",
                stream.inlet.key,
                description.name,
                description.content_type,
                description.channels,
                description.nominal_rate_hz,
                description.hostname,
                if description.labels.is_some() {
                    ""
                } else {
                    "; no labels, so channels are compared by number alone"
                }
            )
        })
        .collect();
    lines.push(match &plan.model {
        Some(model) => format!("  model: {} {}", model.model.decoder, model.id.to_hex()),
        None => "  model: none; intent stays empty until one is fitted".to_owned(),
    });
    lines.push(format!("  bins of {} ms; kernels: {}", plan.bin_ms, kalmind_filter::kernel_path()));
    lines.join("\n")
}

/// What came of the start.
fn started(daemon: &Daemon) -> String {
    let mut lines: Vec<String> = daemon.realtime().iter().map(|outcome| format!("  {outcome}")).collect();
    if let Some(recording) = daemon.recording() {
        lines.push(format!("  recording: {}", recording.file().display()));
    }
    lines.push(format!("  page: {}", daemon.page()));
    lines.push("running; Ctrl-C ends it".to_owned());
    lines.join("\n")
}
