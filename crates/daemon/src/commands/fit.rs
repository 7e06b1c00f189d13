//! `kalmind fit`: a decoder fitted to tables, written as a model file.

use std::{fmt::Write as _, io::Write as _, ops::Range, path::Path};

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_acquisition::clock;
use kalmind_filter::{DecoderSpec, Model, ZScore};
use kalmind_fitting::{Budget, FitProgress, FitReport, FitSettings, Fitted, fit};
use kalmind_recording::kind::FileKind;
use kalmind_types::{Binning, Component, StreamFeatures};
use serde_json::json;

use crate::{
    calibration_fit::fit_calibration,
    commands::command_line::FitArguments,
    configuration,
    decoder_quality::judge_fit,
    failure::{OrFail as _, Outcome},
    log::say,
    model::Demand,
    recorded::{GatheredSessions, gather_sessions},
    tables::{Tables, require_other_file},
};

/// Refuses to write a model over a file that is none.
fn require_no_other_kind(output: &Path) -> anyhow::Result<()> {
    // a link is refused when the model is written
    let is_file = output.symlink_metadata().is_ok_and(|found| found.is_file());
    match FileKind::of(output) {
        Ok(kind) if is_file && !matches!(kind, FileKind::Safetensors | FileKind::Empty) => {
            anyhow::bail!(
                "-o {}: this file is {}, and a model would replace it: name another file, or delete it",
                output.display(),
                kind.describe()
            )
        }
        _ => Ok(()),
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments and tables that cannot be used, 1 for a fit that fails.
pub fn run(arguments: &FitArguments) -> Outcome<()> {
    let spec: DecoderSpec = arguments.decoder.parse().or_usage()?;
    require_other_file("-o", &arguments.output, arguments.tables.files()).or_usage()?;
    require_no_other_kind(&arguments.output).or_usage()?;
    if arguments.tables.are_sessions() {
        return run_sessions(arguments, &spec);
    }
    let binning = binning(&arguments.binning).or_usage()?;
    let tables = Tables::read(&arguments.tables, &[]).or_usage()?;
    tables.require_runnable().or_usage()?;
    for remark in &tables.remarks {
        say(&format!("note: {remark}"));
    }
    let several = (tables.parts.len() > 1)
        .then(|| tables.parts.iter().map(|part| part.file.display().to_string()).collect::<Vec<_>>());
    let rows = match &arguments.rows {
        Some(_) if several.is_some() => {
            let error = anyhow::anyhow!(
                "--rows counts the rows of one recording, and {} are given",
                tables.parts.len()
            );
            return Err(error).or_usage();
        }
        Some(text) => vec![tables.range(0, "--rows", text).or_usage()?],
        None => tables.all_rows(),
    };
    // before minutes go into a fit that no run would take
    let mut components = table_components(&tables);
    if let Some(names) = &arguments.components {
        name_components(&mut components, names).or_usage()?;
    }
    if !arguments.unit.is_empty() {
        for component in &mut components {
            component.unit.clone_from(&arguments.unit);
        }
    }
    let mut remarks = tables.remarks.clone();
    if let Some(remark) = name_units(&mut components) {
        say(&format!("note: {remark}"));
        remarks.push(remark);
    }
    require_configurable(&components).or_usage()?;
    let options = FitOptions {
        zscore: arguments.tables.is_scored(),
        seed: arguments.seed,
        budget: arguments.budget,
        judged: true,
    };
    let (mut model, fitted, seconds) = fit_tables(&tables, &rows, &spec, &options, "").or_work()?;
    let rows = rows.first().map_or(0, |first| first.start)..rows.last().map_or(0, |last| last.end);
    if tables.session.is_none() {
        for stream in &mut model.streams {
            stream.binning = binning;
        }
    }
    if arguments.participant.is_some() {
        model.participant.clone_from(&arguments.participant);
    }
    model.components = components;
    let id = kalmind_recording::write_model(&arguments.output, &model).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let mut report = json!({
            "model": arguments.output, "sha256": id.to_hex(), "decoder": spec.to_string(),
            "rows": [rows.start, rows.end], "bin_ms": model.bin_ms, "fit_seconds": seconds, "report": fitted.report,
            "chosen": fitted.report.chosen(), "remarks": remarks, "runs_with": runs_with(&model),
        });
        if let Some(files) = several {
            report["recordings"] = files.into();
        }
        writeln!(out, "{report}").or_work()?;
    } else {
        writeln!(
            out,
            "{spec} fitted to rows {}..{}{} ({} features, bins of {} ms) in {seconds:.2} s\n{} (sha256 {})",
            rows.start,
            rows.end,
            several.map(|files| format!(" of {} together", files.join(" and "))).unwrap_or_default(),
            tables.features.width,
            rounded(model.bin_ms),
            arguments.output.display(),
            id.to_hex()
        )
        .or_work()?;
        writeln!(out, "{:<10} {}", "runs with", runs_with(&model)).or_work()?;
        write!(out, "{}", findings(&fitted.report)).or_work()?;
    }
    for warning in &fitted.report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// The unit of components whose states say none: the configuration has to be able to name it.
const UNKNOWN_UNIT: &str = "a.u.";

/// Gives components without a unit one that says so; what was assumed, where it was.
fn name_units(components: &mut [Component]) -> Option<String> {
    let unnamed: Vec<&mut Component> =
        components.iter_mut().filter(|component| component.unit.is_empty()).collect();
    if unnamed.is_empty() {
        return None;
    }
    let names: Vec<String> = unnamed
        .into_iter()
        .map(|component| {
            UNKNOWN_UNIT.clone_into(&mut component.unit);
            component.name.clone()
        })
        .collect();
    Some(format!(
        "the states do not say the unit of {}: the model has \"{UNKNOWN_UNIT}\" (arbitrary units); --unit names it, or a column \
         of the states called \"{} (mm/s)\"",
        names.join(", "),
        names.first().map_or("vx", String::as_str)
    ))
}

/// Refuses components that no configuration could name, before they stand in a model.
fn require_configurable(components: &[Component]) -> anyhow::Result<()> {
    for (place, component) in components.iter().enumerate() {
        for (what, option, text) in
            [("name", "--components", &component.name), ("unit", "--unit", &component.unit)]
        {
            if let Some(objection) = configuration::objection_to_text(text) {
                anyhow::bail!(
                    "the {what} of component {place}, {text:?}, {objection}, and a run would refuse it: give another with {option}"
                );
            }
        }
        anyhow::ensure!(
            !components.iter().take(place).any(|earlier| earlier.name == component.name),
            "two components are called {:?}: give each a name of its own with --components",
            component.name
        );
    }
    Ok(())
}

/// What the configuration of a run with this model says.
fn runs_with(model: &Model) -> String {
    let streams: Vec<String> = model
        .streams
        .iter()
        .map(|stream| {
            let binning = format!("{:?}", stream.binning).to_lowercase();
            let labels = stream.labels.as_ref().map_or_else(
                || "whatever their labels".to_owned(),
                |labels| match labels.as_slice() {
                    [first, .., last] => format!("labelled \"{first}\" to \"{last}\""),
                    _ => format!("labelled \"{}\"", labels.concat()),
                },
            );
            format!("{} channels {labels}, binning = \"{binning}\"", stream.channels)
        })
        .collect();
    let components: Vec<String> = model
        .components
        .iter()
        .map(|component| format!("{} in {}", component.name, component.unit))
        .collect();
    format!("{}; bins of {} ms; intent {}", streams.join("; "), rounded(model.bin_ms), components.join(", "))
}

/// A width that was read off stamps, as people write it.
fn rounded(bin_ms: f64) -> f64 {
    (bin_ms * 1e6).round() / 1e6
}

/// A fit to the targets of sessions: what a session would have fitted, on the blocks that are asked for.
fn run_sessions(arguments: &FitArguments, spec: &DecoderSpec) -> Outcome<()> {
    if arguments.rows.is_some() || arguments.components.is_some() || !arguments.unit.is_empty() {
        let error = anyhow::anyhow!(
            "--rows, --components and --unit belong to tables: of a recording --blocks chooses, and the session says the rest"
        );
        return Err(error).or_usage();
    }
    let recordings = &arguments.tables.recordings;
    let GatheredSessions { gathered, participant, refused } =
        gather_sessions(recordings, arguments.tables.blocks.as_deref()).or_usage()?;
    if refused > 0 {
        say(&format!("note: {refused} rows are left out: there is no room in memory for more"));
    }
    let session = &gathered.session;
    let demand = Demand {
        streams: session.engine.features.clone(),
        bin_ms: session.bin_ms,
        components: session.components.clone(),
        participant: arguments.participant.clone().or(participant),
    };
    let start = clock::seconds();
    let budget = arguments.budget.map(|seconds| Budget { end: start + seconds, clock: clock::seconds });
    let settings = FitSettings { seed: arguments.seed, budget, ..FitSettings::default() };
    let mut shown = ShownFit::new(spec, "");
    let fitted = fit_calibration(
        &gathered.calibration,
        spec,
        &demand,
        None,
        session.guard,
        &settings,
        &mut |progress| shown.show(&progress),
    );
    shown.bar.finish_and_clear();
    let fitted = fitted.or_work()?;
    let seconds = clock::seconds() - start;
    let id = kalmind_recording::write_model(&arguments.output, &fitted.model.model).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let mut report = json!({
            "model": arguments.output, "sha256": id.to_hex(), "decoder": spec.to_string(), "blocks": gathered.blocks, "train_bins": fitted.rows, "bin_ms": session.bin_ms,
            "fit_seconds": seconds, "report": fitted.report, "chosen": fitted.report.chosen(),
        });
        match recordings.as_slice() {
            [recording] => report["recording"] = json!(recording),
            several => report["recordings"] = json!(several),
        }
        return writeln!(out, "{report}").or_work();
    }
    writeln!(
        out,
        "{spec} fitted to {} bins of {} ({}) in {seconds:.2} s\n{} (sha256 {})",
        fitted.rows,
        gathered.blocks,
        recordings.iter().map(|recording| recording.display().to_string()).collect::<Vec<_>>().join(" and "),
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
    match &report.quality {
        Some(quality) => held_out.push(quality.to_string()),
        None => held_out.extend(report.held_out_error.map(|error| format!("nRMSE {error:.4}"))),
    }
    if let Some(coverage) = &report.held_out_coverage {
        let [half, ninety, ninety_nine] =
            [coverage.half, coverage.ninety, coverage.ninety_nine].map(|part| 100.0 * part);
        held_out.push(format!("coverage 50/90/99 % {half:.1}/{ninety:.1}/{ninety_nine:.1}"));
    }
    if let (None, Some(steps)) = (&report.quality, report.fallback_steps) {
        held_out.push(format!("fallback steps {steps}"));
    }
    if !held_out.is_empty() {
        say("held out", &held_out.join(", "));
    }
    if let Some(quality) = &report.quality {
        say("chance", &quality.chance.to_string());
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
    /// Whether to say how good the decoder is by training rows that are held out: not where it is tested on other rows.
    pub judged: bool,
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
) -> Result<(Model, Fitted, f64), kalmind_fitting::FitError> {
    let statistics = tables.statistics(rows);
    let zscore = options
        .zscore
        .then(|| ZScore { mean: statistics.mean.clone(), standard_deviation: statistics.deviation.clone() });
    let session = tables.session.as_ref();
    let law = session.and_then(|session| session.label_law).unwrap_or_default();
    let data = tables.training(rows, zscore.as_ref(), law.skip_ms);
    let background =
        zscore.as_ref().map_or_else(|| statistics.mean.clone(), |zscore| zscore.apply(&statistics.mean));
    let mut shown = ShownFit::new(spec, label);
    let start = clock::seconds();
    let budget = options.budget.map(|seconds| Budget { end: start + seconds, clock: clock::seconds });
    // a session's targets made the states; those of a stream or a file are data
    let labels = session.is_some_and(|session| session.label_law.is_some());
    let settings = FitSettings { seed: options.seed, background: Some(background), budget, labels };
    let mut show = |progress: FitProgress| shown.show(&progress);
    let fitted = fit(spec, &data, &settings, &mut show).map(|mut fitted| {
        if options.judged {
            judge_fit(spec, &data, None, &settings, &mut fitted, &mut show);
        }
        fitted
    });
    shown.bar.finish_and_clear();
    let fitted = fitted?;
    let seconds = clock::seconds() - start;
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
        components: table_components(tables),
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

/// The components of the states: names and units of a session, of a stream's channels or of a file's columns, as far as
/// they say any.
fn table_components(tables: &Tables) -> Vec<Component> {
    if let Some(session) = &tables.session {
        return session.components.clone();
    }
    let names = tables.states.columns.clone().unwrap_or_else(|| default_names(tables.states.width));
    let mut units = tables.states.units.clone().unwrap_or_default().into_iter();
    let unit = |name| Component { name, unit: units.next().unwrap_or_default() };
    names.into_iter().map(unit).collect()
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
    let named = Binning::ALL.into_iter().find(|binning| binning.name() == text);
    named.ok_or_else(|| anyhow::anyhow!("--binning {text}: `sample`, `mean` or `sum` is expected"))
}

/// A fit as people watch it, on stderr: a bar, and a line for each candidate once it is judged.
struct ShownFit<'a> {
    bar: ProgressBar,
    spec: &'a DecoderSpec,
    /// Stands before everything.
    label: &'a str,
    /// When the candidate began that is being fitted.
    begun: f64,
}

impl<'a> ShownFit<'a> {
    fn new(spec: &'a DecoderSpec, label: &'a str) -> Self {
        Self { bar: progress_bar(1000), spec, label, begun: clock::seconds() }
    }

    fn show(&mut self, progress: &FitProgress) {
        self.bar.set_message(format!("{}{} {}", self.label, self.spec.decoder, progress.stage));
        self.bar.set_position((progress.done * 1000.0) as u64);
        let Some(tried) = &progress.tried else { return };
        let now = clock::seconds();
        let line = format!(
            "{}tried {}: held-out nRMSE {:.4}, {:.1} s",
            self.label,
            tried.candidate,
            tried.error,
            now - self.begun
        );
        self.begun = now;
        if self.bar.is_hidden() {
            say(&line);
        } else {
            self.bar.println(line);
        }
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
    fn components_without_a_unit_get_one_and_those_that_no_configuration_could_name_are_refused() {
        let component = |name: &str, unit: &str| Component { name: name.to_owned(), unit: unit.to_owned() };
        let mut components = [component("hand_x", "mm/s"), component("hand_y", "")];
        let remark = name_units(&mut components).expect("a remark");
        assert!(remark.contains("hand_y") && !remark.contains("hand_x"), "{remark}");
        assert_eq!(components[1].unit, "a.u.");
        assert_eq!(name_units(&mut components), None);
        assert!(require_configurable(&components).is_ok());
        let refused = [("", "m", "--components"), ("a\nb", "m", "--components"), ("x", "\u{7}", "--unit")];
        for (name, unit, way_out) in refused {
            let error = require_configurable(&[component(name, unit)]).expect_err("refused").to_string();
            assert!(error.contains(way_out), "{error}");
        }
        assert!(require_configurable(&[component("x", "m"), component("x", "m")]).is_err());
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
