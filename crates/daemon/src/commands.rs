//! From the command line to the command: configuration, log and network first, in that order.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use crate::{
    cli::{Command, CommandLine},
    configuration::{self, Configuration, ConfigurationErrors},
    decoders_command, demo_command, doctor, evaluate_command,
    failure::{Failure, OrFail as _, Outcome},
    fit_command, log, network, play_command, recording_command, replay_command, replay_open_loop,
    run_command, signals, simulate_command, streams_command,
};

/// How long whoever reads stdout may leave a result lying.
const RESULT_WITHIN: Duration = Duration::from_secs(5);

/// Runs what the command line says.
///
/// # Errors
/// The failure of the command, with its exit code.
pub fn run(command_line: &CommandLine) -> Outcome<()> {
    match &command_line.command {
        Command::Demo(arguments) => {
            let configuration = match &arguments.config {
                Some(path) => load(path)?,
                None => rendered(configuration::parse(demo_command::CONFIGURATION, "config/demo.toml"))?,
            };
            let configuration = demo_command::alone(configuration, arguments);
            let in_force = network::apply(&network::from_configuration(&configuration.lsl))?;
            log::start_for_lsl(&configuration.log);
            demo_command::run(arguments, configuration, &in_force)
        }
        Command::Run(arguments) => {
            let configuration = load(&arguments.config)?;
            let in_force = network::apply(&network::from_configuration(&configuration.lsl))?;
            log::start_for_lsl(&configuration.log);
            run_command::run(arguments, configuration, &in_force)
        }
        Command::Doctor(arguments) => {
            if arguments.probe {
                return doctor::probe();
            }
            let configuration = arguments.config.as_deref().map(load).transpose()?;
            log::start(&configuration::Log::default());
            doctor::run(arguments, configuration)
        }
        Command::Streams(arguments) => {
            apply_of(arguments.config.as_deref())?;
            log::start_for_lsl(&configuration::Log::default());
            streams_command::run(arguments)
        }
        Command::Simulate(arguments) => {
            apply_of(arguments.config.as_deref())?;
            log::start_for_lsl(&configuration::Log::default());
            let configured = match &arguments.config {
                Some(path) => rendered(configuration::load_settings(path))?.instance.name,
                None => Configuration::default().instance.name,
            };
            simulate_command::run(arguments, arguments.instance.as_ref().unwrap_or(&configured))
        }
        Command::Replay(arguments) => {
            recording_command::require_xdf(&arguments.recording, "replay").or_work()?;
            if arguments.lsl {
                apply_of(arguments.config.as_deref())?;
                log::start_for_lsl(&configuration::Log::default());
                return play_command::run(arguments);
            }
            log::start(&configuration::Log::default());
            signals::end_without_leftovers().or_work()?;
            if arguments.model.is_some() || !arguments.decoder.is_empty() {
                return replay_open_loop::run(arguments);
            }
            replay_command::run(arguments)
        }
        Command::Recording(command) => {
            log::start(&configuration::Log::default());
            signals::end_without_leftovers().or_work()?;
            recording_command::run(command)
        }
        Command::Fit(arguments) => {
            log::start(&configuration::Log::default());
            signals::end_without_leftovers().or_work()?;
            fit_command::run(arguments)
        }
        Command::Decoders(arguments) => decoders_command::run(arguments),
        Command::Evaluate(arguments) => {
            log::start(&configuration::Log::default());
            signals::end_without_leftovers().or_work()?;
            evaluate_command::run(arguments)
        }
    }
}

/// Prints a failure to stderr.
pub fn print_failure(failure: &Failure) {
    log::say(&format!("kalmind: {failure}"));
}

/// Prints a result on stdout, for a command that has ended its work: where nobody takes it, the program ends all the same.
///
/// # Errors
/// Exit code 1 where stdout is closed or has taken nothing for five seconds.
pub fn print_result(text: String) -> Outcome<()> {
    let (done, result) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("kalmind-result".to_owned())
        .spawn(move || {
            let mut out = std::io::stdout().lock();
            // nobody listens any more where it took too long
            let _late = done.send(writeln!(out, "{text}").and_then(|()| out.flush()));
        })
        .or_work()?;
    match result.recv_timeout(RESULT_WITHIN) {
        Ok(written) => {
            written.map_err(|error| anyhow::anyhow!("the result cannot be printed: {error}")).or_work()
        }
        Err(_nobody_reads) => Err(anyhow::anyhow!("stdout was not read, so the result is lost")).or_work(),
    }
}

/// The network settings of this configuration, where one is given, in force.
fn apply_of(configuration: Option<&Path>) -> Outcome<()> {
    if let Some(path) = configuration {
        let settings = rendered(configuration::load_settings(path))?;
        network::apply(&network::from_configuration(&settings.lsl))?;
    }
    Ok(())
}

fn load(path: &Path) -> Outcome<Configuration> {
    rendered(configuration::load(path))
}

/// All problems of the file, with carets, as one error.
fn rendered(result: Result<Configuration, ConfigurationErrors>) -> Outcome<Configuration> {
    let styled = std::io::stderr().is_terminal();
    result
        .map_err(|errors| anyhow::anyhow!("the configuration cannot be used\n{}", errors.render(styled)))
        .or_usage()
}
