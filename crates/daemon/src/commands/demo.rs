//! `kalmind demo`: simulated participant, daemon and page in one go, with a session of a preset.

mod participant;

use std::{path::PathBuf, process};

use clap::{Args, ValueEnum};
use kalmind_acquisition::{Network, NetworkConfig};
use kalmind_filter::DecoderSpec;
use kalmind_session::{BlockPlan, Person, Preset, ScoreStatus, SessionStatus, TASKS, TaskKind};
use kalmind_types::{Actor, Counted, Seconds, TaskBlock};
use serde_json::json;

use crate::{
    commands::{
        beginning::{Found, load, look_for_streams, rendered},
        command::Command,
        live_session::{LiveSession, presets_with, scored},
        result::print_result,
        simulate::SignalKind,
        values::{seconds, task},
    },
    configuration::{self, Configuration, default_network},
    desk::Progress,
    failure::{OrFail as _, Outcome},
    log::{self, say},
    process::{
        lsl_network::{self, NetworkInForce},
        termination::EndSignals,
    },
    running::{
        daemon::{Daemon, RunOptions},
        summary::Summary,
    },
};

use participant::Participant;
pub(super) use participant::configuration_for;

/// Seconds of closed loop without a page, unless said otherwise.
const HEADLESS_SECONDS: f64 = 60.0;
/// How long the participant's stream may take to appear.
const WAIT: Seconds = Seconds(15.0);
/// Blocks last so many times as long with EEG, which tells less in a second than spikes do.
const EEG_TIMES: f64 = 3.0;
/// Seconds of open loop, unless said otherwise.
const OPEN_LOOP_SECONDS: f64 = 30.0;
/// How long a closed loop lasts that goes on until Ctrl-C.
const ENDLESS_SECONDS: f64 = 14_400.0;
/// The preset of a demo that says nothing of its blocks.
const PRESET: &str = "demo";

/// LSL ports of demonstrations: each takes a slot by its process number, for outlets that find no port in LSL's usual range
/// are invisible on the loopback interface.
const FIRST_PORT: u16 = 17_000;
/// Ports of a slot.
const PORTS: u16 = 40;
/// Slots.
const SLOTS: u32 = 390;

/// Gives the demonstration a session and ports (and without a page a name and a port) of its own where the configuration leaves
/// them open, so that several run side by side; session and ports stay LSL's own where other programs shall find it.
fn alone(mut configuration: Configuration, arguments: &DemoArguments) -> Configuration {
    let process = process::id();
    if let Some(network) = arguments.network {
        let ours = &mut configuration.lsl;
        ours.network = match network {
            DemoNetwork::Machine => Network::Machine,
            DemoNetwork::Lab => Network::Lab,
        };
        if arguments.config.is_none() {
            *ours = NetworkConfig { network: ours.network, ..default_network() };
        }
    } else if !configuration.gives("lsl.session_id") {
        configuration.lsl.session_id = Some(format!("kalmind-demo-{process}"));
    }
    if arguments.network.is_none()
        && !["lsl.base_port", "lsl.port_range", "lsl.multicast_port"]
            .iter()
            .any(|key| configuration.gives(key))
    {
        // below the ports that the system hands out by itself
        let slot = (process % SLOTS) as u16;
        configuration.lsl.base_port = Some(FIRST_PORT + slot * PORTS);
        configuration.lsl.port_range = Some(PORTS - 1);
        configuration.lsl.multicast_port = Some(FIRST_PORT + slot * PORTS + PORTS - 1);
    }
    if arguments.headless {
        if arguments.config.is_none() {
            configuration.instance.name = format!("{}-{process}", configuration.instance.name);
        }
        if !configuration.gives("server.bind") {
            configuration.server.bind.set_port(0);
        }
    }
    configuration
}

/// Run a simulated participant, the daemon and the live page in one go: signal check, open loop, closed loop with and without
/// help, and an evaluation, in 90 s (with EEG 270).
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind demo --headless --seconds 60 --seed 1 --json")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct DemoArguments {
    /// One open and one closed loop alone; seconds of the closed one [default: until Ctrl-C; with --headless 60].
    #[arg(long, value_name = "N", value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// One open and one closed loop alone; seconds of the open one, before the fit [default: 30].
    #[arg(long, value_name = "N", value_parser = seconds, allow_negative_numbers = true)]
    pub calibration_seconds: Option<f64>,
    /// Without the page: print the result and end.
    #[arg(long)]
    pub headless: bool,
    /// Your hand is what the participant means: move the mouse over the workspace on the page.
    #[arg(long, conflicts_with = "headless")]
    pub mouse: bool,
    /// Seed of the participant and of the order of targets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// One open and one closed loop alone; their task [default: radial8].
    #[arg(long, value_name = "NAME", value_parser = task)]
    pub task: Option<&'static TaskKind>,
    /// Decoder to fit, with options [default: the configuration's, else the preset's; of one open and one closed loop
    /// kalman-steady].
    #[arg(long, value_name = "NAME")]
    pub decoder: Option<String>,
    /// Record to this file, which must not exist yet.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Let other programs find the demo's streams, on this machine or on the local network [default: nobody else].
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub network: Option<DemoNetwork>,
    /// Control experiment: fit to labels in random order, so that the model learns nothing.
    #[arg(long)]
    pub shuffled_labels: bool,
    /// What the participant sends: counts, or a raw signal that Kalmind makes features of.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "rates")]
    pub signal: SignalKind,
    /// Configuration to start from [default: built in, the same as config/demo.toml, or the one for --signal].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Who can find the streams of a demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoNetwork {
    /// Programs on this machine.
    Machine,
    /// Programs on the local network.
    Lab,
}

impl Command for DemoArguments {
    const TAKES_DECODERS: bool = true;

    fn run(&self) -> Outcome<()> {
        let configuration = if let Some(path) = &self.config {
            load(path)?
        } else {
            let (text, file) = configuration_for(self.signal);
            rendered(configuration::parse(text, file))?
        };
        let configuration = alone(configuration, self);
        let in_force = lsl_network::apply(&configuration.lsl)?;
        log::start_for_lsl(&configuration.log);
        run(self, configuration, &in_force)
    }
}

/// A block of radial targets, or of another task.
fn block(block: TaskBlock, title: &str, instruction: &str, task: &TaskKind, seconds: f64) -> BlockPlan {
    BlockPlan {
        block,
        title: title.to_owned(),
        instruction: instruction.to_owned(),
        task: Some(task.name.to_owned()),
        seconds,
        ..BlockPlan::default()
    }
}

/// Says what the person does whose hand is what the participant means.
fn instruct_hand(preset: &mut Preset) {
    for block in &mut preset.blocks {
        block.instruction = match block.block {
            TaskBlock::OpenLoop => "The cursor moves by itself: go along with the mouse.".to_owned(),
            TaskBlock::ClosedLoop => "Move the mouse as you want the cursor to move.".to_owned(),
            _ => continue,
        };
    }
}

impl DemoArguments {
    /// What the demo does: the preset that is made for it, or one open and one closed loop where something is said of those.
    fn preset(&self) -> Outcome<Preset> {
        let Self { seconds, calibration_seconds, task, .. } = self;
        let instruction = "Move the cursor to the target and keep it there.";
        let unlimited = if self.headless { HEADLESS_SECONDS } else { ENDLESS_SECONDS };
        let task_or_first = task.unwrap_or(TASKS[0]);
        if seconds.is_none() && calibration_seconds.is_none() && task.is_none() {
            let mut preset = rendered(configuration::preset(PRESET))?;
            if self.signal == SignalKind::Eeg {
                for block in &mut preset.blocks {
                    block.seconds *= EEG_TIMES;
                    block.assistance.iter_mut().for_each(|point| point.at_s *= EEG_TIMES);
                }
            }
            if !self.headless {
                // whoever looks at the page does so until Ctrl-C
                let title = "Until Ctrl-C";
                let last = block(TaskBlock::ClosedLoop, title, instruction, task_or_first, unlimited);
                preset.blocks.push(BlockPlan { gather: Some(false), ..last });
            }
            return Ok(preset);
        }
        let (open, closed) = (calibration_seconds.unwrap_or(OPEN_LOOP_SECONDS), seconds.unwrap_or(unlimited));
        let imagine = "The cursor moves by itself. Imagine that you move it.";
        let closed = block(TaskBlock::ClosedLoop, "Closed loop", instruction, task_or_first, closed);
        Ok(Preset {
            name: "open-and-closed-loop".to_owned(),
            title: "Open and closed loop".to_owned(),
            about: "Open loop, fit, closed loop.".to_owned(),
            blocks: vec![
                block(TaskBlock::OpenLoop, "Open loop", imagine, task_or_first, open),
                // the fit to the open loop is what is shown
                BlockPlan { gather: Some(false), ..closed },
            ],
            ..Preset::default()
        })
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 when a part does not start or the fit fails.
fn run(arguments: &DemoArguments, configuration: Configuration, network: &NetworkInForce) -> Outcome<()> {
    let decoder = arguments.decoder.as_deref();
    let calibrate: DecoderSpec = match decoder {
        Some(decoder) => decoder.parse().or_usage()?,
        None => configuration.task.decoder,
    };
    let mut preset = arguments.preset()?;
    if arguments.mouse {
        instruct_hand(&mut preset);
    }
    // a signal's configuration knows what decodes it
    if decoder.is_some() || configuration.gives("task.decoder") {
        preset.decoder = Some(calibrate.to_string());
    }
    preset.check().or_usage()?;
    let signals = EndSignals::install().or_work()?;
    let mut participant =
        Participant::start(&configuration, arguments.signal, arguments.seed, arguments.mouse)?;

    let record = arguments.record.as_deref();
    // what is awaited is a child that was just started: nothing to tell
    let Some(found) = look_for_streams(configuration, false, record, WAIT, &signals, |_| {})? else {
        return Ok(());
    };
    let Found { plan, outlets, .. } = found;
    let options = RunOptions {
        presets: presets_with(&preset, &plan.configuration)?,
        seed: Some(arguments.seed),
        shuffled_labels: arguments.shuffled_labels,
        hand: arguments.mouse,
        calibrate: Some(calibrate),
        record: arguments.record.clone(),
        save: None,
    };
    let daemon = Daemon::start(&plan, outlets, network, options)?;
    if !arguments.headless {
        say(&format!(
            "Kalmind demo. Open this page in a browser on this machine:\n\n    {}\n{}",
            daemon.page(),
            if arguments.mouse { "\nIt begins once you move the mouse over the workspace.\n" } else { "" }
        ));
    }
    if !arguments.headless || arguments.network.is_some() {
        say(&findable(arguments, &plan.configuration, network));
    }
    // a machine that pauses makes it longer; a demo that never ends is a failed one, unless it waits for a person
    let patience = Seconds(3.0 * preset.seconds() + 60.0);
    let session = LiveSession {
        daemon: &daemon,
        signals: &signals,
        preset: &preset.name,
        participant: None,
        person: Person { operator: Some(PRESET.to_owned()), console: None },
        by: Actor::Daemon,
        alone: true,
        patience: (arguments.headless || arguments.seconds.is_some() && !arguments.mouse).then_some(patience),
    };
    let followed = session.run(&mut || match participant.ended().or_work()? {
        Some(status) => {
            let last = participant.last_words();
            Err(anyhow::anyhow!("the simulated participant ended ({status}) before the demo was over{last}"))
                .or_work()
        }
        None => Ok(()),
    });
    let progress = daemon.controls().desk.progress();
    // the daemon first: its stream is there to the end
    let summary = daemon.shut_down(Actor::Signal);
    drop(participant);
    summary.write_page();
    report(arguments, followed?.as_deref(), &progress, &summary)?;
    summary.require_recording()
}

/// How other programs find the streams.
fn findable(arguments: &DemoArguments, configuration: &Configuration, network: &NetworkInForce) -> String {
    if arguments.network.is_none() {
        return format!(
            "Its LSL streams are private ({}). --network machine or --network lab shows them to other programs.\n",
            network.text
        );
    }
    let instance = &configuration.instance.name;
    let inputs = configuration.stream.iter().filter_map(|stream| stream.selector.name.clone());
    let cursors = configuration.output.lsl.iter().map(|outlet| outlet.name(instance));
    let names: Vec<String> =
        inputs.chain(cursors).chain([configuration.output.events.name(instance)]).collect();
    format!(
        "Other programs can find its LSL streams ({}): {}.\nTo list them: kalmind streams\n",
        network.text,
        names.join(", ")
    )
}

fn report(
    arguments: &DemoArguments,
    status: Option<&SessionStatus>,
    progress: &Progress,
    summary: &Summary,
) -> Outcome<()> {
    let (decoder, train_bins) = progress.fit.clone().unzip();
    // of the decoder that was fitted, not of one that was configured
    let fitted = progress.decoder.clone().filter(|_| progress.fit.is_some());
    let (poor, quality) = fitted.map(|info| (info.poor, info.quality)).unzip();
    let block = status.and_then(scored);
    let score = block.and_then(|block| block.score.as_ref());
    let count = |of: fn(&ScoreStatus) -> u64| score.map_or(0, of);
    let (presented, acquired) = (count(|score| score.presented), count(|score| score.acquired));
    let incorrect = count(|score| score.incorrect);
    let (time, bit_rate) = score.map(|score| (score.time_to_target_s, score.bit_rate)).unzip();
    let (time, bit_rate) = (time.flatten(), bit_rate.flatten());
    let verdict = status.map(|status| status.verdict.clone());
    if arguments.json {
        let document = json!({
            "simulated": true,
            "seconds": block.map(|block| block.seconds),
            "ticks": summary.count("ticks"),
            "incomplete_bins": summary.count("incomplete"),
            "fit": { "decoder": decoder, "train_bins": train_bins, "poor": poor, "quality": quality },
            "targets": { "presented": presented, "acquired": acquired, "incorrect": incorrect },
            "bit_rate": bit_rate,
            "bit_rate_ci": score.and_then(|score| score.bit_rate_interval),
            // a dwell is what selects
            "bit_rate_dwell": bit_rate,
            "first_target_s": status.and_then(|status| status.first_target_s),
            "assistance": score.map(|score| score.assistance),
            "verdict": verdict,
            "time_to_target_s": { "p50": time },
            "latency_us": summary.latency_us(),
            "lost_samples": summary.lost_samples(),
        });
        return print_result(document.to_string());
    }
    let fitted = match (decoder, train_bins) {
        (Some(decoder), Some(bins)) => format!("{decoder} fitted to {}", Counted(bins as u64, "bin")),
        _ => "the demo ended before the fit".to_owned(),
    };
    let time = time.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"));
    let rate = bit_rate.map_or_else(String::new, |rate| {
        format!(", {} wrong, {rate:.2} bit/s", Counted(incorrect, "selection"))
    });
    let title = block.map_or("closed loop", |block| block.title.as_str());
    let verdict = verdict.map_or_else(String::new, |verdict| verdict.text);
    print_result(format!(
        "simulated participant: {fitted}\n{title}: {acquired} of {} acquired, median time to target {time}{rate}\n{verdict}\n{}",
        Counted(presented, "target"),
        summary.text()
    ))
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    /// The settings of a demo that is started with these arguments and, beside its own, this text of a configuration.
    fn lsl(arguments: &[&str], text: &str) -> NetworkConfig {
        let line = [&["demo"], arguments].concat();
        let matches = DemoArguments::augment_args(clap::Command::new("demo")).get_matches_from(line);
        let arguments = DemoArguments::from_arg_matches(&matches).expect("arguments");
        alone(configuration::parse(text, "demo.toml").expect("a configuration"), &arguments).lsl
    }

    #[test]
    fn a_demo_is_private_unless_others_shall_find_it() {
        let (demo, _) = configuration_for(SignalKind::Rates);
        let private = lsl(&[], demo);
        assert_eq!(private.network, Network::Loopback);
        assert!(
            private.session_id.as_deref().is_some_and(|id| id.starts_with("kalmind-demo-")),
            "{private:?}"
        );
        assert_ne!(private.base_port, default_network().base_port);
        for (name, network) in [("machine", Network::Machine), ("lab", Network::Lab)] {
            let found = lsl(&["--network", name], demo);
            assert_eq!(
                found,
                NetworkConfig { network, ..default_network() },
                "as LSL is by itself, so that any program finds it"
            );
        }
    }

    #[test]
    fn a_configuration_of_ones_own_keeps_its_session() {
        let (demo, _) = configuration_for(SignalKind::Rates);
        let text = demo.replace("network = \"loopback\"", "network = \"lab\"\nsession_id = \"ours\"");
        let found = lsl(&["--network", "machine", "--config", "demo.toml"], &text);
        assert_eq!((found.network, found.session_id.as_deref()), (Network::Machine, Some("ours")));
    }
}
