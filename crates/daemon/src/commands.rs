//! From the command line to the command: configuration, log and network first, in that order.

use std::{io::IsTerminal as _, path::Path};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    cli::{Command, CommandLine},
    configuration::{self, Configuration, ConfigurationErrors, LogFormat, LogLevel},
    demo_command, evaluate_command,
    failure::{Failure, OrFail as _, Outcome},
    fit_command, network, run_command, simulate_command, streams_command,
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
            demo_command::run(arguments, configuration, &in_force)
        }
        Command::Run(arguments) => {
            let configuration = load(&arguments.config)?;
            start_log(&configuration.log);
            let in_force = network::apply(&network::from_configuration(&configuration.lsl))?;
            run_command::run(arguments, configuration, &in_force)
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
            simulate_command::run(arguments)
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
#[expect(clippy::print_stderr, reason = "the one place where the program says why it ends")]
pub fn print_failure(failure: &Failure) {
    eprintln!("kalmind: {failure}");
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

/// Logs to stderr, so that stdout carries results alone.
fn start_log(log: &configuration::Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::default().add_directive(level.into()));
    // a second start in one process (tests) keeps the first log
    let _started = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
