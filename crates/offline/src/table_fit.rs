//! A decoder fitted to rows of tables.

use std::ops::Range;

use kalmind_filter::{DecoderSpec, Model, ZScore, running_weight};
use kalmind_fitting::{Budget, FitProgress, FitSettings, Fitted, fit};
use kalmind_session::ChanceTest;
use kalmind_types::{Binning, Component, StreamFeatures};
use serde_json::json;

use crate::{decoder_quality::judge_fit, host::Host, tables::Tables};

/// How to fit.
#[derive(Clone, Copy, Debug)]
pub struct FitOptions {
    /// Z-score the features with the training rows' statistics; done in any case where a decoder's own follow the signal.
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
    let running = running_weight(spec, tables.bin_ms);
    let zscore = (options.zscore || running.is_some())
        .then(|| ZScore { mean: statistics.mean.clone(), standard_deviation: statistics.deviation.clone() });
    let session = tables.session.as_ref();
    let law = session.and_then(|session| session.label_law).unwrap_or_default();
    let mut data = tables.training(rows, zscore.as_ref(), law.skip_ms);
    if let Some(weight) = running {
        tables.follow(rows, &statistics, weight, &mut data);
    }
    let background =
        zscore.as_ref().map_or_else(|| statistics.mean.clone(), |zscore| zscore.apply(&statistics.mean));
    let mut shown = host.fit(spec, label);
    let clock = host.clock();
    let start = clock();
    let budget = options.budget.map(|seconds| Budget { end: start + seconds, clock });
    // a session's targets made the states; those of a stream or a file are data
    let labels = session.is_some_and(|session| session.label_law.is_some());
    let settings =
        FitSettings { seed: options.seed, background: Some(background), budget, labels, keep: None };
    let mut show = |progress: FitProgress| shown(&progress);
    let fitted = fit(spec, &data, &settings, &mut show).map(|mut fitted| {
        if options.judged {
            judge_fit(spec, &data, None, &mut ChanceTest::once(options.seed), &mut fitted, &mut show);
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
                vec![StreamFeatures::of_channels(Binning::Sample, tables.features.width, labels)]
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
        reduction: fitted.reduction.clone(),
        click: None,
        parameters: fitted.parameters.clone(),
    };
    Ok(TableFit { model, fitted, seconds })
}

/// The components of the states with the names and the unit that are asked for; and what was assumed of units, where it
/// was.
///
/// # Errors
/// Names that do not fit the components.
pub fn named_components(
    tables: &Tables,
    names: Option<&str>,
    unit: &str,
) -> anyhow::Result<(Vec<Component>, Option<String>)> {
    let mut components = table_components(tables);
    if let Some(names) = names {
        name_components(&mut components, names)?;
    }
    if !unit.is_empty() {
        for component in &mut components {
            unit.clone_into(&mut component.unit);
        }
    }
    let remark = name_units(&mut components);
    Ok((components, remark))
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
#[must_use]
pub fn default_names(components: usize) -> Vec<String> {
    match components {
        1 => vec!["vx".to_owned()],
        2 => vec!["vx".to_owned(), "vy".to_owned()],
        3 => vec!["vx".to_owned(), "vy".to_owned(), "vz".to_owned()],
        more => (1..=more).map(|number| format!("z{number}")).collect(),
    }
}

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
            Component::UNKNOWN_UNIT.clone_into(&mut component.unit);
            component.name.clone()
        })
        .collect();
    Some(format!(
        "the states do not say the unit of {}: the model has \"{}\" (arbitrary units); --unit names it, or a column \
         of the states called \"{} (mm/s)\"",
        names.join(", "),
        Component::UNKNOWN_UNIT,
        names.first().map_or("vx", String::as_str)
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_without_a_unit_get_one() {
        let component = |name: &str, unit: &str| Component { name: name.to_owned(), unit: unit.to_owned() };
        let mut components = [component("hand_x", "mm/s"), component("hand_y", "")];
        let remark = name_units(&mut components).expect("a remark");
        assert!(remark.contains("hand_y") && !remark.contains("hand_x"), "{remark}");
        assert_eq!(components[1].unit, "a.u.");
        assert_eq!(name_units(&mut components), None);
    }
}
