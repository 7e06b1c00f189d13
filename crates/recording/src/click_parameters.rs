//! What decodes clicks, from the header's `click` and tensors whose names start with `click.`, and back.

use kalmind_filter::tensors::{ParametersError, TensorReader, TensorWriter};
use kalmind_filter::{ClickParameters, ClickSettings};

const WEIGHTS: &str = "click.weights";
const INTERCEPT: &str = "click.intercept";

/// Writes the tensors; gives the part of the header.
pub(crate) fn write(click: &ClickParameters, tensors: &mut dyn TensorWriter) -> ClickSettings {
    tensors.vector(WEIGHTS, &click.weights);
    tensors.vector(INTERCEPT, &[click.intercept]);
    click.settings
}

/// Reads what decodes clicks from n features.
pub(crate) fn read(
    settings: ClickSettings,
    tensors: &mut dyn TensorReader,
    n: usize,
) -> Result<ClickParameters, ParametersError> {
    let weights = tensors.vector(WEIGHTS, n)?;
    let intercept = tensors.vector(INTERCEPT, 1)?[0];
    Ok(ClickParameters { weights, intercept, settings })
}
