//! Which features a decoder is to take, and their principal components: what the options `select` and `pca` ask for.
//!
//! Both are found from the training rows that may train the measurement model, before anything else is fitted. What a feature
//! says of the intent is its signal-to-noise ratio (Brandman, Burkhart et al. 2018). Components are those of the features'
//! correlations, so that each feature may have its own unit. Cost: rows n d, and rows k^2 + k^3 for k features with `pca`.

use kalmind_filter::{DecoderName, DecoderSpec, Limit, PrincipalComponents, Reduction, TrainingData};
use nalgebra::DMatrix;

use crate::decoders::what_it_decodes;
use crate::fit_error::FitError;
use crate::report::FitReport;
use crate::sensitivity::signal_to_noise;
use crate::windows::{column_means, second_moment, unit_scales};

/// Features of which principal components are found in seconds.
const MOST_FEATURES: usize = 1024;
/// A component with less than this part of the largest one's variance is rounding.
const ROUNDING: f64 = 1e-10;

/// Whether the options of `spec` ask for one.
pub(crate) fn asks_for_reduction(spec: &DecoderSpec) -> bool {
    [spec.options.select, spec.options.pca].into_iter().flatten().any(|limit| limit.number().is_some())
}

/// What the options of `spec` ask for; none where they leave all features as they are.
pub(crate) fn fit_reduction(
    spec: &DecoderSpec,
    data: &TrainingData,
    report: &mut FitReport,
) -> Result<Option<Reduction>, FitError> {
    let wanted = |limit: Option<Limit>| limit.and_then(Limit::number);
    let (select, pca) = (wanted(spec.options.select), wanted(spec.options.pca));
    if select.is_none() && pca.is_none() {
        return Ok(None);
    }
    let n = data.features.ncols();
    if let Some(wanted) = select.filter(|wanted| *wanted > n) {
        return Err(FitError::TooFewFeatures { option: "select", wanted, found: n });
    }
    let taken = select.unwrap_or(n);
    if let Some(wanted) = pca.filter(|wanted| *wanted > taken) {
        return Err(FitError::TooFewFeatures { option: "pca", wanted, found: taken });
    }
    if pca.is_some() && taken > MOST_FEATURES {
        return Err(FitError::TooManyFeatures { found: taken, most: MOST_FEATURES });
    }
    let rows = data.measurement_rows();
    let features = data.features.select_rows(&rows);
    let states = what_it_decodes(spec.decoder, data).states.select_rows(&rows);
    let selected = select.map(|count| best(&signal_to_noise(&features, &states), count));
    if let Some(selected) = &selected {
        report.uses("selected", selected.clone());
    }
    let principal = pca.map(|count| {
        let of = selected.as_ref().map_or(features.clone(), |selected| features.select_columns(selected));
        principal_components(&of, count, report)
    });
    let principal = principal.transpose()?;
    if principal.is_some() && spec.decoder == DecoderName::DkfMk {
        report.warnings.push(
            "`dkf-mk` bounds what each of its inputs can do, and with `pca` these are components of many channels, each of \
             which moves all of them: leave `pca` out where channels may fail"
                .to_owned(),
        );
    }
    Ok(Some(Reduction { selected, principal }))
}

/// The places of the `count` highest ratios, rising; of equal ones the first.
fn best(ratios: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ratios.len()).collect();
    // stable: equal ratios stay in their order
    order.sort_by(|&left, &right| ratios[right].total_cmp(&ratios[left]));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// The `count` components of largest variance of the standardised columns, unscaled; fewer, with a warning, where the rows have
/// no more. Each has its weight of largest size above zero, the first of equal ones. What it gives of a row is
/// `axes (x - mean)`, in which `axes` divide by the columns' deviations.
fn principal_components(
    features: &DMatrix<f64>,
    count: usize,
    report: &mut FitReport,
) -> Result<PrincipalComponents, FitError> {
    let mean = column_means(features);
    let scales = unit_scales(features);
    let mut standardised = features.clone();
    for ((mut column, mean), scale) in standardised.column_iter_mut().zip(&mean).zip(&scales) {
        column.add_scalar_mut(-mean);
        column *= *scale;
    }
    let eigen = second_moment(&standardised).symmetric_eigen();
    let mut order: Vec<usize> = (0..mean.len()).collect();
    order.sort_by(|&left, &right| eigen.eigenvalues[right].total_cmp(&eigen.eigenvalues[left]));
    let largest = order.first().map_or(0.0, |first| eigen.eigenvalues[*first]);
    order.retain(|at| eigen.eigenvalues[*at] > ROUNDING * largest);
    if order.is_empty() {
        return Err(FitError::NothingMoves);
    }
    if order.len() < count {
        report.warnings.push(format!(
            "the features have {} independent components over the training rows, so these are taken for the {count} of `pca`",
            order.len()
        ));
    }
    order.truncate(count);
    let held: f64 = order.iter().map(|at| eigen.eigenvalues[*at]).sum();
    report.uses("components", order.len());
    report.uses("components-hold", held / eigen.eigenvalues.iter().sum::<f64>());
    let axes = DMatrix::from_fn(order.len(), mean.len(), |row, column| {
        let axis = eigen.eigenvectors.column(order[row]);
        let mut sign = 0.0_f64;
        for weight in axis.iter() {
            // a size that is equal but for rounding does not take over
            if weight.abs() > sign.abs() * (1.0 + 1e-9) {
                sign = *weight;
            }
        }
        axis[column] * sign.signum() * scales[column]
    });
    Ok(PrincipalComponents { mean, axes })
}

/// The rows as a decoder behind a reduction takes them.
pub(crate) fn reduced(reduction: &Reduction, data: &TrainingData) -> TrainingData {
    TrainingData { features: reduction.rows(&data.features), ..data.clone() }
}
