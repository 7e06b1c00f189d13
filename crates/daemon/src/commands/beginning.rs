//! How a command begins: with its configuration, LSL's network settings and the log, in that order.

use std::{io::IsTerminal as _, path::Path};

use kalmind_session::Preset;
use kalmind_types::Seconds;

use crate::{
    configuration::{self, Configuration, ConfigurationErrors},
    failure::{OrFail as _, Outcome},
    log,
    process::{
        lsl_network,
        termination::{self, EndSignals},
    },
    starting::{
        finding,
        outlets::Outlets,
        plan::{self, Plan},
        prepared::prepare,
    },
};

/// A run whose streams were found and fit its configuration and its model.
#[derive(Debug)]
pub(super) struct Found {
    /// What is run.
    pub(super) plan: Plan,
    /// Its streams.
    pub(super) streams: finding::Found,
    /// Where it publishes.
    pub(super) outlets: Outlets,
}

/// Checks a configuration, creates the outlets, and looks for the streams, for so many seconds; none where a signal came before.
/// `tell` hears what is waited for.
///
/// # Errors
/// Exit code 2 for a configuration or model that does not fit, 3 for streams, 1 for everything else.
pub(super) fn look_for_streams(
    configuration: Configuration,
    resume: bool,
    record: Option<&Path>,
    wait: Seconds,
    signals: &EndSignals,
    tell: fn(&str),
) -> Outcome<Option<Found>> {
    let is_recorded = configuration.records(record);
    let prepared = prepare(configuration, resume)?;
    // before any wait: a program that is waited for may itself wait for these
    let outlets = Outlets::open(&prepared)?;
    let looking = move || finding::find(&prepared, wait, is_recorded, tell).map(|found| (prepared, found));
    let Some(found) = signals.or_signal(looking).or_work()? else {
        tell("ended while it waited for the streams");
        return Ok(None);
    };
    let (prepared, streams) = found?;
    let plan = plan::plan(prepared, &streams)?;
    Ok(Some(Found { plan, streams, outlets }))
}

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

/// The configuration in a file, for a command that works on recordings.
///
/// # Errors
/// As [`load`].
pub(super) fn load_offline(path: &Path) -> Outcome<Configuration> {
    rendered(configuration::load_offline(path))
}

/// The configuration in a file, to learn its reference.
///
/// # Errors
/// As [`load`].
pub(super) fn load_to_learn(path: &Path) -> Outcome<Configuration> {
    rendered(configuration::load_to_learn(path))
}

/// The preset of this name, with the decoder that the configuration states, or in the file of this name, for this configuration's
/// workspace.
///
/// # Errors
/// Exit code 2, with every problem of the file, or the block whose targets lie outside.
pub(super) fn preset_for(configuration: &Configuration, name_or_path: &str) -> Outcome<Preset> {
    let known = rendered(configuration.presets())?.into_iter().find(|preset| preset.name == name_or_path);
    let preset = match known {
        Some(preset) => preset,
        None => rendered(configuration::preset(name_or_path))?,
    };
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
