//! `kalmind fit`: a decoder fitted to tables, written as a model file.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use kalmind_acquisition::clock;
use kalmind_filter::{DecoderSpec, Model};
use kalmind_fitting::{Budget, FitReport, FitSettings};
use kalmind_offline::{
    FitOptions, TableFit, findings, fit_sessions, fit_tables, named_components, rounded, runs_with, selected,
    sources::{gather_sessions, read_rows, sources},
    tables::require_other_file,
};
use kalmind_recording::{Existing, kind::FileKind, parse_rows, require_writable};
use kalmind_types::{Binning, Component};
use serde_json::json;

use crate::{
    commands::{beginning, command::Command, table_arguments::TableArguments, values::budget},
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

/// Fit a decoder and write a model file.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind fit --features x.csv --states z.csv --rate 10 --rows 0..5000 --decoder dkf-nw -o model.kalmind\n`kalmind fit --help DECODER` lists a decoder's options."
)]
pub struct FitArguments {
    /// Tables.
    #[command(flatten)]
    pub tables: TableArguments,
    /// Training rows A to B - 1, counted from 0 [default: all]; for a single recording or pair of tables.
    #[arg(long, value_name = "A..B")]
    pub rows: Option<String>,
    /// Decoder, with options after a colon.
    #[arg(long, value_name = "NAME")]
    pub decoder: String,
    /// How the daemon makes features of a stream's samples: sample, mean or sum.
    #[arg(long, value_name = "BINNING", default_value = "sample")]
    pub binning: String,
    /// Names of the intent's components, separated by commas [default: the states' header, else vx, vy, ...].
    #[arg(long, value_name = "NAMES")]
    pub components: Option<String>,
    /// Unit of the intent's components [default: what the states say, as in a column "vx (mm/s)", else a.u.].
    #[arg(long, value_name = "UNIT", default_value = "", hide_default_value = true)]
    pub unit: String,
    /// Participant code stored in the model.
    #[arg(long, value_name = "CODE")]
    pub participant: Option<String>,
    /// Seed of whatever is random in the fit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Time limit for the fit, in seconds [default: none].
    #[arg(long, value_name = "SECONDS", value_parser = budget, allow_negative_numbers = true)]
    pub budget: Option<f64>,
    /// Model file to write.
    #[arg(short = 'o', long = "output", value_name = "MODEL")]
    pub output: PathBuf,
    /// Print the report as one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for FitArguments {
    const TAKES_DECODERS: bool = true;

    fn run(&self) -> Outcome<()> {
        beginning::offline()?;
        run(self)
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments and tables that cannot be used, 1 for a fit that fails.
fn run(arguments: &FitArguments) -> Outcome<()> {
    let spec: DecoderSpec = arguments.decoder.parse().or_usage()?;
    let from = arguments.tables.options()?;
    require_other_file("-o", &arguments.output, from.files()).or_usage()?;
    require_no_other_kind(&arguments.output).or_usage()?;
    require_writable(&arguments.output, Existing::Replace).or_work()?;
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
    let (components, remark) =
        named_components(&tables, arguments.components.as_deref(), &arguments.unit).or_usage()?;
    let mut remarks = tables.remarks.clone();
    if let Some(remark) = remark {
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
            "selected": selected(&model),
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
        say_found(&mut out, &fitted.report, &model)?;
    }
    for warning in &fitted.report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
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

/// A fit to the targets of sessions: what a session would have fitted, on the blocks that are asked for.
fn run_sessions(arguments: &FitArguments, spec: &DecoderSpec) -> Outcome<()> {
    if arguments.rows.is_some() || arguments.components.is_some() || !arguments.unit.is_empty() {
        let error = anyhow::anyhow!(
            "--rows, --components and --unit belong to tables: of a recording --blocks chooses, and the session says the rest"
        );
        return Err(error).or_usage();
    }
    let recordings = &arguments.tables.recordings;
    let sessions = gather_sessions(recordings, arguments.tables.blocks.as_deref(), &Terminal).or_usage()?;
    if sessions.refused > 0 {
        say(&format!("note: {} rows are left out: there is no room in memory for more", sessions.refused));
    }
    let (gathered, session) = (&sessions.gathered, &sessions.gathered.session);
    let start = clock::seconds();
    let budget = arguments.budget.map(|seconds| Budget { end: start + seconds, clock: clock::seconds });
    let settings = FitSettings { seed: arguments.seed, budget, ..FitSettings::default() };
    let participant = arguments.participant.as_deref();
    let fitted = fit_sessions(&sessions, spec, participant, &settings, &Terminal).or_work()?;
    let seconds = clock::seconds() - start;
    let id = kalmind_recording::write_model(&arguments.output, &fitted.model.model).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let mut report = json!({
            "model": arguments.output, "sha256": id.to_hex(), "decoder": spec.to_string(), "blocks": gathered.blocks, "train_bins": fitted.rows, "bin_ms": session.bin_ms,
            "fit_seconds": seconds, "report": fitted.report, "chosen": fitted.report.chosen(),
            "selected": selected(&fitted.model.model),
        });
        if gathered.left_out > 0 {
            report["left_out_bins"] = json!(gathered.left_out);
        }
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
    say_found(&mut out, &fitted.report, &fitted.model.model)?;
    for warning in &fitted.report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// What the fit found, and which features its model takes.
fn say_found(out: &mut impl std::io::Write, report: &FitReport, model: &Model) -> Outcome<()> {
    if let Some(names) = selected(model) {
        writeln!(out, "{:<10} {}", "selected", names.join(", ")).or_work()?;
    }
    write!(out, "{}", findings(report)).or_work()
}

fn binning(text: &str) -> anyhow::Result<Binning> {
    let named = Binning::ALL.into_iter().find(|binning| binning.name() == text);
    named.ok_or_else(|| anyhow::anyhow!("--binning {text}: `sample`, `mean` or `sum` is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_no_configuration_could_name_are_refused() {
        let component = |name: &str, unit: &str| Component { name: name.to_owned(), unit: unit.to_owned() };
        assert!(require_configurable(&[component("hand_x", "mm/s"), component("hand_y", "a.u.")]).is_ok());
        let refused = [("", "m", "--components"), ("a\nb", "m", "--components"), ("x", "\u{7}", "--unit")];
        for (name, unit, way_out) in refused {
            let error = require_configurable(&[component(name, unit)]).expect_err("refused").to_string();
            assert!(error.contains(way_out), "{error}");
        }
        assert!(require_configurable(&[component("x", "m"), component("x", "m")]).is_err());
    }
}
