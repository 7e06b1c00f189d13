//! Fewer numbers for a decoder than a bin has features: some of them, or their principal components.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{FeatureSet, Intent};
use nalgebra::DMatrix;

use crate::checked::usable;
use crate::decoder::forward;
use crate::model_error::ModelError;
use crate::validate::{finite, out_of_range, shape};
use crate::{Decoder, StepReport};

/// What a decoder takes of the n features of a bin, as they are once they are z-scored: k of them, or N principal components
/// of those. All sums run in the order of the features, so they have the same bits everywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    /// The features that are taken, k places from 0, rising; all where `None`.
    pub selected: Option<Vec<usize>>,
    /// What becomes of them; they are taken as they stand where `None`.
    pub principal: Option<PrincipalComponents>,
}

/// Weighted sums of features: `axes (x - mean)`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalComponents {
    /// k means.
    pub mean: Vec<f64>,
    /// N x k: of each component the weights of the features.
    pub axes: DMatrix<f64>,
}

impl Reduction {
    /// How many numbers come of so many features.
    #[must_use]
    pub fn width(&self, features: usize) -> usize {
        match (&self.principal, &self.selected) {
            (Some(principal), _) => principal.axes.nrows(),
            (None, Some(selected)) => selected.len(),
            (None, None) => features,
        }
    }

    /// Writes what the decoder takes of a bin's features. Real-time; N k multiplications.
    pub fn reduce(&self, features: &[f64], reduced: &mut [f64]) {
        match (&self.selected, &self.principal) {
            (None, None) => reduced.iter_mut().zip(features).for_each(|(to, value)| *to = *value),
            (None, Some(principal)) => principal.project(features.iter().copied(), reduced),
            (Some(selected), None) => {
                reduced.iter_mut().zip(taken(selected, features)).for_each(|(to, value)| *to = value);
            }
            (Some(selected), Some(principal)) => principal.project(taken(selected, features), reduced),
        }
    }

    /// The same in memory of its own: for the slow side.
    #[must_use]
    pub fn apply(&self, features: &[f64]) -> Vec<f64> {
        let mut reduced = vec![0.0; self.width(features.len())];
        self.reduce(features, &mut reduced);
        reduced
    }

    /// The same of a row each: for the slow side.
    #[must_use]
    pub fn rows(&self, features: &DMatrix<f64>) -> DMatrix<f64> {
        let across = features.transpose();
        let rows = across.column_iter().flat_map(|row| self.apply(row.into_owned().as_slice()));
        DMatrix::from_row_iterator(features.nrows(), self.width(features.ncols()), rows)
    }

    /// The features that are not taken; none where all are.
    fn left_out(&self, features: usize) -> Option<FeatureSet> {
        let selected = self.selected.as_ref()?;
        let mut left_out = FeatureSet::none_of(features);
        for feature in (0..features).filter(|feature| selected.binary_search(feature).is_err()) {
            left_out.insert(feature);
        }
        Some(left_out)
    }

    /// Checks places, shapes and numbers for n features.
    pub(crate) fn validate(&self, features: usize) -> Result<(), ModelError> {
        if let Some(selected) = &self.selected {
            let rising = selected.iter().zip(selected.iter().skip(1)).all(|(before, after)| before < after);
            let Some(last) = selected.last().filter(|_| rising) else {
                let what = "at least 1, each feature once, in their order";
                return out_of_range("the number of selected features", selected.len() as f64, what);
            };
            if *last >= features {
                return out_of_range("a selected feature", *last as f64, "below the number of features");
            }
        }
        let Some(PrincipalComponents { mean, axes }) = &self.principal else { return Ok(()) };
        let taken = self.selected.as_ref().map_or(features, Vec::len);
        if mean.len() != taken {
            let (found, expected) = (mean.len().to_string(), taken.to_string());
            return Err(ModelError::Shape { tensor: "principal.mean", found, expected });
        }
        finite("principal.mean", mean)?;
        if !(1..=taken).contains(&axes.nrows()) {
            let what = "from 1 to the number of features that they are of";
            return out_of_range("the number of principal components", axes.nrows() as f64, what);
        }
        shape("principal.axes", axes, axes.nrows(), taken)
    }
}

/// Those features; what is not there is no number, which no validated model asks for.
fn taken<'a>(selected: &'a [usize], features: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    selected.iter().map(|feature| features.get(*feature).copied().unwrap_or(f64::NAN))
}

impl PrincipalComponents {
    /// Adds feature after feature to all components at once, which vectorises and changes no sum.
    fn project(&self, features: impl Iterator<Item = f64>, components: &mut [f64]) {
        components.fill(0.0);
        let weights = self.axes.as_slice().chunks_exact(self.axes.nrows().max(1));
        for ((value, mean), weights) in features.zip(&self.mean).zip(weights) {
            let centred = value - mean;
            for (component, weight) in components.iter_mut().zip(weights) {
                *component += weight * centred;
            }
        }
    }
}

/// A decoder behind a reduction: it is given all features of a bin, and steps with what they are reduced to.
#[derive(Debug)]
pub(crate) struct Reduced {
    decoder: Box<dyn Decoder>,
    reduction: Reduction,
    features: usize,
    left_out: Option<FeatureSet>,
    /// What the decoder takes of the newest bin.
    taken: Vec<f64>,
}

impl Reduced {
    /// Puts a validated reduction of so many features in front of `decoder`.
    pub(crate) fn new(decoder: Box<dyn Decoder>, reduction: &Reduction, features: usize) -> Self {
        Self {
            taken: vec![0.0; decoder.features()],
            left_out: reduction.left_out(features),
            reduction: reduction.clone(),
            features,
            decoder,
        }
    }
}

impl Decoder for Reduced {
    forward!(decoder: dimension, restart, look_back, unfiltered, takes_cursor, observe_cursor, state, adopt);

    fn features(&self) -> usize {
        self.features
    }

    fn left_out(&self) -> Option<&FeatureSet> {
        self.left_out.as_ref()
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let Self { decoder, reduction, taken, .. } = self;
        let whole = features.filter(|values| values.len() == self.features && usable(values));
        let reduced = whole.map(|values| {
            reduction.reduce(values, taken);
            &**taken
        });
        let mut report = decoder.step(reduced, intent);
        let refused = features.is_some() && whole.is_none();
        report.fallback |= refused;
        report.unused |= refused;
        report
    }
}
