//! A session with a participant: the daemon, with a preset that is opened and started at once.

use std::path::{Path, PathBuf};

use clap::Args;
use kalmind_filter::DecoderSpec;
use kalmind_session::{BlockStatus, Person, Preset, SessionStatus};
use kalmind_types::{Actor, Counted, Seconds, TaskBlock};
use serde_json::json;

use crate::{
    commands::{
        beginning::{Found, load, look_for_streams, preset_for},
        live_session::{LiveSession, presets_with},
        result::print_result,
        run::{banner, started},
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
    running::{
        daemon::{Daemon, RunOptions},
        summary::Summary,
    },
};

/// The name by which the terminal is in charge of its session.
const CONSOLE: &str = "terminal";
/// The longest code of a participant.
const LONGEST_CODE: usize = 32;

/// Who is there, and what is kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "With a participant (without --simulate)")]
pub struct LiveArguments {
    /// Code of the person who is present and can stop it: required, unless the stream is of a simulated participant.
    #[arg(long, value_name = "CODE")]
    pub operator: Option<String>,
    /// Code of the participant [default: that of `[subject] code`].
    #[arg(long, value_name = "CODE")]
    pub participant: Option<String>,
    /// Record to this file, which must not exist yet [default: a file in the configuration's `[record] folder`, if any].
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Start with the newest saved model of the participant that fits.
    #[arg(long)]
    pub resume: bool,
    /// Seconds to wait for the configured streams before giving up.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds, allow_negative_numbers = true)]
    pub wait: f64,
}

/// Runs the session to its end.
///
/// # Errors
/// Exit code 2 for arguments, configuration, preset or model that do not fit, 3 for streams, 1 for everything else.
pub(super) fn run(
    arguments: &LiveArguments,
    configuration: Option<&Path>,
    preset: &str,
    decoder: Option<&str>,
    as_json: bool,
) -> Outcome<()> {
    let path = configuration.ok_or_else(|| {
        anyhow::anyhow!("--config FILE is missing: it says which streams the participant's signals come from")
    });
    let configuration = of_participant(path.or_usage()?, arguments.participant.as_deref())?;
    let mut preset = preset_for(&configuration, preset)?;
    if let Some(decoder) = decoder {
        preset.decoder = Some(decoder.parse::<DecoderSpec>().or_usage()?.to_string());
    }
    // before anything is recorded
    let rests = preset.blocks.iter().any(|plan| plan.block == TaskBlock::Rest);
    let is_recorded = configuration.records(arguments.record.as_deref());
    if let Some(why) = configuration.why_no_rest(is_recorded).filter(|_| rests) {
        return Err(anyhow::anyhow!("nothing can be learnt from the rest of this preset: {why}")).or_usage();
    }
    let in_force = lsl_network::apply(&configuration.lsl)?;
    log::start_for_lsl(&configuration.log);
    run_preset(arguments, &preset, configuration, &in_force, as_json)
}

/// The configuration in a file, for a participant of this code.
fn of_participant(path: &Path, participant: Option<&str>) -> Outcome<Configuration> {
    let mut configuration = load(path)?;
    let Some(asked) = participant else { return Ok(configuration) };
    // it names a folder
    let is_code = asked.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !is_code || !(1..=LONGEST_CODE).contains(&asked.len()) {
        return Err(anyhow::anyhow!(
            "--participant {asked:?}: 1 to {LONGEST_CODE} letters, digits, _ or - are expected"
        ))
        .or_usage();
    }
    match &configuration.subject.code {
        Some(code) if code != asked => {
            Err(anyhow::anyhow!("--participant {asked}: {} is of {code} ([subject] code)", path.display()))
                .or_usage()
        }
        _ => {
            configuration.subject.code = Some(asked.to_owned());
            Ok(configuration)
        }
    }
}

fn run_preset(
    live: &LiveArguments,
    preset: &Preset,
    configuration: Configuration,
    network: &NetworkInForce,
    as_json: bool,
) -> Outcome<()> {
    let signals = EndSignals::install().or_work()?;
    let calibrate = configuration.task.decoder;
    say(&format!("kalmind {}; LSL: {}; looking for the streams", env!("CARGO_PKG_VERSION"), network.text));
    let (record, wait) = (live.record.as_deref(), Seconds(live.wait));
    let Some(found) = look_for_streams(configuration, live.resume, record, wait, &signals, say)? else {
        return Ok(());
    };
    let Found { plan, streams: found, outlets } = found;
    let save = SavedModels::of(&plan.configuration).filter(|_| plan.configuration.models.save);
    let options = RunOptions {
        presets: presets_with(preset, &plan.configuration)?,
        calibrate: Some(calibrate),
        record: live.record.clone(),
        save,
        ..RunOptions::default()
    };
    let daemon = Daemon::start(&plan, outlets, network, options)?;
    say(&banner(&plan, &found));
    say(&started(&daemon));
    let session = LiveSession {
        daemon: &daemon,
        signals: &signals,
        preset: &preset.name,
        participant: None,
        person: Person { operator: live.operator.clone(), console: Some(CONSOLE.to_owned()) },
        by: Actor::Operator,
        alone: false,
        patience: None,
    };
    let followed = session.run(&mut || Ok(()));
    let summary = daemon.shut_down(Actor::Signal);
    summary.write_page();
    if let Some(status) = followed? {
        report(as_json, &status, &summary)?;
    }
    summary.require_recording()
}

fn report(as_json: bool, status: &SessionStatus, summary: &Summary) -> Outcome<()> {
    if as_json {
        return print_result(json!({ "session": status, "run": summary.json() }).to_string());
    }
    let simulated = if status.simulated { "simulated participant; " } else { "" };
    let blocks: Vec<String> = status.blocks.iter().map(block_line).collect();
    print_result(format!("{simulated}{}\n{}\n{}", status.verdict.text, blocks.join("\n"), summary.text()))
}

fn block_line(block: &BlockStatus) -> String {
    let BlockStatus { title, state, score, .. } = block;
    let Some(score) = score else { return format!("  {title}: {state}") };
    let time = score.time_to_target_s.map(|seconds| format!(", median time to target {seconds:.2} s"));
    let rate = score.bit_rate.map(|rate| {
        let wrong = Counted(score.incorrect, "selection");
        format!(", {wrong} wrong, {rate:.2} bit/s")
    });
    format!(
        "  {title}: {state}; {} of {} acquired{}{}, at most {:.0} % help",
        score.acquired,
        Counted(score.presented, "target"),
        time.unwrap_or_default(),
        rate.unwrap_or_default(),
        100.0 * score.assistance
    )
}
