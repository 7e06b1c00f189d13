//! `kalmind fit`: a decoder fitted to tables, written as a model file.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_filter::{DecoderSpec, FitSettings, Fitted, Model, ZScore, fit};
use kalmind_types::{Binning, Component, StreamFeatures};
use serde_json::json;

use crate::{
    cli::FitArguments,
    failure::{OrFail as _, Outcome},
    tables::Tables,
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments and tables that cannot be used, 1 for a fit that fails.
pub fn run(arguments: &FitArguments) -> Outcome<()> {
    let spec: DecoderSpec = arguments.decoder.parse().or_usage()?;
    let binning = binning(&arguments.binning).or_usage()?;
    let tables = Tables::read(&arguments.tables).or_usage()?;
    let rows = match &arguments.rows {
        Some(text) => tables.range("--rows", text).or_usage()?,
        None => 0..tables.features.rows,
    };
    let (mut model, fitted, seconds) =
        fit_tables(&tables, rows.clone(), &spec, arguments.tables.zscore, arguments.seed).or_work()?;
    for stream in &mut model.streams {
        stream.binning = binning;
    }
    model.participant.clone_from(&arguments.participant);
    if let Some(names) = &arguments.components {
        name_components(&mut model.components, names).or_usage()?;
    }
    for component in &mut model.components {
        component.unit.clone_from(&arguments.unit);
    }
    let id = kalmind_recording::write_model(&arguments.output, &model).or_work()?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let report = json!({
            "model": arguments.output, "sha256": id.to_hex(), "decoder": spec.to_string(),
            "rows": [rows.start, rows.end], "bin_ms": model.bin_ms, "fit_seconds": seconds, "report": fitted.report,
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
    }
    for warning in &fitted.report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Fits `spec` to rows of the tables. Gives the model, what the fit said, and how many seconds it took.
///
/// # Errors
/// What [`fit`] finds.
pub fn fit_tables(
    tables: &Tables,
    rows: std::ops::Range<usize>,
    spec: &DecoderSpec,
    zscore: bool,
    seed: u64,
) -> Result<(Model, Fitted, f64), kalmind_filter::FitError> {
    let statistics = tables.statistics(rows.clone());
    let zscore = zscore
        .then(|| ZScore { mean: statistics.mean.clone(), standard_deviation: statistics.deviation.clone() });
    let law = kalmind_filter::LabelLaw::default();
    let data = tables.training(rows, zscore.as_ref(), law.skip_ms);
    let background =
        zscore.as_ref().map_or_else(|| statistics.mean.clone(), |zscore| zscore.apply(&statistics.mean));
    let settings = FitSettings { seed, background: Some(background), budget: None };
    let bar = progress_bar();
    let start = kalmind_acquisition::clock::now();
    let fitted = fit(spec, &data, &settings, &mut |progress| {
        bar.set_message(progress.stage);
        bar.set_position((progress.done * 1000.0) as u64);
    })?;
    let seconds = (kalmind_acquisition::clock::now() - start).0;
    bar.finish_and_clear();
    let components = match &tables.states.columns {
        Some(names) => names.clone(),
        None => default_names(tables.states.width),
    };
    let model = Model {
        decoder: *spec,
        streams: vec![StreamFeatures {
            binning: Binning::Sample,
            channels: tables.features.width,
            labels: tables.features.columns.clone(),
        }],
        bin_ms: tables.bin_ms,
        components: components.into_iter().map(|name| Component { name, unit: String::new() }).collect(),
        training_mean: statistics.mean,
        zscore,
        // states come as data; with a task, the law says which rows were left out of the measurement
        label_law: tables.task.is_some().then_some(law),
        participant: None,
        training_hash: Some(data.hash()),
        report: Some(json!(fitted.report)),
        guard: Some(fitted.guard.clone()),
        parameters: fitted.parameters.clone(),
    };
    Ok((model, fitted, seconds))
}

/// Names of components that a file without header leaves open: velocity first.
fn default_names(components: usize) -> Vec<String> {
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
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1000).with_style(style)
}
