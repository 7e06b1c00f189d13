//! Sessions of simulated participants in simulated time.

use std::{num::NonZero, ops::RangeInclusive, path::Path, thread};

use clap::{Args, ValueEnum};
use kalmind_filter::DecoderSpec;
use kalmind_offline::{
    model::Demand,
    simulated_session::{
        Perturbation, SessionFigures, SimulationJob, SimulationSettings, document, simulate_all, table,
    },
};
use kalmind_session::{CalibrationOptions, Preset, Profile, SessionOptions, SessionSettings};
use kalmind_signal::ChainSettings;
use kalmind_types::{Binning, Seconds, SelectBy, StreamFeatures};
use serde_json::{Value, json};

use crate::{
    commands::{
        beginning::{self, load, preset_for, rendered},
        demo::configuration_for,
        participant_arguments::ParticipantArguments,
        result::print_result,
        simulate::SignalKind,
        values::{seconds, strength},
    },
    configuration::{self, Configuration},
    failure::{OrFail as _, Outcome},
    log::say,
    starting::plan::engine_settings,
    terminal::Terminal,
};

/// The code that simulated participants go by.
const PARTICIPANT: &str = "simulated";
/// The most seeds at a time.
const MOST_SEEDS: u64 = 10_000;

/// How sessions are simulated.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Simulated participants (with --simulate)")]
pub struct SimulationArguments {
    /// Seeds, the last one included: a session each. A seed decides the participant, the order of targets and whatever else
    /// is random.
    #[arg(long, value_name = "A..B", default_value = "1..8", value_parser = seeds)]
    pub seeds: RangeInclusive<u64>,
    /// Profiles of the participant, separated by commas: a session of each seed with each.
    #[arg(long, value_name = "LIST", default_value = "default", value_delimiter = ',', value_parser = crate::commands::values::profile)]
    pub profile: Vec<Profile>,
    /// The participant.
    #[command(flatten)]
    pub participant: ParticipantArguments,
    /// What is decoded: the participant's counts, or those that the configured stages find in its broadband.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "rates")]
    pub signal: SimulatedSignal,
    /// Factor on the configured gain.
    #[arg(long, value_name = "G", value_parser = strength, allow_negative_numbers = true)]
    pub gain: Option<f64>,
    /// By how much that gain grows for each workspace width per second [default: the preset's].
    #[arg(long, value_name = "G", value_parser = strength, allow_negative_numbers = true)]
    pub gain_growth: Option<f64>,
    /// Time constant of the low-pass over velocity, in milliseconds [default: the configured one].
    #[arg(long, value_name = "MS", value_parser = crate::commands::values::delay_ms, allow_negative_numbers = true)]
    pub smoothing_ms: Option<f64>,
    /// What selects where the preset has a click do it: click, or dwell.
    #[arg(long, value_name = "WHAT", value_parser = crate::commands::values::select_by)]
    pub select: Option<SelectBy>,
    /// The least probability of a press, in place of what the fit chooses.
    #[arg(long, value_name = "P", value_parser = strength, allow_negative_numbers = true)]
    pub click_threshold: Option<f64>,
    /// For how long a click has to be as probable as that, in milliseconds, in place of what the fit chooses.
    #[arg(long, value_name = "MS", value_parser = crate::commands::values::delay_ms, allow_negative_numbers = true)]
    pub click_hold_ms: Option<f64>,
    /// The ideal observer: cursor and button do what the participant means, in place of what is decoded.
    #[arg(long)]
    pub ideal: bool,
    /// Seconds of the session from when a fit is asked for until its model takes over, whatever it takes here.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds, allow_negative_numbers = true)]
    pub fit_seconds: f64,
    /// Offset on a channel (a number, or `best`: the one that says most of the labels) while a block is evaluated, in standard
    /// deviations of its calibration rows.
    #[arg(long, value_name = "CHANNEL:Z")]
    pub perturb: Option<Perturbation>,
    /// Control experiment: fit to labels in random order.
    #[arg(long)]
    pub shuffled_labels: bool,
    /// Let the decoder control whatever the verdict says, as an operator may.
    #[arg(long = "override")]
    pub overrides: bool,
    /// Sessions at a time [default: as many as there are cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub threads: Option<u8>,
}

/// What is measured of a participant in simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SimulatedSignal {
    /// Counts of its units.
    Rates,
    /// Its spikes in noise, at 30 kHz.
    Broadband,
}

/// `1..50`, or one seed alone.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_SEEDS => Ok(first..=last),
        _ => Err(format!("A..B with A no greater than B and at most {MOST_SEEDS} seeds is expected")),
    }
}

/// What is simulated, as the command line says.
#[derive(Debug)]
pub(super) struct Simulated<'a> {
    pub(super) config: Option<&'a Path>,
    pub(super) preset: &'a str,
    pub(super) decoder: Option<&'a str>,
    pub(super) simulation: &'a SimulationArguments,
    pub(super) json: bool,
}

/// Simulates the sessions and prints what came of them.
///
/// # Errors
/// Exit code 2 for arguments, presets and configurations that cannot be used, 1 where a session cannot be simulated.
pub(super) fn run(arguments: &Simulated<'_>) -> Outcome<()> {
    beginning::offline()?;
    let configuration = if let Some(path) = arguments.config {
        load(path)?
    } else {
        let signal = match arguments.simulation.signal {
            SimulatedSignal::Rates => SignalKind::Rates,
            SimulatedSignal::Broadband => SignalKind::Broadband,
        };
        let (text, file) = configuration_for(signal);
        rendered(configuration::parse(text, file))?
    };
    let preset = preset_for(&configuration, arguments.preset)?;
    let simulation = arguments.simulation;
    let settings = simulation
        .profile
        .iter()
        .map(|profile| settings(arguments, &configuration, &preset, *profile))
        .collect::<anyhow::Result<Vec<_>>>()
        .or_usage()?;
    let jobs: Vec<SimulationJob<'_>> = settings
        .iter()
        .flat_map(|settings| simulation.seeds.clone().map(move |seed| SimulationJob { settings, seed }))
        .collect();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = simulation.threads.map_or(cores, usize::from);
    let sessions = simulate_all(&jobs, threads, &Terminal, &|session| say(&line(session))).or_work()?;
    let text = if arguments.json {
        document(&described(arguments, &preset, settings.first()), &sessions).to_string()
    } else {
        table(&sessions)
    };
    print_result(text)
}

fn settings(
    arguments: &Simulated<'_>,
    configuration: &Configuration,
    preset: &Preset,
    profile: Profile,
) -> anyhow::Result<SimulationSettings> {
    let simulation = arguments.simulation;
    let participant = simulation.participant.options(0, profile)?;
    let decoder = match arguments.decoder {
        Some(decoder) => decoder.parse::<DecoderSpec>()?,
        None => configuration.task.decoder,
    };
    let mut preset = preset.clone();
    if arguments.decoder.is_some() {
        preset.decoder = Some(decoder.to_string());
    }
    let demand = Demand {
        streams: vec![StreamFeatures::of_channels(Binning::Sample, participant.units, None)],
        bin_ms: participant.bin.as_millis(),
        components: configuration.intent.components.clone(),
        participant: Some(PARTICIPANT.to_owned()),
    };
    let session = SessionSettings {
        participant: Some(PARTICIPANT.to_owned()),
        simulated: true,
        seed: 0,
        decoder: Some(decoder.to_string()),
        calibration: CalibrationOptions {
            label_law: configuration.task.label_law,
            bin_ms: demand.bin_ms,
            max_masked: configuration.bins.max_masked,
            switched_off: 0,
        },
        features: participant.units,
        smoothing: Seconds::from_millis(configuration.cursor.smoothing_ms),
        max_speed: configuration.cursor.max_speed,
        height: configuration.cursor.height,
        task_may_resume: configuration.task.may_resume,
        reference: None,
        cannot_learn: Some("a simulated participant's stream has no stages".to_owned()),
        presets: vec![preset.clone()],
    };
    let stages = match simulation.signal {
        SimulatedSignal::Rates => None,
        SimulatedSignal::Broadband => {
            let stages = configuration.stream.first().map(|stream| stream.stages.clone()).unwrap_or_default();
            Some(ChainSettings(stages))
        }
    };
    Ok(SimulationSettings {
        stages,
        engine: engine_settings(configuration, &demand, Seconds(0.0)),
        participant,
        session,
        preset: preset.name,
        demand,
        guard: configuration.decoder.guard,
        fit: Seconds(simulation.fit_seconds),
        options: SessionOptions {
            gain: simulation.gain,
            gain_growth: simulation.gain_growth,
            smoothing_ms: simulation.smoothing_ms,
            select: simulation.select,
            click_threshold: simulation.click_threshold,
            click_hold_ms: simulation.click_hold_ms,
            ..SessionOptions::default()
        },
        perturbation: simulation.perturb,
        shuffled_labels: simulation.shuffled_labels,
        overrides: simulation.overrides,
        ideal: simulation.ideal,
    })
}

/// What the sessions were made of, for the document.
fn described(arguments: &Simulated<'_>, preset: &Preset, settings: Option<&SimulationSettings>) -> Value {
    let SimulationArguments {
        seeds,
        gain,
        gain_growth,
        smoothing_ms,
        fit_seconds,
        perturb,
        shuffled_labels,
        overrides,
        select,
        click_threshold,
        click_hold_ms,
        ideal,
        signal,
        ..
    } = arguments.simulation;
    json!({
        "preset": preset,
        "seeds": [seeds.start(), seeds.end()],
        "decoder": settings.and_then(|settings| {
            let session = &settings.session;
            session.presets.first().and_then(|preset| preset.decoder.clone()).or_else(|| session.decoder.clone())
        }),
        "participant": settings.map(|settings| &settings.participant),
        "signal": signal.to_possible_value().map(|signal| signal.get_name().to_owned()),
        "gain": gain,
        "gain_growth": gain_growth,
        "smoothing_ms": smoothing_ms,
        "fit_seconds": fit_seconds,
        "perturb": perturb,
        "shuffled_labels": shuffled_labels,
        "override": overrides,
        "select": select,
        "click_threshold": click_threshold,
        "click_hold_ms": click_hold_ms,
        "ideal": ideal,
    })
}

/// A session that has ended, in a line.
fn line(session: &SessionFigures) -> String {
    let seconds =
        |value: Option<f64>| value.map_or_else(|| "never".to_owned(), |value| format!("{value:.1} s"));
    let SessionFigures { seed, profile, first_target_s, ended_early, session_s, times_real_time, .. } =
        session;
    let ended = ended_early.as_ref().map_or_else(String::new, |why| format!("; over early: {why}"));
    format!(
        "seed {seed}, {}: first target {}, good enough {}; {session_s:.0} s at {times_real_time:.0} times real time{ended}",
        profile.name(),
        seconds(*first_target_s),
        seconds(session.reached_s("good_enough")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_include_the_last_one() {
        assert_eq!(seeds("1..50"), Ok(1..=50));
        assert_eq!(seeds("7"), Ok(7..=7));
        for nonsense in ["", "5..1", "1..", "a..b", "0..10000", "-1..3"] {
            assert!(seeds(nonsense).is_err(), "{nonsense}");
        }
    }
}
