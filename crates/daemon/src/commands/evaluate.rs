//! `kalmind evaluate`: decoders on held-out rows, run by the engine of the live tick.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use kalmind_filter::DecoderSpec;
use kalmind_recording::{Existing, write_new_file};

use crate::{
    commands::command_line::EvaluateArguments,
    evaluation::{
        channels::{ChannelFacts, Perturbation, channel_names},
        comparison::{Compared, Comparison, Intervals, Recording},
        document::document,
        figures_table::write_figures,
        predictions::write_predictions,
        runs::{Fitted, compare, run_split},
        split::{Scheme, Split, Splits},
        text,
    },
    failure::{OrFail as _, Outcome},
    log::say,
    model::IdentifiedModel,
    report,
    tables::{Tables, require_other_file},
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments, tables and models that cannot be used, 1 for a fit that fails or a file that cannot be
/// written.
pub fn run(arguments: &EvaluateArguments) -> Outcome<()> {
    check_outputs(arguments).or_usage()?;
    let specs = match &arguments.model {
        Some(_) => Vec::new(),
        None => DecoderSpec::parse_list(&arguments.decoders.join(",")).or_usage()?,
    };
    let further: Vec<PathBuf> = Splits::test_files(arguments).map(Path::to_owned).collect();
    let mut tables = Tables::read(&arguments.tables, &further).or_usage()?;
    let model = arguments.model.as_deref().map(crate::model::load).transpose().or_usage()?;
    if let Some(model) = &model {
        tables.order_features_like(&labels(model).unwrap_or_default());
        let components: Vec<&str> = model.model.components.iter().map(|component| &*component.name).collect();
        tables.order_states_like(&components);
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
    let recordings = Recording::all(&tables);
    for split in &splits.splits {
        let test = &split.test;
        let shared: usize = split
            .train
            .iter()
            .map(|train| train.end.min(test.end).saturating_sub(train.start.max(test.start)))
            .sum();
        if shared > 0 {
            let file = if recordings.len() > 1 {
                format!("{}: ", tables.file_name(split.recording))
            } else {
                String::new()
            };
            let first = recordings[split.recording].first_row;
            tables.remarks.push(format!(
                "{file}{shared} of the test rows {}..{} are training rows too: the figures are better than on rows that no fit has seen",
                test.start - first, test.end - first
            ));
        }
    }
    for remark in &tables.remarks {
        say(&format!("note: {remark}"));
    }
    let mut comparison = Comparison {
        recordings,
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
        let facts = |split: &Split| ChannelFacts::of_model(&model, &tables, &split.test);
        comparison.channel_facts = comparison.splits.splits.iter().map(facts).collect();
        if model.model.zscore.is_none() && !comparison.perturbations.is_empty() {
            let error = anyhow::anyhow!(
                "--perturb: {} does not store the standard deviations of its training rows; fit it with --zscore, or \
                 evaluate with --train and --decoders",
                path.display()
            );
            return Err(error).or_usage();
        }
        let remark = format!("by its own fit report: {}", model.quality_text());
        say(&format!("note: {remark}"));
        comparison.remarks.push(remark);
        let spec = model.model.decoder;
        let report = model.model.report.clone().and_then(|report| serde_json::from_value(report).ok());
        let fitted = Fitted { model, report, seconds: None, seed: arguments.seed };
        let run = |split| run_split(arguments, &tables, &comparison, split, fitted.clone());
        let runs = (0..comparison.splits.splits.len()).map(run).collect::<anyhow::Result<_>>().or_work()?;
        comparison.decoders.push(Compared { spec, runs });
    } else {
        let facts = |split: &Split| ChannelFacts::of_training(&tables, &split.train);
        comparison.channel_facts = comparison.splits.splits.iter().map(facts).collect();
        for (index, spec) in specs.iter().enumerate() {
            let place = (index + 1, specs.len());
            let compared = compare(arguments, &tables, &comparison, spec, place).or_work()?;
            comparison.decoders.push(compared);
        }
    }
    if let Some(folder) = &arguments.predictions {
        write_all_predictions(folder, &comparison).or_work()?;
    }
    if let Some(path) = &arguments.csv {
        write_figures(path, &comparison).or_work()?;
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
            let mut document = document(comparison, asked, arguments.chance);
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

/// Names of the states' columns.
fn components(tables: &Tables) -> Vec<String> {
    tables.states.columns.clone().unwrap_or_else(|| crate::commands::fit::default_names(tables.states.width))
}

fn write_all_predictions(folder: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    for (index, decoder) in comparison.decoders.iter().enumerate() {
        let name = decoder.spec.decoder.as_str();
        for run in &decoder.runs {
            let mut file = format!("{index}-{name}");
            let split = &comparison.splits.splits[run.split];
            if comparison.recordings.len() > 1 {
                let recording = &comparison.recordings[split.recording];
                let _infallible = write!(file, "-{}", recording.name.replace(['/', '\\'], "_"));
            }
            if matches!(comparison.splits.scheme, Scheme::Folds { .. }) {
                let _infallible = write!(file, "-fold{}", split.fold);
            }
            if comparison.seeds.len() > 1 {
                let _infallible = write!(file, "-seed{}", run.seed);
            }
            let first_row = comparison.own_rows(&split.test, split.recording).start;
            let intents = &run.decoded.intents;
            write_predictions(folder, &run.model.model, &format!("{file}.csv"), intents, first_row)?;
        }
    }
    Ok(())
}

/// Whether what is written at the end can be: no hour of fitting for a folder that is not there, and nothing over what is read.
fn check_outputs(arguments: &EvaluateArguments) -> anyhow::Result<()> {
    for (option, path) in [("--report", &arguments.report), ("--csv", &arguments.csv)] {
        if let Some(path) = path {
            check_writable(option, path)?;
            let models = arguments.model.iter().map(PathBuf::as_path);
            let tests = Splits::test_files(arguments);
            require_other_file(option, path, arguments.tables.files().chain(models).chain(tests))?;
        }
    }
    Ok(())
}

/// Whether a file can be made there.
fn check_writable(option: &str, path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    anyhow::ensure!(
        folder.is_dir(),
        "{option} {}: there is no folder {}; make it, or write elsewhere",
        path.display(),
        folder.display()
    );
    anyhow::ensure!(!path.is_dir(), "{option} {}: this is a folder; name a file in it", path.display());
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
