//! A decoder fitted to rows of tables.

use std::ops::Range;

use kalmind_filter::{DecoderSpec, Model, ZScore};
use kalmind_fitting::{Budget, FitProgress, FitSettings, Fitted, fit};
use kalmind_types::{Binning, Component, StreamFeatures};
use serde_json::json;

use crate::{decoder_quality::judge_fit, host::Host, tables::Tables};

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

/// A decoder fitted to rows of tables.
#[derive(Debug)]
pub struct TableFit {
    /// The model.
    pub model: Model,
    /// What the fit gave.
    pub fitted: Fitted,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Fits `spec` to ranges of rows of the tables; `label` tells the host which fit it is.
///
/// # Errors
/// What [`fit`] finds.
pub fn fit_tables(
    tables: &Tables,
    rows: &[Range<usize>],
    spec: &DecoderSpec,
    options: &FitOptions,
    label: &str,
    host: &dyn Host,
) -> Result<TableFit, kalmind_fitting::FitError> {
    let statistics = tables.statistics(rows);
    let zscore = options
        .zscore
        .then(|| ZScore { mean: statistics.mean.clone(), standard_deviation: statistics.deviation.clone() });
    let session = tables.session.as_ref();
    let law = session.and_then(|session| session.label_law).unwrap_or_default();
    let data = tables.training(rows, zscore.as_ref(), law.skip_ms);
    let background =
        zscore.as_ref().map_or_else(|| statistics.mean.clone(), |zscore| zscore.apply(&statistics.mean));
    let mut shown = host.fit(spec, label);
    let clock = host.clock();
    let start = clock();
    let budget = options.budget.map(|seconds| Budget { end: start + seconds, clock });
    // a session's targets made the states; those of a stream or a file are data
    let labels = session.is_some_and(|session| session.label_law.is_some());
    let settings = FitSettings { seed: options.seed, background: Some(background), budget, labels };
    let mut show = |progress: FitProgress| shown(&progress);
    let fitted = fit(spec, &data, &settings, &mut show).map(|mut fitted| {
        if options.judged {
            judge_fit(spec, &data, None, &settings, &mut fitted, &mut show);
        }
        fitted
    });
    drop(shown);
    let fitted = fitted?;
    let seconds = clock() - start;
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
    Ok(TableFit { model, fitted, seconds })
}

/// The components of the states: names and units of a session, of a stream's channels or of a file's columns, as far as
/// they say any.
#[must_use]
pub fn table_components(tables: &Tables) -> Vec<Component> {
    if let Some(session) = &tables.session {
        return session.components.clone();
    }
    let names = tables.states.columns.clone().unwrap_or_else(|| default_names(tables.states.width));
    let mut units = tables.states.units.clone().unwrap_or_default().into_iter();
    let unit = |name| Component { name, unit: units.next().unwrap_or_default() };
    names.into_iter().map(unit).collect()
}

/// Names of components that a file without header leaves open: velocity first.
#[must_use]
pub fn default_names(components: usize) -> Vec<String> {
    match components {
        1 => vec!["vx".to_owned()],
        2 => vec!["vx".to_owned(), "vy".to_owned()],
        3 => vec!["vx".to_owned(), "vy".to_owned(), "vz".to_owned()],
        more => (1..=more).map(|number| format!("z{number}")).collect(),
    }
}

/// Gives components the names in a list separated by commas.
///
/// # Errors
/// When there are more or fewer names than components, an empty one, or one twice.
pub fn name_components(components: &mut [Component], names: &str) -> anyhow::Result<()> {
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
