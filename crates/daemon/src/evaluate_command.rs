//! `kalmind evaluate`: decoders on held-out rows, run by the engine of the live tick.

use std::{fmt::Write as _, io::Write as _, path::Path};

use kalmind_filter::{DecoderSpec, FitReport};
use kalmind_recording::{Existing, write_new_file};

use crate::{
    cli::EvaluateArguments,
    evaluation::{
        channels::{ChannelFacts, Errors, Perturbation, Trial, channel_names},
        comparison::{Compared, Comparison, Intervals, Run, judge},
        decode::{Alteration, Saturation, decode_rows},
        document::document,
        predictions::write_predictions,
        split::{Split, Splits},
        text,
    },
    failure::{OrFail as _, Outcome},
    fit_command::{FitOptions, fit_tables, progress_bar},
    log::say,
    model::IdentifiedModel,
    report,
    tables::Tables,
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments, tables and models that cannot be used, 1 for a fit that fails or a file that cannot be
/// written.
pub fn run(arguments: &EvaluateArguments) -> Outcome<()> {
    // what is written at the end is tried first: no hour of fitting for a folder that is not there
    if let Some(path) = &arguments.report {
        check_writable(path).or_usage()?;
    }
    let specs = match &arguments.model {
        Some(_) => Vec::new(),
        None => DecoderSpec::parse_list(&arguments.decoders.join(",")).or_usage()?,
    };
    let mut tables = Tables::read(&arguments.tables).or_usage()?;
    let model = arguments.model.as_deref().map(crate::model::load).transpose().or_usage()?;
    if let Some(model) = &model {
        tables.order_features_like(&labels(model).unwrap_or_default());
        check_model(model, &tables).or_usage()?;
    }
    let splits = Splits::of(arguments, &tables).or_usage()?;
    let channel_names = channel_names(&tables);
    let perturbations = arguments
        .perturb
        .iter()
        .map(|text| Perturbation::read(text, &channel_names))
        .collect::<anyhow::Result<Vec<_>>>()
        .or_usage()?;
    let truth =
        splits.splits.iter().map(|split| tables.states_of(core::slice::from_ref(&split.test))).collect();
    for split in &splits.splits {
        let test = &split.test;
        let shared: usize = split
            .train
            .iter()
            .map(|train| train.end.min(test.end).saturating_sub(train.start.max(test.start)))
            .sum();
        if shared > 0 {
            tables.remarks.push(format!(
                "{shared} of the test rows {}..{} are training rows too: the figures are better than on rows that no fit has seen",
                test.start, test.end
            ));
        }
    }
    for remark in &tables.remarks {
        say(&format!("note: {remark}"));
    }
    let mut comparison = Comparison {
        truth,
        components: components(&tables),
        bin_ms: tables.bin_ms,
        remarks: tables.remarks.clone(),
        channel_names,
        channel_facts: Vec::new(),
        perturbations,
        saturate: arguments.saturate,
        seeds: (0..u64::from(arguments.seeds)).map(|index| arguments.seed.wrapping_add(index)).collect(),
        decoders: Vec::new(),
        splits,
    };
    if let (Some(model), Some(path)) = (model, &arguments.model) {
        let facts = ChannelFacts::of_model(&model, &tables, &comparison.splits.test);
        if facts.deviation.is_none() && !comparison.perturbations.is_empty() {
            let error = anyhow::anyhow!(
                "--perturb: {} does not store the standard deviations of its training rows; fit it with --zscore, or \
                 evaluate with --train and --decoders",
                path.display()
            );
            return Err(error).or_usage();
        }
        comparison.channel_facts = vec![facts];
        let spec = model.model.decoder;
        let report = model.model.report.clone().and_then(|report| serde_json::from_value(report).ok());
        let fitted = Fitted { model, report, seconds: None, seed: arguments.seed };
        let run = run_split(arguments, &tables, &comparison, 0, fitted).or_work()?;
        comparison.decoders.push(Compared { spec, runs: vec![run] });
    } else {
        let facts = |split: &Split| ChannelFacts::of_training(&tables, &split.train);
        comparison.channel_facts = comparison.splits.splits.iter().map(facts).collect();
        for (index, spec) in specs.iter().enumerate() {
            let label = format!("decoder {} of {}, ", index + 1, specs.len());
            let compared = compare(arguments, &tables, &comparison, spec, &label).or_work()?;
            comparison.decoders.push(compared);
        }
    }
    if let Some(folder) = &arguments.predictions {
        write_all_predictions(folder, &comparison).or_work()?;
    }
    print(arguments, &comparison)
}

fn print(arguments: &EvaluateArguments, comparison: &Comparison) -> Outcome<()> {
    let wanted = arguments.intervals || arguments.report.is_some() || !arguments.json;
    let intervals = wanted.then(|| Intervals::of(comparison, arguments.resamples, arguments.seed));
    if let (Some(path), Some(intervals)) = (&arguments.report, &intervals) {
        let page = report::page(arguments, comparison, intervals).or_work()?;
        write_new_file(path, Existing::Replace, page.as_bytes()).or_work()?;
    }
    let mut out = std::io::stdout().lock();
    match &intervals {
        Some(intervals) if !arguments.json => {
            write!(out, "{}", text::tables(comparison, intervals)).or_work()?;
            arguments.note.map_or(Ok(()), |note| writeln!(out, "{note}")).or_work()
        }
        intervals => {
            let asked = intervals.as_ref().filter(|_| arguments.intervals);
            let mut document = document(comparison, asked);
            if !comparison.remarks.is_empty() {
                document["remarks"] = comparison.remarks.clone().into();
            }
            if let Some(note) = arguments.note {
                document["note"] = note.into();
            }
            writeln!(out, "{document}").or_work()
        }
    }
}

/// A model and where it comes from.
struct Fitted {
    model: IdentifiedModel,
    report: Option<FitReport>,
    seconds: Option<f64>,
    seed: u64,
}

/// Fits one decoder for every split and seed, and runs each fit.
fn compare(
    arguments: &EvaluateArguments,
    tables: &Tables,
    comparison: &Comparison,
    spec: &DecoderSpec,
    label: &str,
) -> anyhow::Result<Compared> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, split) in comparison.splits.splits.iter().enumerate() {
        let saturated = saturation(comparison, index).map(|limits| saturated(tables, &limits));
        let first = runs.len();
        for &seed in &comparison.seeds {
            let options = FitOptions { zscore: arguments.tables.is_scored(), seed, budget: arguments.budget };
            let tables_to_fit = saturated.as_ref().unwrap_or(tables);
            let (model, fitted, seconds) = fit_tables(tables_to_fit, &split.train, spec, &options, label)?;
            for warning in &fitted.report.warnings {
                tracing::warn!("{spec}: {warning}");
            }
            // where a second seed changes nothing, no further one will
            if runs.len() == first + 1 && runs[first].model.model.parameters == fitted.parameters {
                break;
            }
            let model = IdentifiedModel::of(&model)?;
            let fitted = Fitted { model, report: Some(fitted.report), seconds: Some(seconds), seed };
            runs.push(run_split(arguments, tables, comparison, index, fitted)?);
        }
    }
    Ok(Compared { spec: *spec, runs })
}

/// Runs one fit over the test rows of one split, and again with channels changed where that is asked for.
fn run_split(
    arguments: &EvaluateArguments,
    tables: &Tables,
    comparison: &Comparison,
    index: usize,
    fitted: Fitted,
) -> anyhow::Result<Run> {
    let Split { train, test } = &comparison.splits.splits[index];
    let truth = &comparison.truth[index];
    let limits = saturation(comparison, index);
    let alteration = Alteration { change: None, saturation: limits.as_ref() };
    let decoded = decode_rows(&fitted.model, tables, test.clone(), &alteration)?;
    let trained = (!train.is_empty()).then(|| tables.states_of(train));
    let (rows, accuracy) = judge(truth, &decoded, Comparison::least_speed(trained.as_ref()));
    let facts = &comparison.channel_facts[index];
    let trial = Trial { model: &fitted.model, tables, test, truth, facts, saturation: limits.as_ref() };
    let influence = arguments.influence || arguments.report.is_some();
    let channels =
        comparison.perturbations.iter().map(|perturbation| perturbation.channels.len()).sum::<usize>()
            + if influence { tables.features.width } else { 0 };
    let bar = progress_bar(channels as u64);
    bar.set_message(format!("{} with channels changed", fitted.model.model.decoder.decoder));
    let decoded_one = || bar.inc(1);
    let perturbed = comparison
        .perturbations
        .iter()
        .map(|perturbation| trial.perturbed(perturbation, &decoded_one))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let influences = influence.then(|| trial.influences(&decoded.intents, &decoded_one)).transpose()?;
    bar.finish_and_clear();
    Ok(Run {
        split: index,
        seed: fitted.seed,
        report: fitted.report,
        fit_seconds: fitted.seconds,
        unfiltered: decoded.unfiltered.as_ref().map(|unfiltered| Errors::of(truth, unfiltered)),
        model: fitted.model,
        decoded,
        rows,
        accuracy,
        perturbed,
        influences,
    })
}

/// The limits on features that the split's training rows give, where asked for.
fn saturation(comparison: &Comparison, split: usize) -> Option<Saturation> {
    let facts = comparison.channel_facts.get(split)?;
    Some(Saturation {
        mean: facts.mean.clone(),
        deviation: facts.deviation.clone()?,
        limit: comparison.saturate?,
    })
}

/// The tables with all features within limits.
fn saturated(tables: &Tables, limits: &Saturation) -> Tables {
    let mut limited = tables.clone();
    for row in limited.features.values.chunks_exact_mut(tables.features.width) {
        limits.apply(row);
    }
    limited
}

/// Names of the states' columns.
fn components(tables: &Tables) -> Vec<String> {
    tables.states.columns.clone().unwrap_or_else(|| crate::fit_command::default_names(tables.states.width))
}

fn write_all_predictions(folder: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    for (index, decoder) in comparison.decoders.iter().enumerate() {
        let name = decoder.spec.decoder.as_str();
        for run in &decoder.runs {
            let mut file = format!("{index}-{name}");
            if comparison.splits.folded() {
                let _infallible = write!(file, "-fold{}", run.split);
            }
            if comparison.seeds.len() > 1 {
                let _infallible = write!(file, "-seed{}", run.seed);
            }
            let first_row = comparison.splits.splits[run.split].test.start;
            let intents = &run.decoded.intents;
            write_predictions(folder, &run.model.model, &format!("{file}.csv"), intents, first_row)?;
        }
    }
    Ok(())
}

/// Whether a file can be made there.
fn check_writable(path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    anyhow::ensure!(
        folder.is_dir(),
        "--report {}: there is no folder {}; make it, or write elsewhere",
        path.display(),
        folder.display()
    );
    anyhow::ensure!(!path.is_dir(), "--report {}: this is a folder; name a file in it", path.display());
    Ok(())
}

/// The model's channel labels, where it knows those of all streams.
fn labels(model: &IdentifiedModel) -> Option<Vec<&str>> {
    let streams = model.model.streams.iter();
    let labels = streams.map(|stream| stream.labels.as_deref()).collect::<Option<Vec<_>>>()?;
    Some(labels.into_iter().flatten().map(String::as_str).collect())
}

/// Whether a model can be run on the tables at all.
fn check_model(model: &IdentifiedModel, tables: &Tables) -> anyhow::Result<()> {
    let (expected, found) = (model.model.features(), tables.features.width);
    anyhow::ensure!(expected == found, "the model takes {expected} features, and the data have {found}");
    let (expected, found) = (model.model.components.len(), tables.states.width);
    anyhow::ensure!(
        expected == found,
        "the model decodes {expected} components, and the states have {found}"
    );
    if let (Some(labels), Some(columns)) = (labels(model), &tables.features.columns)
        && let Some((label, column)) = labels.iter().zip(columns).find(|(label, column)| **label != *column)
    {
        anyhow::bail!("the model's channel \"{label}\" is \"{column}\" in the data");
    }
    let (expected, found) = (model.model.bin_ms, tables.bin_ms);
    anyhow::ensure!(
        (expected - found).abs() <= crate::model::SAME_WIDTH * expected,
        "the model was fitted with bins of {expected} ms, the rows are {found} ms apart (--rate)"
    );
    Ok(())
}
