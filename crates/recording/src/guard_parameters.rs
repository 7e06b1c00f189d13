//! What a guard compares channels with, from the header's `guard` and tensors whose names start with `guard.`, and back.

use kalmind_filter::GuardStatistics;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::ModelFileError;
use crate::tensors::{TensorReader, TensorWriter};

/// What the header says of a guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardHeader {
    /// Bins in the running means.
    spans: Vec<usize>,
}

/// Writes the tensors; gives the part of the header.
pub(crate) fn write(guard: &GuardStatistics, tensors: &mut TensorWriter) -> GuardHeader {
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
    GuardHeader { spans: guard.spans.clone() }
}

/// Reads the statistics of n channels.
pub(crate) fn read(
    header: GuardHeader,
    tensors: &mut TensorReader<'_>,
    n: usize,
) -> Result<GuardStatistics, ModelFileError> {
    let GuardHeader { spans } = header;
    let count = spans.len();
    let mut ranges = |name: &str| -> Result<DMatrix<f64>, ModelFileError> { tensors.matrix(name, count, n) };
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
        spans,
    })
}
