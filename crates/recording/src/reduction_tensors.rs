//! What a decoder takes of the features, as the tensors `selected_features`, `principal.mean` and `principal.axes`, and back.

use kalmind_filter::tensors::{ParametersError, TensorReader, TensorWriter};
use kalmind_filter::{PrincipalComponents, Reduction};
use nalgebra::DMatrix;

const SELECTED: &str = "selected_features";
const PRINCIPAL_MEAN: &str = "principal.mean";
const PRINCIPAL_AXES: &str = "principal.axes";

/// Writes the tensors.
pub(crate) fn write(reduction: &Reduction, tensors: &mut dyn TensorWriter) {
    if let Some(selected) = &reduction.selected {
        let places: Vec<f64> = selected.iter().map(|feature| *feature as f64).collect();
        tensors.vector(SELECTED, &places);
    }
    if let Some(PrincipalComponents { mean, axes }) = &reduction.principal {
        tensors.vector(PRINCIPAL_MEAN, mean);
        tensors.matrix(PRINCIPAL_AXES, axes);
    }
}

/// Reads them for n features; none where the file has none of them.
pub(crate) fn read(tensors: &mut dyn TensorReader, n: usize) -> Result<Option<Reduction>, ParametersError> {
    let selected =
        if tensors.has(SELECTED) { Some(places(&tensors.any_vector(SELECTED)?, n)?) } else { None };
    let taken = selected.as_ref().map_or(n, Vec::len);
    let principal = if tensors.has(PRINCIPAL_MEAN) || tensors.has(PRINCIPAL_AXES) {
        let mean = tensors.vector(PRINCIPAL_MEAN, taken)?;
        Some(PrincipalComponents { mean, axes: tensors.rows(PRINCIPAL_AXES, taken)? })
    } else {
        None
    };
    Ok((selected.is_some() || principal.is_some()).then_some(Reduction { selected, principal }))
}

/// The same of tensors whose shapes and numbers nobody has checked: for what is compared afterwards.
pub(crate) fn known(tensor: impl Fn(&str) -> Option<Vec<f64>>) -> Option<Reduction> {
    let places = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as usize).collect();
    let selected: Option<Vec<usize>> = tensor(SELECTED).map(places);
    let principal = tensor(PRINCIPAL_MEAN).zip(tensor(PRINCIPAL_AXES)).and_then(|(mean, axes)| {
        let components = axes.len().checked_div(mean.len())?;
        let whole = components * mean.len() == axes.len();
        let axes = whole.then(|| DMatrix::from_row_slice(components, mean.len(), &axes))?;
        Some(PrincipalComponents { mean, axes })
    });
    (selected.is_some() || principal.is_some()).then_some(Reduction { selected, principal })
}

/// Features by their numbers.
fn places(numbers: &[f64], n: usize) -> Result<Vec<usize>, ParametersError> {
    let place = |number: &f64| {
        let place = *number as usize;
        (place < n && (place as f64).to_bits() == number.to_bits()).then_some(place)
    };
    numbers.iter().map(place).collect::<Option<_>>().ok_or_else(|| ParametersError::WrongTensor {
        tensor: SELECTED.to_owned(),
        found: "a list with another number".to_owned(),
        expected: format!("whole numbers from 0 to {}", n.saturating_sub(1)),
    })
}
