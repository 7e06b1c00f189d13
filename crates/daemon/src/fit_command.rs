//! `kalmind fit`: a decoder fitted to tables, written as a model file.

use std::{fmt::Write as _, io::Write as _, ops::Range, path::Path};

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_acquisition::clock;
use kalmind_filter::{Budget, DecoderSpec, FitReport, FitSettings, Fitted, Model, ZScore, fit};
use kalmind_types::{Binning, Component, StreamFeatures};
use serde_json::json;

use crate::{
    calibration_fit::fit_calibration,
    cli::FitArguments,
    failure::{OrFail as _, Outcome},
    log::say,
    model::Demand,
    recorded::gather,
    tables::Tables,
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments and tables that cannot be used, 1 for a fit that fails.
pub fn run(arguments: &FitArguments) -> Outcome<()> {
    let spec: DecoderSpec = arguments.decoder.parse().or_usage()?;
    if let (Some(recording), None) = (&arguments.tables.recording, &arguments.tables.states_stream) {
        return run_recording(arguments, recording, &spec);
    }
    let binning = binning(&arguments.binning).or_usage()?;
    let tables = Tables::read(&arguments.tables).or_usage()?;
    tables.require_runnable().or_usage()?;
    for remark in &tables.remarks {
        say(&format!("note: {remark}"));
    }
    let rows = match &arguments.rows {
        Some(text) => tables.range("--rows", text).or_usage()?,
        None => 0..tables.features.rows,
    };
    let options =
        FitOptions { zscore: arguments.tables.is_scored(), seed: arguments.seed, budget: arguments.budget };
    let (mut model, fitted, seconds) =
        fit_tables(&tables, core::slice::from_ref(&rows), &spec, &options, "").or_work()?;
    if tables.session.is_none() {
        for stream in &mut model.streams {
            stream.binning = binning;
        }
    }
    if arguments.participant.is_some() {
        model.participant.clone_from(&arguments.participant);
    }
    if let Some(names) = &arguments.components {
        name_components(&mut model.components, names).or_usage()?;
    }
    if !arguments.unit.is_empty() {
        for component in &mut model.components {
            component.unit.clone_from(&arguments.unit);
        }
    }
    let id = kalmind_recording::write_model(&arguments.output, &model).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let report = json!({
            "model": arguments.output, "sha256": id.to_hex(), "decoder": spec.to_string(),
            "rows": [rows.start, rows.end], "bin_ms": model.bin_ms, "fit_seconds": seconds, "report": fitted.report,
            "chosen": fitted.report.chosen(), "remarks": tables.remarks,
        });
        writeln!(out, "{report}").or_work()?;
    } else {
        writeln!(
            out,
            "{spec} fitted to rows {}..{} ({} features, bins of {} ms) in {seconds:.2} s\n{} (sha256 {})",
            rows.start,
            rows.end,
            tables.features.width,
            model.bin_ms,
            arguments.output.display(),
            id.to_hex()
        )
        .or_work()?;
        write!(out, "{}", findings(&fitted.report)).or_work()?;
    }
    for warning in &fitted.report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// A fit to a session's targets: what the session would have fitted, on the blocks that are asked for.
fn run_recording(arguments: &FitArguments, recording: &Path, spec: &DecoderSpec) -> Outcome<()> {
    if arguments.rows.is_some() || arguments.components.is_some() || !arguments.unit.is_empty() {
        let error = anyhow::anyhow!(
            "--rows, --components and --unit belong to tables: of a recording --blocks chooses, and the session says the rest"
        );
        return Err(error).or_usage();
    }
    let gathered = gather(recording, arguments.tables.blocks.as_deref()).or_usage()?;
    let session = &gathered.session;
    let demand = Demand {
        streams: session.engine.features.clone(),
        bin_ms: session.bin_ms,
        components: session.components.clone(),
        participant: arguments
            .participant
            .clone()
            .or_else(|| Some(session.participant.clone()).filter(|code| !code.is_empty())),
    };
    let start = clock::seconds();
    let budget = arguments.budget.map(|seconds| Budget { end: start + seconds, clock: clock::seconds });
    let settings = FitSettings { seed: arguments.seed, budget, background: None };
    let bar = progress_bar(1000);
    let fitted = fit_calibration(
        &gathered.calibration,
        spec,
        &demand,
        None,
        session.guard,
        &settings,
        &mut |progress| {
            bar.set_message(format!("{} {}", spec.decoder, progress.stage));
            bar.set_position((progress.done * 1000.0) as u64);
        },
    );
    bar.finish_and_clear();
    let fitted = fitted.or_work()?;
    let seconds = clock::seconds() - start;
    let id = kalmind_recording::write_model(&arguments.output, &fitted.model.model).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let report = json!({
            "model": arguments.output, "sha256": id.to_hex(), "decoder": spec.to_string(),
            "recording": recording, "blocks": gathered.blocks, "train_bins": fitted.rows, "bin_ms": session.bin_ms,
            "fit_seconds": seconds, "report": fitted.report, "chosen": fitted.report.chosen(),
        });
        return writeln!(out, "{report}").or_work();
    }
    writeln!(
        out,
        "{spec} fitted to {} bins of {} ({}) in {seconds:.2} s\n{} (sha256 {})",
        fitted.rows,
        gathered.blocks,
        recording.display(),
        arguments.output.display(),
        id.to_hex()
    )
    .or_work()?;
    write!(out, "{}", findings(&fitted.report)).or_work()?;
    for warning in &fitted.report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Candidates that people are shown, best first.
const SHOWN: usize = 10;

/// What a fit found, for people: what is in use, how it did on held-out rows, and what else was tried.
fn findings(report: &FitReport) -> String {
    let mut text = String::new();
    let mut say = |heading: &str, line: &str| {
        let _infallible = writeln!(text, "{heading:<10} {line}");
    };
    let in_use: Vec<String> =
        report.hyperparameters.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
    if !in_use.is_empty() {
        say("in use", &in_use.join(", "));
    }
    let mut held_out = Vec::new();
    if let Some(error) = report.held_out_error {
        held_out.push(format!("nRMSE {error:.4}"));
    }
    if let Some(coverage) = &report.held_out_coverage {
        let [half, ninety, ninety_nine] =
            [coverage.half, coverage.ninety, coverage.ninety_nine].map(|part| 100.0 * part);
        held_out.push(format!("coverage 50/90/99 % {half:.1}/{ninety:.1}/{ninety_nine:.1}"));
    }
    if let Some(steps) = report.fallback_steps {
        held_out.push(format!("fallback steps {steps}"));
    }
    if !held_out.is_empty() {
        say("held out", &held_out.join(", "));
    }
    let mut tried: Vec<_> = report.tried.iter().zip(report.chosen()).collect();
    tried.sort_by(|(left, _), (right, _)| left.error.total_cmp(&right.error));
    let all = tried.len();
    let mut index = 0;
    tried.retain(|(_, chosen)| {
        index += 1;
        *chosen || index <= SHOWN
    });
    for (index, (tried, chosen)) in tried.iter().enumerate() {
        let heading = if index == 0 { "tried" } else { "" };
        let mark = if *chosen { "  <- chosen" } else { "" };
        say(heading, &format!("{:.4}  {}{mark}", tried.error, tried.candidate));
    }
    if all > tried.len() {
        say("", &format!("and {} more (--json prints all, in order)", all - tried.len()));
    }
    if report.budget_used_up {
        say("budget", "used up: not everything was tried; give --budget more seconds to try it all");
    }
    text
}

/// A hyperparameter as people write it.
pub(crate) fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => match number.as_f64() {
            Some(value) if !number.is_u64() && !number.is_i64() => significant(value),
            _ => number.to_string(),
        },
        serde_json::Value::Array(values) => {
            format!("[{}]", values.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Four significant digits, without zeros at the end.
fn significant(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    rounded.to_string()
}

/// How to fit.
#[derive(Clone, Copy, Debug)]
pub struct FitOptions {
    /// Z-score the features with the training rows' statistics.
    pub zscore: bool,
    /// Seed of whatever is random.
    pub seed: u64,
    /// Seconds after which nothing more is tried.
    pub budget: Option<f64>,
}

/// Fits `spec` to ranges of rows of the tables; `label` stands before the stages on the progress bar. Gives the model, what
/// the fit said, and how many seconds it took.
///
/// # Errors
/// What [`fit`] finds.
pub fn fit_tables(
    tables: &Tables,
    rows: &[Range<usize>],
    spec: &DecoderSpec,
    options: &FitOptions,
    label: &str,
) -> Result<(Model, Fitted, f64), kalmind_filter::FitError> {
    let statistics = tables.statistics(rows);
    let zscore = options
        .zscore
        .then(|| ZScore { mean: statistics.mean.clone(), standard_deviation: statistics.deviation.clone() });
    let session = tables.session.as_ref();
    let law = session.and_then(|session| session.label_law).unwrap_or_default();
    let data = tables.training(rows, zscore.as_ref(), law.skip_ms);
    let background =
        zscore.as_ref().map_or_else(|| statistics.mean.clone(), |zscore| zscore.apply(&statistics.mean));
    let bar = progress_bar(1000);
    let start = clock::seconds();
    let budget = options.budget.map(|seconds| Budget { end: start + seconds, clock: clock::seconds });
    let settings = FitSettings { seed: options.seed, background: Some(background), budget };
    let fitted = fit(spec, &data, &settings, &mut |progress| {
        bar.set_message(format!("{label}{} {}", spec.decoder, progress.stage));
        bar.set_position((progress.done * 1000.0) as u64);
    });
    bar.finish_and_clear();
    let fitted = fitted?;
    let seconds = clock::seconds() - start;
    let components = match &tables.states.columns {
        Some(names) => names.clone(),
        None => default_names(tables.states.width),
    };
    let model = Model {
        decoder: *spec,
        streams: session.map_or_else(
            || {
                let labels = tables.features.columns.clone();
                vec![StreamFeatures { binning: Binning::Sample, channels: tables.features.width, labels }]
            },
            |session| session.streams.clone(),
        ),
        bin_ms: tables.bin_ms,
        components: session.map_or_else(
            || {
                let mut units = tables.states.units.clone().unwrap_or_default().into_iter();
                let unit = |name| Component { name, unit: units.next().unwrap_or_default() };
                components.into_iter().map(unit).collect()
            },
            |session| session.components.clone(),
        ),
        training_mean: statistics.mean,
        zscore,
        // states come as data; with a task, the law says which rows were left out of the measurement
        label_law: tables.task.is_some().then_some(law),
        participant: session.and_then(|session| session.participant.clone()),
        training_hash: Some(data.hash()),
        report: Some(json!(fitted.report)),
        guard: Some(fitted.guard.clone()),
        parameters: fitted.parameters.clone(),
    };
    Ok((model, fitted, seconds))
}

/// Names of components that a file without header leaves open: velocity first.
pub(crate) fn default_names(components: usize) -> Vec<String> {
    match components {
        1 => vec!["vx".to_owned()],
        2 => vec!["vx".to_owned(), "vy".to_owned()],
        3 => vec!["vx".to_owned(), "vy".to_owned(), "vz".to_owned()],
        more => (1..=more).map(|number| format!("z{number}")).collect(),
    }
}

fn name_components(components: &mut [Component], names: &str) -> anyhow::Result<()> {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    anyhow::ensure!(
        names.len() == components.len(),
        "--components names {} components, the states have {} columns",
        names.len(),
        components.len()
    );
    for (place, name) in names.iter().enumerate() {
        anyhow::ensure!(!name.is_empty(), "--components {}: component {place} has no name", names.join(","));
        anyhow::ensure!(
            !names.iter().take(place).any(|earlier| earlier == name),
            "--components names two components {name:?}; each needs a name of its own"
        );
    }
    for (component, name) in components.iter_mut().zip(names) {
        name.clone_into(&mut component.name);
    }
    Ok(())
}

fn binning(text: &str) -> anyhow::Result<Binning> {
    match text {
        "sample" => Ok(Binning::Sample),
        "mean" => Ok(Binning::Mean),
        "sum" => Ok(Binning::Sum),
        other => anyhow::bail!("--binning {other}: `sample`, `mean` or `sum` is expected"),
    }
}

/// A bar on stderr; invisible where stderr is no terminal.
pub(crate) fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyperparameters_read_like_options() {
        let values = serde_json::json!(["se-ard", 3, 0.123_456_789, 1.0, [1e-7, "x"], true]);
        assert_eq!(plain(&values), "[se-ard, 3, 0.1235, 1, [0.0000001, x], true]");
    }

    #[test]
    fn findings_mark_what_was_chosen_and_say_when_time_ran_out() {
        let report: FitReport = serde_json::from_value(serde_json::json!({
            "held_out_error": 0.5,
            "held_out_coverage": { "50": 0.512, "90": 0.9, "99": 0.98 },
            "hyperparameters": { "lags": 2, "form": "robust" },
            "tried": (1..=20)
                .map(|lags| serde_json::json!({ "candidate": format!("lags={lags}"), "error": if lags == 2 { 0.5 } else { 0.7 - 0.01 * f64::from(lags) } }))
                .collect::<Vec<_>>(),
            "budget_used_up": true,
        }))
        .expect("a report");
        let said = findings(&report);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "in use     form robust, lags 2");
        assert_eq!(lines[1], "held out   nRMSE 0.5000, coverage 50/90/99 % 51.2/90.0/98.0");
        // lags 20 (0.5), 2 (0.5) in some order, then 19, 18, ..
        assert!(
            lines[2].starts_with("tried      0.5000") && lines[3].starts_with("           0.5000"),
            "{said}"
        );
        assert!(said.contains("0.5000  lags=2  <- chosen") && said.matches("chosen").count() == 1, "{said}");
        assert!(lines[4].ends_with("0.5100  lags=19"), "{said}");
        assert!(said.contains("and 10 more") && said.contains("budget     used up"), "{said}");
    }
}
