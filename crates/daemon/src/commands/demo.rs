//! `kalmind demo`: simulated participant, daemon and page in one go: open loop, fit, closed loop.

use std::{
    io::Read as _,
    path::PathBuf,
    process::{self, Child, Stdio},
    time::Duration,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use kalmind_acquisition::{Network, NetworkConfig, clock::Deadline};
use kalmind_filter::DecoderSpec;
use kalmind_session::TaskKind;
use kalmind_types::{Actor, Counted, OutputState, Reason, Seconds};
use serde_json::json;

use crate::{
    commands::{
        beginning::{load, rendered},
        command::Command,
        result::print_result,
        values::{seconds, task},
    },
    configuration::{self, Configuration, default_network},
    desk::{Program, Progress, Stage},
    failure::{OrFail as _, Outcome},
    log::{self, progress_target, say},
    process::{
        lsl_network::{self, NetworkInForce},
        termination::EndSignals,
    },
    running::{
        daemon::{Daemon, RunOptions},
        summary::Summary,
    },
    starting::{finding::find, outlets::Outlets, plan, prepared::prepare},
};

/// The demonstration's configuration.
pub(super) const CONFIGURATION: &str = include_str!("../../../../config/demo.toml");
/// Seconds of closed loop without a page, unless said otherwise.
const HEADLESS_SECONDS: f64 = 60.0;
/// How long the participant's stream may take to appear.
const WAIT: Seconds = Seconds(15.0);
/// How often progress is looked at.
const ROUND: Duration = Duration::from_millis(100);

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

/// A child process that ends when this is dropped. Its log is kept for when it ends too early: of its connections the daemon
/// tells.
struct Participant(Child);

impl Participant {
    /// The newest line of its log, once it has ended.
    fn last_words(&mut self) -> String {
        let mut log = String::new();
        // where it cannot be read there is nothing to quote
        let _read = self.0.stderr.take().map(|mut stderr| stderr.read_to_string(&mut log));
        log.lines().next_back().map(|line| format!(": {line}")).unwrap_or_default()
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        // it may have ended already; either way it is waited for
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Run a simulated participant, the daemon and the live page in one go: open loop, fit, closed loop.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example: kalmind demo --headless --seconds 60 --seed 1 --json")]
pub struct DemoArguments {
    /// Seconds of closed loop after the fit [default: until Ctrl-C; with --headless 60].
    #[arg(long, value_name = "N", value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Seconds of open loop before the fit.
    #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = seconds, allow_negative_numbers = true)]
    pub calibration_seconds: f64,
    /// Without the page: print the result and end.
    #[arg(long)]
    pub headless: bool,
    /// Seed of the participant and of the order of targets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Task of both loops.
    #[arg(long, value_name = "NAME", default_value = "radial8", value_parser = task)]
    pub task: &'static TaskKind,
    /// Decoder to fit, with options.
    #[arg(long, value_name = "NAME", default_value = "kalman-steady")]
    pub decoder: String,
    /// Record to this file, which must not exist yet.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Let other programs find the demo's streams, on this machine or on the local network [default: nobody else].
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub network: Option<DemoNetwork>,
    /// Control experiment: fit to labels in random order, so that the model learns nothing.
    #[arg(long)]
    pub shuffled_labels: bool,
    /// Configuration to start from [default: built in, the same as config/demo.toml].
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
        let configuration = match &self.config {
            Some(path) => load(path)?,
            None => rendered(configuration::parse(CONFIGURATION, "config/demo.toml"))?,
        };
        let configuration = alone(configuration, self);
        let in_force = lsl_network::apply(&configuration.lsl)?;
        log::start_for_lsl(&configuration.log);
        run(self, configuration, &in_force)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 when a part does not start or the fit fails.
fn run(arguments: &DemoArguments, configuration: Configuration, network: &NetworkInForce) -> Outcome<()> {
    let calibrate: DecoderSpec = arguments.decoder.parse().or_usage()?;
    let positive = |option: &str, value: f64| {
        anyhow::ensure!(
            value.is_finite() && value > 0.0,
            "{option} {value}: a positive number of seconds is expected"
        );
        Ok(())
    };
    positive("--calibration-seconds", arguments.calibration_seconds).or_usage()?;
    arguments.seconds.map_or(Ok(()), |seconds| positive("--seconds", seconds)).or_usage()?;
    let signals = EndSignals::install().or_work()?;
    let closed_loop = arguments.seconds.or(arguments.headless.then_some(HEADLESS_SECONDS));
    let stream =
        configuration.stream.first().and_then(|stream| stream.selector.name.clone()).unwrap_or_default();
    let mut child = process::Command::new(std::env::current_exe().or_work()?);
    child
        .args(["simulate", "--end-with-parent", "--seed", &arguments.seed.to_string()])
        .args(["--instance", &configuration.instance.name, "--stream", &stream])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut participant = Participant(child.spawn().or_work()?);

    let is_recorded = configuration.records(arguments.record.as_deref());
    let prepared = prepare(configuration, false)?;
    let outlets = Outlets::open(&prepared)?;
    // what is awaited is a child that was just started: nothing to tell
    let looking = move || find(&prepared, WAIT, is_recorded, |_| {}).map(|found| (prepared, found));
    let Some(found) = signals.or_signal(looking).or_work()? else {
        return Ok(());
    };
    let (prepared, found) = found?;
    let plan = plan::plan(prepared, &found)?;
    let program = Program {
        task: arguments.task,
        seed: arguments.seed,
        open_loop: Seconds(arguments.calibration_seconds),
        closed_loop: closed_loop.map(Seconds),
        shuffled_labels: arguments.shuffled_labels,
        confirms_poor_decoder: arguments.shuffled_labels || arguments.headless,
    };
    let options = RunOptions {
        program: Some(program),
        calibrate: Some(calibrate),
        record: arguments.record.clone(),
        save: None,
    };
    let daemon = Daemon::start(&plan, outlets, network, options)?;
    if !arguments.headless {
        say(&format!(
            "Kalmind demo. Open this page in a browser on this machine:\n\n    {}\n",
            daemon.page()
        ));
    }
    if !arguments.headless || arguments.network.is_some() {
        say(&findable(arguments, &plan.configuration, network));
    }
    let followed = follow(arguments, closed_loop, &daemon, &signals, &mut participant);
    let progress = daemon.controls().desk.progress();
    // the daemon first: its stream is there to the end
    let summary = daemon.shut_down(Actor::Signal);
    drop(participant);
    summary.write_page();
    followed.or_work()?;
    report(arguments, closed_loop, &progress, &summary)?;
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

/// The state that clients are shown, with its reason.
fn shown((state, reason): (OutputState, Option<Reason>)) -> String {
    reason.map_or_else(|| format!("state {state}"), |reason| format!("state {state}: {reason}"))
}

/// Shows progress until the closed loop is over or a signal comes.
fn follow(
    arguments: &DemoArguments,
    closed_loop: Option<f64>,
    daemon: &Daemon,
    signals: &EndSignals,
    participant: &mut Participant,
) -> anyhow::Result<()> {
    let style =
        ProgressStyle::with_template("{bar:32} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(1000), progress_target()).with_style(style);
    // a machine that pauses makes it longer; a demo that never ends is a failed one
    let patience = closed_loop.map(|seconds| 3.0 * (arguments.calibration_seconds + seconds) + 60.0);
    let deadline = patience.map(|seconds| Deadline::after(Seconds(seconds)));
    loop {
        let progress = daemon.controls().desk.progress();
        let share =
            |seconds: f64, of: Option<f64>| of.map_or(0.0, |of| (1000.0 * seconds / of).min(1000.0)) as u64;
        match &progress.stage {
            Stage::None | Stage::Waiting => bar.set_message("waiting for the participant"),
            Stage::OpenLoop(seconds) => {
                bar.set_position(share(*seconds, Some(arguments.calibration_seconds)));
                bar.set_message(format!("open loop {seconds:.0} of {:.0} s", arguments.calibration_seconds));
            }
            Stage::Fitting => bar.set_message("fitting"),
            Stage::ClosedLoop(seconds) => {
                bar.set_position(share(*seconds, closed_loop));
                let (acquired, presented) = (progress.score.acquired(), progress.score.presented());
                bar.set_message(format!("closed loop {seconds:.0} s, {acquired} of {presented} targets"));
            }
            Stage::Failed(problem) => anyhow::bail!("the fit failed: {problem}"),
            Stage::Done => break,
        }
        if signals.wait(ROUND) {
            break;
        }
        anyhow::ensure!(daemon.is_whole(), "a thread of the daemon ended unexpectedly; see the log");
        if let Some(status) = participant.0.try_wait()? {
            anyhow::bail!(
                "the simulated participant ended ({status}) before the demo was over{}",
                participant.last_words()
            );
        }
        anyhow::ensure!(
            deadline.as_ref().is_none_or(|deadline| !deadline.passed()),
            "the demo made no progress ({}): is the machine too busy?",
            shown(daemon.controls().hub.state())
        );
    }
    bar.finish_and_clear();
    Ok(())
}

fn report(
    arguments: &DemoArguments,
    closed_loop: Option<f64>,
    progress: &Progress,
    summary: &Summary,
) -> Outcome<()> {
    let (decoder, train_bins) = progress.fit.clone().unzip();
    // of the decoder that was fitted, not of one that was configured
    let fitted = progress.decoder.clone().filter(|_| progress.fit.is_some());
    let (poor, quality) = fitted.map(|info| (info.poor, info.quality)).unzip();
    let score = &progress.score;
    if arguments.json {
        let document = json!({
            "seconds": closed_loop,
            "ticks": summary.count("ticks"),
            "incomplete_bins": summary.count("incomplete"),
            "fit": { "decoder": decoder, "train_bins": train_bins, "poor": poor, "quality": quality },
            "targets": {
                "presented": score.presented(), "acquired": score.acquired(), "incorrect": score.incorrect(),
            },
            "bit_rate": score.bit_rate(),
            "time_to_target_s": { "p50": score.median_time_to_target() },
            "latency_us": summary.latency_us(),
            "lost_samples": summary.lost_samples(),
        });
        return print_result(document.to_string());
    }
    let fitted = match (decoder, train_bins) {
        (Some(decoder), Some(bins)) => {
            format!("{decoder} fitted to {} of open loop", Counted(bins as u64, "bin"))
        }
        _ => "the demo ended before the fit".to_owned(),
    };
    let fitted = match &progress.doubt {
        Some(doubt) => {
            format!("{fitted}\nthe decoder moved no cursor, since nobody confirmed it: {}", doubt.text)
        }
        None => fitted,
    };
    let time =
        score.median_time_to_target().map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"));
    let rate = score.bit_rate().map_or_else(String::new, |rate| {
        format!(", {} wrong, {rate:.2} bit/s", Counted(score.incorrect(), "selection"))
    });
    print_result(format!(
        "{fitted}\nclosed loop: {} of {} acquired, median time to target {time}{rate}\n{}",
        score.acquired(),
        Counted(score.presented(), "target"),
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
        let private = lsl(&[], CONFIGURATION);
        assert_eq!(private.network, Network::Loopback);
        assert!(
            private.session_id.as_deref().is_some_and(|id| id.starts_with("kalmind-demo-")),
            "{private:?}"
        );
        assert_ne!(private.base_port, default_network().base_port);
        for (name, network) in [("machine", Network::Machine), ("lab", Network::Lab)] {
            let found = lsl(&["--network", name], CONFIGURATION);
            assert_eq!(
                found,
                NetworkConfig { network, ..default_network() },
                "as LSL is by itself, so that any program finds it"
            );
        }
    }

    #[test]
    fn a_configuration_of_ones_own_keeps_its_session() {
        let text =
            CONFIGURATION.replace("network = \"loopback\"", "network = \"lab\"\nsession_id = \"ours\"");
        let found = lsl(&["--network", "machine", "--config", "demo.toml"], &text);
        assert_eq!((found.network, found.session_id.as_deref()), (Network::Machine, Some("ours")));
    }
}
