//! What a guard compares channels with, from the header's `guard` and tensors whose names start with `guard.`, and back.

use kalmind_filter::tensors::{ParametersError, TensorReader, TensorWriter};
use kalmind_filter::{GuardStatistics, PlausibilityStatistics};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

/// What the header says of a guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardHeader {
    /// Bins in the running means.
    spans: Vec<usize>,
}

/// Writes the tensors; gives the part of the header.
pub(crate) fn write(guard: &GuardStatistics, tensors: &mut dyn TensorWriter) -> GuardHeader {
    for (name, vector) in [
        ("guard.mean", &guard.mean),
        ("guard.standard_deviation", &guard.standard_deviation),
        ("guard.least", &guard.least),
        ("guard.greatest", &guard.greatest),
        ("guard.uniqueness", &guard.uniqueness),
        ("guard.lowest_change", &guard.lowest_change),
        ("guard.highest_change", &guard.highest_change),
    ] {
        tensors.vector(name, vector);
    }
    for (name, matrix) in [
        ("guard.lowest_mean", &guard.lowest_mean),
        ("guard.highest_mean", &guard.highest_mean),
        ("guard.lowest_residual", &guard.lowest_residual),
        ("guard.highest_residual", &guard.highest_residual),
        ("guard.loadings", &guard.loadings),
    ] {
        tensors.matrix(name, matrix);
    }
    if let Some(plausibility) = &guard.plausibility {
        write_plausibility(plausibility, tensors);
    }
    GuardHeader { spans: guard.spans.clone() }
}

fn write_plausibility(statistics: &PlausibilityStatistics, tensors: &mut dyn TensorWriter) {
    for (name, vector) in [
        (MODE, &statistics.mode),
        ("guard.tolerance", &statistics.tolerance),
        ("guard.stay_at_mode", &statistics.stay_at_mode),
        ("guard.stay_elsewhere", &statistics.stay_elsewhere),
        ("guard.stay_away", &statistics.stay_away),
        ("guard.longest_stay", &statistics.longest),
        ("guard.array_typical", &statistics.typical),
        ("guard.array_lowest", &statistics.lowest),
        ("guard.array_highest", &statistics.highest),
    ] {
        tensors.vector(name, vector);
    }
    if !statistics.reach.is_empty() {
        tensors.vector(REACH, &statistics.reach);
    }
    tensors.vector("guard.array_still", &[statistics.greatest_stillness, statistics.greatest_still]);
}

/// The tensor that a file has where any channel's mode drifts.
const REACH: &str = "guard.mode_reach";
/// The tensor by which a file says that the statistics of the array are there.
const MODE: &str = "guard.mode";

fn read_plausibility(
    tensors: &mut dyn TensorReader,
    n: usize,
) -> Result<PlausibilityStatistics, ParametersError> {
    let measures = PlausibilityStatistics::MEASURES;
    let ranges = measures * PlausibilityStatistics::SPANS;
    let still = tensors.vector("guard.array_still", 2)?;
    Ok(PlausibilityStatistics {
        mode: tensors.vector(MODE, n)?,
        tolerance: tensors.vector("guard.tolerance", n)?,
        reach: if tensors.has(REACH) { tensors.vector(REACH, n)? } else { Vec::new() },
        stay_at_mode: tensors.vector("guard.stay_at_mode", n)?,
        stay_elsewhere: tensors.vector("guard.stay_elsewhere", n)?,
        stay_away: tensors.vector("guard.stay_away", n)?,
        longest: tensors.vector("guard.longest_stay", n)?,
        greatest_stillness: still[0],
        greatest_still: still[1],
        typical: tensors.vector("guard.array_typical", measures)?,
        lowest: tensors.vector("guard.array_lowest", ranges)?,
        highest: tensors.vector("guard.array_highest", ranges)?,
    })
}

/// Reads the statistics of n channels.
pub(crate) fn read(
    header: GuardHeader,
    tensors: &mut dyn TensorReader,
    n: usize,
) -> Result<GuardStatistics, ParametersError> {
    let GuardHeader { spans } = header;
    let count = spans.len();
    let mut ranges = |name: &str| -> Result<DMatrix<f64>, ParametersError> { tensors.matrix(name, count, n) };
    let [lowest_mean, highest_mean] = [ranges("guard.lowest_mean")?, ranges("guard.highest_mean")?];
    let [lowest_residual, highest_residual] =
        [ranges("guard.lowest_residual")?, ranges("guard.highest_residual")?];
    Ok(GuardStatistics {
        mean: tensors.vector("guard.mean", n)?,
        standard_deviation: tensors.vector("guard.standard_deviation", n)?,
        least: tensors.vector("guard.least", n)?,
        greatest: tensors.vector("guard.greatest", n)?,
        lowest_mean,
        highest_mean,
        loadings: tensors.columns("guard.loadings", n)?,
        uniqueness: tensors.vector("guard.uniqueness", n)?,
        lowest_residual,
        highest_residual,
        lowest_change: tensors.vector("guard.lowest_change", n)?,
        highest_change: tensors.vector("guard.highest_change", n)?,
        plausibility: if tensors.has(MODE) { Some(read_plausibility(tensors, n)?) } else { None },
        spans,
    })
}
