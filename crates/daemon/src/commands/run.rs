//! `kalmind run`: the daemon.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use kalmind_types::{Actor, Seconds};

use crate::{
    commands::{
        beginning::{Found, load, look_for_streams, rendered},
        command::Command,
        result::print_result,
        values::seconds,
    },
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    log::{self, say},
    models::saved::SavedModels,
    process::{
        lsl_network::{self, NetworkInForce},
        termination::EndSignals,
    },
    running::daemon::{Daemon, RunOptions},
    starting::{finding, plan::Plan, resuming::Resuming},
};

/// Run the daemon: decode the configured streams and publish the cursor.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind run --config config/features.toml --record session.xdf --wait 10")]
pub struct RunArguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Record to this file, which must not exist yet [default: a file in the configuration's `[record] folder`, if any].
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Start with the newest saved model of the participant that fits, whatever `[decoder] model` names.
    #[arg(long)]
    pub resume: bool,
    /// Seconds to wait for the configured streams before giving up.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds, allow_negative_numbers = true)]
    pub wait: f64,
    /// Print the summary at the end as one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for RunArguments {
    fn run(&self) -> Outcome<()> {
        let configuration = load(&self.config)?;
        let in_force = lsl_network::apply(&configuration.lsl)?;
        log::start_for_lsl(&configuration.log);
        run(self, configuration, &in_force)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for a configuration or model that does not fit, 3 for streams, 1 for everything else.
fn run(arguments: &RunArguments, configuration: Configuration, network: &NetworkInForce) -> Outcome<()> {
    let signals = EndSignals::install().or_work()?;
    let calibrate = configuration.task.decoder;
    say(&format!("kalmind {}; LSL: {}; looking for the streams", env!("CARGO_PKG_VERSION"), network.text));
    let (record, wait) = (arguments.record.as_deref(), Seconds(arguments.wait));
    let Some(found) = look_for_streams(configuration, arguments.resume, record, wait, &signals, say)? else {
        return Ok(());
    };
    let Found { plan, streams: found, outlets } = found;
    let banner = banner(&plan, &found);
    let save = SavedModels::of(&plan.configuration).filter(|_| plan.configuration.models.save);
    let daemon = Daemon::start(
        &plan,
        outlets,
        network,
        RunOptions {
            presets: rendered(plan.configuration.presets())?,
            calibrate: Some(calibrate),
            record: arguments.record.clone(),
            save,
            ..RunOptions::default()
        },
    )?;
    say(&banner);
    say(&started(&daemon));
    let mut told = daemon.input();
    while daemon.is_whole() {
        if signals.wait(Duration::from_millis(500)) {
            break;
        }
        let input = daemon.input();
        if input != told {
            say(&format!("  input: {}", input.text));
            told = input;
        }
    }
    let died = !daemon.is_whole();
    let summary = daemon.shut_down(Actor::Signal);
    if !arguments.json {
        say(&summary.text());
    }
    summary.write_page();
    if arguments.json {
        print_result(summary.json().to_string())?;
    }
    if died {
        return Err(anyhow::anyhow!("a thread ended unexpectedly; see the log")).or_work();
    }
    summary.require_recording()
}

/// Which streams, which model, and what is not there.
pub(super) fn banner(plan: &Plan, found: &finding::Found) -> String {
    let mut lines: Vec<String> = plan
        .streams
        .iter()
        .filter(|stream| !stream.inlet.is_assumed)
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
            ) + &stream
                .derived
                .as_ref()
                .map(|derived| format!("\n    {}", derived.text()))
                .unwrap_or_default()
        })
        .collect();
    lines.push(match &plan.model {
        Some(model) => {
            let name = format!("  model: {} {}", model.model.decoder, model.id.to_hex());
            let doubt =
                model.doubt().map(|doubt| format!("\n    {}; control needs a confirmation", doubt.text));
            format!("{name}\n    {}{}", model.quality_text(), doubt.unwrap_or_default())
        }
        None => "  model: none; intent stays empty until one is fitted".to_owned(),
    });
    lines.extend(reference_lines(&plan.configuration));
    lines.extend(plan.resuming.iter().flat_map(Resuming::lines).map(|line| format!("    {line}")));
    lines.extend(found.missing.iter().map(|missing| format!("  {missing}")));
    lines.push(format!("  bins of {} ms; kernels: {}", plan.bin_ms, kalmind_filter::kernel_path()));
    lines.join("\n")
}

/// Which stretch of rest thresholds and references are of, and what to know of it, where any stage takes something from one.
fn reference_lines(configuration: &Configuration) -> Vec<String> {
    if !configuration.learns_from_rest() {
        return Vec::new();
    }
    let Some(learnt) = &configuration.reference.learnt else {
        return vec!["  reference block: none; thresholds and references as configured".to_owned()];
    };
    let which = format!("  reference block: {} ({})", learnt.document.text(), learnt.file.display());
    let warnings = learnt.document.warnings.iter().map(|warning| format!("    {warning}"));
    core::iter::once(which).chain(warnings).collect()
}

/// What came of the start.
pub(super) fn started(daemon: &Daemon) -> String {
    let mut lines: Vec<String> = daemon.realtime().iter().map(|outcome| format!("  {outcome}")).collect();
    if let Some(recording) = daemon.recording() {
        lines.push(format!("  recording: {}", recording.file().display()));
    }
    lines.push(format!("  page: {}", daemon.page()));
    lines.push(format!("  input: {}", daemon.input().text));
    lines.push("running; Ctrl-C ends it".to_owned());
    lines.join("\n")
}
