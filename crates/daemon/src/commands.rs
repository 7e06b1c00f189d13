//! From the command line to the command: configuration, log and network first, in that order.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::Mutex,
};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    cli::{Command, CommandLine},
    configuration::{self, Configuration, ConfigurationErrors, LogFormat, LogLevel},
    demo_command, doctor, evaluate_command,
    failure::{Failure, OrFail as _, Outcome},
    fit_command, network, play_command, recording_command, replay_command, replay_open_loop, run_command,
    simulate_command, streams_command,
};

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
            start_log(&configuration.log);
            let configuration = demo_command::alone(configuration, arguments);
            let in_force = network::apply(&network::from_configuration(&configuration.lsl))?;
            let result = demo_command::run(arguments, configuration, &in_force);
            network::clean_up(&in_force);
            result
        }
        Command::Run(arguments) => {
            let configuration = load(&arguments.config)?;
            start_log(&configuration.log);
            let in_force = network::apply(&network::from_configuration(&configuration.lsl))?;
            let result = run_command::run(arguments, configuration, &in_force);
            network::clean_up(&in_force);
            result
        }
        Command::Doctor(arguments) => {
            if arguments.probe {
                return doctor::probe();
            }
            let configuration = arguments.config.as_deref().map(load).transpose()?;
            start_log(&configuration::Log::default());
            doctor::run(arguments, configuration)
        }
        Command::Streams(arguments) => {
            start_log(&configuration::Log::default());
            if let Some(path) = &arguments.config {
                let in_force = network::apply(&network::from_configuration(&load(path)?.lsl))?;
                let result = streams_command::run(arguments);
                network::clean_up(&in_force);
                return result;
            }
            streams_command::run(arguments)
        }
        Command::Simulate(arguments) => {
            start_log(&configuration::Log::default());
            if let Some(path) = &arguments.config {
                let in_force = network::apply(&network::from_configuration(&load(path)?.lsl))?;
                let result = simulate_command::run(arguments);
                network::clean_up(&in_force);
                return result;
            }
            simulate_command::run(arguments)
        }
        Command::Replay(arguments) => {
            start_log(&configuration::Log::default());
            if arguments.lsl {
                let Some(path) = &arguments.config else { return play_command::run(arguments) };
                let in_force = network::apply(&network::from_configuration(&load(path)?.lsl))?;
                let result = play_command::run(arguments);
                network::clean_up(&in_force);
                return result;
            }
            if arguments.model.is_some() || !arguments.decoder.is_empty() {
                return replay_open_loop::run(arguments);
            }
            replay_command::run(arguments)
        }
        Command::Recording(command) => {
            start_log(&configuration::Log::default());
            recording_command::run(command)
        }
        Command::Fit(arguments) => {
            start_log(&configuration::Log::default());
            fit_command::run(arguments)
        }
        Command::Evaluate(arguments) => {
            start_log(&configuration::Log::default());
            evaluate_command::run(arguments)
        }
    }
}

/// Prints a failure to stderr.
pub fn print_failure(failure: &Failure) {
    say(&format!("kalmind: {failure}"));
}

/// Says something to the person who started the program, on stderr.
pub fn say(text: &str) {
    // where nobody can hear it any more, the program goes on all the same
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
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

/// Keeps the log's writer until the program ends.
static LOG_WRITER: Mutex<Option<WorkerGuard>> = Mutex::new(None);

/// Logs to stderr, so that stdout carries results alone. The writing is done by a thread of its own: a terminal or a
/// parent process that does not read holds up nothing; what finds no room is dropped (and that is counted there).
fn start_log(log: &configuration::Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    if let Ok(mut kept) = LOG_WRITER.lock() {
        *kept = Some(guard);
    }
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_env_filter(EnvFilter::default().add_directive(level.into()));
    // a second start in one process (tests) keeps the first log
    let _started = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Writes out what the log still holds.
pub fn finish_log() {
    if let Ok(mut kept) = LOG_WRITER.lock() {
        drop(kept.take());
    }
}
