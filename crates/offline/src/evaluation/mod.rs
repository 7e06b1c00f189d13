//! The work of `kalmind evaluate`: which rows train and test, decoders at work on them, and what comes out.

pub mod chance;
pub mod channels;
pub mod comparison;
pub mod decode;
pub mod document;
pub mod figures_table;
pub mod predictions;
pub mod runs;
pub mod split;
pub mod text;
pub mod trials;

use kalmind_filter::DecoderSpec;
use kalmind_types::{FeatureLayout, StreamFeatures};

use crate::{
    host::Host,
    model::{self, IdentifiedModel, SAME_WIDTH},
    options::{Decoders, EvaluateOptions},
    output_difference::output_difference,
    sources::{read_rows, sources},
    table_fit::default_names,
    tables::Tables,
};
use channels::{ChannelFacts, Perturbation, channel_names};
use comparison::{Compared, Comparison, Recording};
use runs::{Fitted, compare, run_split};
use split::{Split, Splits};

/// An evaluation whose rows were read and checked, ready to run.
#[derive(Debug)]
pub struct Evaluation<'a> {
    options: &'a EvaluateOptions,
    tables: Tables,
    subject: Subject,
    comparison: Comparison,
}

/// What is evaluated.
#[derive(Debug)]
enum Subject {
    Fitted(Vec<DecoderSpec>),
    Model(Box<IdentifiedModel>),
}

impl<'a> Evaluation<'a> {
    /// Reads rows and the model, and checks everything that can be before minutes go into fits.
    ///
    /// # Errors
    /// Options, tables and models that cannot be used together.
    pub fn prepare(options: &'a EvaluateOptions, host: &dyn Host) -> anyhow::Result<Self> {
        let further: Vec<_> = options.test_files().map(ToOwned::to_owned).collect();
        let mut tables = read_rows(&sources(&options.tables, &further)?, host)?;
        let subject = match &options.decoders {
            Decoders::Fitted(specs) => Subject::Fitted(specs.clone()),
            Decoders::Model(path) => Subject::Model(Box::new(model::load(path)?)),
        };
        if let Subject::Model(model) = &subject {
            let labels = labels(model).unwrap_or_default();
            tables.order_features_like(&labels.iter().map(String::as_str).collect::<Vec<_>>());
            let components: Vec<&str> =
                model.model.components.iter().map(|component| &*component.name).collect();
            tables.order_states_like(&components);
            check_model(model, &tables)?;
            let otherwise = made_otherwise(model, &tables);
            tables.remarks.extend(otherwise);
        }
        let splits = Splits::of(options, &tables)?;
        let channel_names = channel_names(&tables);
        let perturbations = options
            .perturb
            .iter()
            .map(|text| Perturbation::read(text, &channel_names))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let truth =
            splits.splits.iter().map(|split| tables.states_of(core::slice::from_ref(&split.test))).collect();
        let recordings = Recording::all(&tables);
        let shared = splits.splits.iter().filter_map(|split| shared_rows(split, &recordings, &tables));
        let shared: Vec<String> = shared.collect();
        tables.remarks.extend(shared);
        tables.remarks.extend(splits.by_trials());
        let tests: Vec<_> = splits.splits.iter().map(|split| split.test.clone()).collect();
        tables.remarks.extend(trials::carried_over(&tables, &tests, &options.live));
        for remark in &tables.remarks {
            host.note(&format!("note: {remark}"));
        }
        let facts = |split: &Split| match &subject {
            Subject::Model(model) => ChannelFacts::of_model(model, &tables, &split.test),
            Subject::Fitted(_) => ChannelFacts::of_training(&tables, &split.train),
        };
        let channel_facts = splits.splits.iter().map(facts).collect();
        let mut comparison = Comparison {
            recordings,
            truth,
            components: tables.states.columns.clone().unwrap_or_else(|| default_names(tables.states.width)),
            bin_ms: tables.bin_ms,
            remarks: tables.remarks.clone(),
            closed_loop: splits.splits.iter().any(|split| tables.from_closed_loop(&split.test)),
            channel_names,
            channel_facts,
            perturbations,
            saturate: options.saturate,
            seeds: (0..u64::from(options.seeds)).map(|index| options.seed.wrapping_add(index)).collect(),
            decoders: Vec::new(),
            splits,
        };
        if let (Subject::Model(model), Some(path)) = (&subject, options.model()) {
            anyhow::ensure!(
                model.model.zscore.is_some() || comparison.perturbations.is_empty(),
                "--perturb: {} does not store the standard deviations of its training rows; fit it with --zscore, or \
                 evaluate with --train and --decoders",
                path.display()
            );
            let remark = format!("by its own fit report: {}", model.quality_text());
            host.note(&format!("note: {remark}"));
            comparison.remarks.push(remark);
        }
        Ok(Self { options, tables, subject, comparison })
    }

    /// Fits, decodes and judges.
    ///
    /// # Errors
    /// What fitting and decoding find.
    pub fn run(self, host: &dyn Host) -> anyhow::Result<Comparison> {
        let Self { options, tables, subject, mut comparison } = self;
        match subject {
            Subject::Fitted(specs) => {
                for (index, spec) in specs.iter().enumerate() {
                    let place = (index + 1, specs.len());
                    let compared = compare(options, &tables, &comparison, spec, place, host)?;
                    comparison.decoders.push(compared);
                }
            }
            Subject::Model(model) => {
                let spec = model.model.decoder;
                let report =
                    model.model.report.clone().and_then(|report| serde_json::from_value(report).ok());
                let fitted = Fitted { model: *model, report, seconds: None, seed: options.seed };
                let run = |split| run_split(options, &tables, &comparison, split, fitted.clone(), host);
                let runs = (0..comparison.splits.splits.len()).map(run).collect::<anyhow::Result<_>>()?;
                comparison.decoders.push(Compared { spec, runs });
            }
        }
        Ok(comparison)
    }
}

/// What has to be said where test rows are training rows too.
fn shared_rows(split: &Split, recordings: &[Recording], tables: &Tables) -> Option<String> {
    let test = &split.test;
    let shared: usize = split
        .train
        .iter()
        .map(|train| train.end.min(test.end).saturating_sub(train.start.max(test.start)))
        .sum();
    let several = recordings.len() > 1;
    let file = if several { format!("{}: ", tables.file_name(split.recording)) } else { String::new() };
    let first = recordings[split.recording].first_row;
    (shared > 0).then(|| {
        format!(
            "{file}{shared} of the test rows {}..{} are training rows too: the figures are better than on rows that no fit has seen",
            test.start - first,
            test.end - first
        )
    })
}

/// The names of the model's features, where it knows all of them.
fn labels(model: &IdentifiedModel) -> Option<Vec<String>> {
    FeatureLayout::new(&model.model.streams).ok()?.all_names()
}

/// Streams whose stages have other settings than those that the model was fitted behind, as a run would say and refuse it: its
/// figures are of features that it does not know.
fn made_otherwise(model: &IdentifiedModel, tables: &Tables) -> Vec<String> {
    let found = tables.session.as_ref().map(|session| session.streams.as_slice()).unwrap_or_default();
    let expected = &model.model.streams;
    if expected.len() != found.len() {
        return Vec::new();
    }
    let differ = |(_, (expected, found)): &(usize, (&StreamFeatures, &StreamFeatures))| {
        expected.generation.zip(found.generation).is_some_and(|(expected, found)| expected != found)
    };
    let told = |(place, (expected, found)): (usize, (&StreamFeatures, &StreamFeatures))| {
        let difference = output_difference(expected, found)?;
        Some(format!(
            "stream {place}: {difference}: its features were made otherwise, and a run would refuse it"
        ))
    };
    expected.iter().zip(found).enumerate().filter(differ).filter_map(told).collect()
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
        && let Some((label, column)) = labels.iter().zip(columns).find(|(label, column)| label != column)
    {
        anyhow::bail!("the model's channel \"{label}\" is \"{column}\" in the data");
    }
    let (expected, found) = (model.model.bin_ms, tables.bin_ms);
    anyhow::ensure!(
        (expected - found).abs() <= SAME_WIDTH * expected,
        "the model was fitted with bins of {expected} ms, the rows are {found} ms apart (--rate)"
    );
    Ok(())
}
