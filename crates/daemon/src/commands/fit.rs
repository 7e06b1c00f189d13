//! `kalmind fit`: a decoder fitted to tables, written as a model file.

use std::{io::Write as _, path::Path};

use kalmind_acquisition::clock;
use kalmind_filter::{DecoderSpec, Model};
use kalmind_fitting::{Budget, FitSettings};
use kalmind_offline::{
    FitOptions, Host as _, TableFit, findings, fit_calibration, fit_tables,
    model::Demand,
    name_components,
    sources::{GatheredSessions, gather_sessions, read_rows, sources},
    table_components,
    tables::require_other_file,
};
use kalmind_recording::{kind::FileKind, parse_rows};
use kalmind_types::{Binning, Component};
use serde_json::json;

use crate::{
    commands::command_line::FitArguments,
    configuration,
    failure::{OrFail as _, Outcome},
    log::say,
    terminal::Terminal,
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
    let from = arguments.tables.options();
    require_other_file("-o", &arguments.output, from.files()).or_usage()?;
    require_no_other_kind(&arguments.output).or_usage()?;
    if from.are_sessions() {
        return run_sessions(arguments, &spec);
    }
    let binning = binning(&arguments.binning).or_usage()?;
    let tables = sources(&from, &[]).and_then(|sources| read_rows(&sources, &Terminal)).or_usage()?;
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
        Some(text) => {
            let rows = parse_rows(text).map_err(|source| anyhow::anyhow!("--rows: {source}")).or_usage()?;
            vec![tables.range(0, "--rows", &rows).or_usage()?]
        }
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
    let options =
        FitOptions { zscore: from.is_scored(), seed: arguments.seed, budget: arguments.budget, judged: true };
    let TableFit { mut model, fitted, seconds } =
        fit_tables(&tables, &rows, &spec, &options, "", &Terminal).or_work()?;
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
        gather_sessions(recordings, arguments.tables.blocks.as_deref(), &Terminal).or_usage()?;
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
    let mut shown = Terminal.fit(spec, "");
    let fitted = fit_calibration(
        &gathered.calibration,
        spec,
        &demand,
        None,
        session.guard,
        &settings,
        &mut |progress| shown(&progress),
    );
    drop(shown);
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

fn binning(text: &str) -> anyhow::Result<Binning> {
    let named = Binning::ALL.into_iter().find(|binning| binning.name() == text);
    named.ok_or_else(|| anyhow::anyhow!("--binning {text}: `sample`, `mean` or `sum` is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
