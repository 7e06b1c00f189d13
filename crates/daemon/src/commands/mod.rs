//! From the command line to the command: configuration, log and network first, in that order.

pub mod command_line;
pub mod decoders;
pub mod demo;
pub mod evaluate;
pub mod fit;
pub mod play;
pub mod recording;
pub mod replay;
pub mod replay_open_loop;
pub mod run;
pub mod simulate;
pub mod streams;
pub mod summary;

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use crate::{
    commands::command_line::{Command, CommandLine},
    configuration::{self, Configuration, ConfigurationErrors},
    doctor,
    failure::{Failure, OrFail as _, Outcome},
    log,
    process::{lsl_network, termination},
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
                None => rendered(configuration::parse(demo::CONFIGURATION, "config/demo.toml"))?,
            };
            let configuration = demo::alone(configuration, arguments);
            let in_force = lsl_network::apply(&configuration.lsl)?;
            log::start_for_lsl(&configuration.log);
            demo::run(arguments, configuration, &in_force)
        }
        Command::Run(arguments) => {
            let configuration = load(&arguments.config)?;
            let in_force = lsl_network::apply(&configuration.lsl)?;
            log::start_for_lsl(&configuration.log);
            run::run(arguments, configuration, &in_force)
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
            streams::run(arguments)
        }
        Command::Simulate(arguments) => {
            apply_of(arguments.config.as_deref())?;
            log::start_for_lsl(&configuration::Log::default());
            let configured = match &arguments.config {
                Some(path) => rendered(configuration::load_settings(path))?.instance.name,
                None => Configuration::default().instance.name,
            };
            simulate::run(arguments, arguments.instance.as_ref().unwrap_or(&configured))
        }
        Command::Replay(arguments) => {
            recording::require_xdf(&arguments.recording, "replay").or_work()?;
            if arguments.lsl {
                apply_of(arguments.config.as_deref())?;
                log::start_for_lsl(&configuration::Log::default());
                return play::run(arguments);
            }
            log::start(&configuration::Log::default());
            termination::end_without_leftovers().or_work()?;
            if arguments.model.is_some() || !arguments.decoder.is_empty() {
                return replay_open_loop::run(arguments);
            }
            replay::run(arguments)
        }
        Command::Recording(command) => {
            log::start(&configuration::Log::default());
            termination::end_without_leftovers().or_work()?;
            recording::run(command)
        }
        Command::Fit(arguments) => {
            log::start(&configuration::Log::default());
            termination::end_without_leftovers().or_work()?;
            fit::run(arguments)
        }
        Command::Decoders(arguments) => decoders::run(arguments),
        Command::Evaluate(arguments) => {
            log::start(&configuration::Log::default());
            termination::end_without_leftovers().or_work()?;
            evaluate::run(arguments)
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
        lsl_network::apply(&settings.lsl)?;
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
