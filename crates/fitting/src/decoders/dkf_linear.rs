//! The fit of `dkf-linear`: f by ridge regression.

use kalmind_filter::{Choice, LinearRegressor, Regressor};

use crate::decoders::kind::{DecoderFit, Lesson};
use crate::discriminative::discriminative;
use crate::fit_error::FitError;
use crate::learner::{Examples, Learner};
use crate::linear::{choose_ridge, fit_linear};

/// Default `ridge` of `dkf-linear`, relative to the variance of each input.
const RIDGE: f64 = 1e-4;

/// See the module.
pub(super) const FIT: DecoderFit = discriminative(learner, Choice::Given(false));

/// `dkf-linear`'s f.
#[derive(Debug)]
struct Ridge {
    ridge: f64,
    intercept: bool,
}

/// The learner of `dkf-linear`.
fn learner(lesson: Lesson<'_>) -> Result<Box<dyn Learner>, FitError> {
    let Lesson { spec, examples, rows, report, .. } = lesson;
    let intercept = spec.options.intercept.unwrap_or(true);
    let ridge = choose_ridge(
        spec.options.ridge.unwrap_or(Choice::Given(RIDGE)),
        &examples.inputs(rows),
        &examples.states(rows),
        intercept,
        report,
    )?;
    Ok(Box::new(Ridge { ridge, intercept }))
}

impl Learner for Ridge {
    fn learn(&self, examples: &Examples<'_>, rows: &[usize]) -> Result<Regressor, FitError> {
        let fit = fit_linear(&examples.inputs(rows), &examples.states(rows), self.ridge, self.intercept)?;
        Ok(Regressor::Linear(LinearRegressor { weights: fit.weights, intercept: fit.intercept }))
    }
}
