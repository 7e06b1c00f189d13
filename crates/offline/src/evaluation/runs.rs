//! Every decoder fitted to every split with every seed, and each fit at work on its test rows.

use kalmind_filter::DecoderSpec;
use kalmind_fitting::FitReport;

use crate::{
    evaluation::{
        chance::Chance,
        channels::{Errors, Trial},
        comparison::{Compared, Comparison, Run, judge},
        decode::{Alteration, Decoding, Saturation},
        split::Split,
    },
    host::Host,
    model::IdentifiedModel,
    options::EvaluateOptions,
    table_fit::{FitOptions, TableFit, fit_tables},
    tables::Tables,
};

/// A model and where it comes from.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The model.
    pub model: IdentifiedModel,
    /// What the fit said of it.
    pub report: Option<FitReport>,
    /// Seconds that the fit took.
    pub seconds: Option<f64>,
    /// The seed of the fit.
    pub seed: u64,
}

/// Fits one decoder for every split and seed, and runs each fit; `place` is its number and that of all decoders.
///
/// # Errors
/// What fitting and decoding find, with the decoder and the rows.
pub fn compare(
    options: &EvaluateOptions,
    tables: &Tables,
    comparison: &Comparison,
    spec: &DecoderSpec,
    place: (usize, usize),
    host: &dyn Host,
) -> anyhow::Result<Compared> {
    let splits = &comparison.splits.splits;
    let mut runs: Vec<Run> = Vec::new();
    let mut before: Vec<Fitted> = Vec::new();
    for (index, split) in splits.iter().enumerate() {
        let of_splits = match splits.len() {
            1 => String::new(),
            count => format!(", split {} of {count}", index + 1),
        };
        let label = format!("decoder {} of {}{of_splits}: ", place.0, place.1);
        let told = |error: anyhow::Error| match splits.len() {
            1 => error,
            _ => error.context(format!("{spec}, tested on {}", comparison.described(index))),
        };
        // recordings tested by one fit
        if index == 0 || splits[index - 1].train != split.train {
            before = fit_seeds(options, tables, comparison, index, spec, &label, host).map_err(told)?;
        }
        for fitted in &before {
            let fit_seconds = fitted.seconds;
            runs.push(run_split(options, tables, comparison, index, fitted.clone(), host).map_err(told)?);
            if place.1 * splits.len() > 1 {
                let seconds =
                    fit_seconds.map_or_else(String::new, |seconds| format!(", fitted in {seconds:.1} s"));
                let error = runs.last().map_or(f64::NAN, |run| run.accuracy.nrmse);
                host.tested(&format!(
                    "{label}{spec} on {}: nRMSE {error:.4}{seconds}",
                    comparison.described(index)
                ));
            }
        }
    }
    Ok(Compared { spec: *spec, runs })
}

/// One fit a seed, or one alone where no seed changes it.
fn fit_seeds(
    options: &EvaluateOptions,
    tables: &Tables,
    comparison: &Comparison,
    index: usize,
    spec: &DecoderSpec,
    label: &str,
    host: &dyn Host,
) -> anyhow::Result<Vec<Fitted>> {
    let split = &comparison.splits.splits[index];
    let saturated = saturation(comparison, index).map(|limits| saturated(tables, &limits));
    let tables = saturated.as_ref().unwrap_or(tables);
    let mut fits: Vec<Fitted> = Vec::new();
    for &seed in &comparison.seeds {
        let options =
            FitOptions { zscore: options.tables.is_scored(), seed, budget: options.budget, judged: false };
        let TableFit { model, fitted, seconds } =
            fit_tables(tables, &split.train, spec, &options, label, host)?;
        for warning in &fitted.report.warnings {
            host.warning(&format!("{spec}: {warning}"));
        }
        // where a second seed changes nothing, no further one will
        if let [first] = fits.as_slice()
            && first.model.model.parameters == fitted.parameters
        {
            break;
        }
        let model = IdentifiedModel::of(model)?;
        fits.push(Fitted { model, report: Some(fitted.report), seconds: Some(seconds), seed });
    }
    Ok(fits)
}

/// Runs one fit over the test rows of one split, and again with channels changed where that is asked for.
///
/// # Errors
/// What decoding finds.
pub fn run_split(
    options: &EvaluateOptions,
    tables: &Tables,
    comparison: &Comparison,
    index: usize,
    fitted: Fitted,
    host: &dyn Host,
) -> anyhow::Result<Run> {
    let Split { train, test, .. } = &comparison.splits.splits[index];
    let truth = &comparison.truth[index];
    let limits = saturation(comparison, index);
    let alteration = Alteration { change: None, saturation: limits.as_ref() };
    let decoding = Decoding { live: &options.live, clock: host.clock() };
    if fitted.model.from_file
        && let Some(warning) = fitted.model.guard_missing(options.live.guard)
    {
        host.warning(warning);
    }
    let decoded = decoding.rows(&fitted.model, tables, test.clone(), &alteration)?;
    let trained = (!train.is_empty()).then(|| tables.states_of(train));
    let (rows, accuracy) = judge(truth, &decoded, Comparison::least_speed(trained.as_ref()));
    let facts = &comparison.channel_facts[index];
    let trial =
        Trial { decoding, model: &fitted.model, tables, test, truth, facts, saturation: limits.as_ref() };
    let channels =
        comparison.perturbations.iter().map(|perturbation| perturbation.channels.len()).sum::<usize>()
            + if options.influence { tables.features.width } else { 0 };
    let decoded_one = host
        .pieces(&format!("{} with channels changed", fitted.model.model.decoder.decoder), channels as u64);
    let perturbed = comparison
        .perturbations
        .iter()
        .map(|perturbation| trial.perturbed(perturbation, &*decoded_one))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let influences =
        options.influence.then(|| trial.influences(&decoded.intents, &*decoded_one)).transpose()?;
    drop(decoded_one);
    let chance = options.chance.then(|| Chance::of(truth, &decoded.intents, trained.as_ref()));
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
        chance,
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
