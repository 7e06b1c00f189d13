//! How a command begins: with its configuration, LSL's network settings and the log, in that order.

use std::{io::IsTerminal as _, path::Path};

use kalmind_session::Preset;

use crate::{
    configuration::{self, Configuration, ConfigurationErrors},
    failure::{OrFail as _, Outcome},
    log,
    process::{lsl_network, termination},
};

/// The beginning of a command that works on files alone: no LSL, and nothing half written where it is ended.
///
/// # Errors
/// Exit code 1 where the system lets nobody wait for signals.
pub(super) fn offline() -> Outcome<()> {
    log::start(&configuration::Log::default());
    termination::end_without_leftovers().or_work()
}

/// The log of a command that uses LSL and has no settings of its own for it.
pub(super) fn log_for_lsl() {
    log::start_for_lsl(&configuration::Log::default());
}

/// The network settings of this configuration, where one is given, in force.
///
/// # Errors
/// As [`load`], and where LSL's settings cannot be put in force.
pub(super) fn apply_network_of(configuration: Option<&Path>) -> Outcome<()> {
    if let Some(path) = configuration {
        let settings = rendered(configuration::load_settings(path))?;
        lsl_network::apply(&settings.lsl)?;
    }
    Ok(())
}

/// The configuration in a file.
///
/// # Errors
/// Exit code 2, with every problem of the file.
pub(super) fn load(path: &Path) -> Outcome<Configuration> {
    rendered(configuration::load(path))
}

/// The preset of this name, or in the file of this name, for this configuration's workspace.
///
/// # Errors
/// Exit code 2, with every problem of the file, or the block whose targets lie outside.
pub(super) fn preset_for(configuration: &Configuration, name_or_path: &str) -> Outcome<Preset> {
    let preset = rendered(configuration::preset(name_or_path))?;
    preset.check_targets(configuration.cursor.height).or_usage()?;
    Ok(preset)
}

/// All problems of the file, with carets, as one error.
///
/// # Errors
/// Exit code 2.
pub(super) fn rendered<T>(result: Result<T, ConfigurationErrors>) -> Outcome<T> {
    let styled = std::io::stderr().is_terminal();
    result
        .map_err(|errors| anyhow::anyhow!("the configuration cannot be used\n{}", errors.render(styled)))
        .or_usage()
}
