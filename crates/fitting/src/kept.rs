//! Fits that keep the hyperparameters of an earlier one, so that new rows cost what their weights cost.
//!
//! What a decoder chooses where its options leave it open is then taken from the earlier fit's report, as if the options had
//! said it; hyperparameters that no option names are looked up there by the learner. All else is fitted to the new rows.

use kalmind_filter::DecoderSpec;
use serde_json::Value;

use crate::fit_error::FitError;
use crate::report::FitReport;

/// What a report says of a reduction.
const OF_REDUCTION: [&str; 3] = ["selected", "components", "components-hold"];
/// Options that discriminative filters choose where they are left open, which reports name alike.
const CHOSEN: [&str; 5] = ["lags", "direction", "state-order", "form", "q-scale"];

impl FitReport {
    /// `spec` with what this fit of it chose in place of what it leaves open; noted in the report of the `next` fit, so
    /// that a further one finds it there.
    pub(crate) fn fixed(&self, spec: &DecoderSpec, next: &mut Self) -> Result<DecoderSpec, FitError> {
        let unlike = |problem: String| FitError::OtherHyperparameters { problem };
        if self.decoder != spec.to_string() {
            return Err(unlike(format!("it is of `{}`, not of `{spec}`", self.decoder)));
        }
        let mut fixed = DecoderSpec::new(spec.decoder);
        let stated = spec.set_options().filter(|(name, value)| !(CHOSEN.contains(name) && value == "auto"));
        for (name, value) in stated {
            fixed.set(name, &value).map_err(|error| unlike(error.to_string()))?;
        }
        for name in CHOSEN {
            let Some(value) = self.hyperparameters.get(name).filter(|_| fixed.get(name).is_none()) else {
                continue;
            };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // a decoder that has no such option did not choose it
            if spec.decoder.option_names().contains(&name) {
                fixed.set(name, &text).map_err(|error| unlike(error.to_string()))?;
                next.uses(name, value.clone());
            }
        }
        for name in OF_REDUCTION {
            if let Some(value) = self.hyperparameters.get(name) {
                next.uses(name, value.clone());
            }
        }
        // the warnings about components alone name this option
        next.warnings.extend(self.warnings.iter().filter(|warning| warning.contains("`pca`")).cloned());
        Ok(fixed)
    }

    /// Hyperparameters of `name`, each above zero or zero, `count` of them.
    pub(crate) fn numbers(&self, name: &str, count: usize) -> Result<Vec<f64>, FitError> {
        let values = match self.hyperparameters.get(name) {
            Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
            Some(value) => value.as_f64().map(|value| vec![value]),
            None => None,
        };
        let plausible = |values: &Vec<f64>| {
            values.len() == count && values.iter().all(|value| value.is_finite() && *value >= 0.0)
        };
        values.filter(plausible).ok_or_else(|| FitError::OtherHyperparameters {
            problem: format!("its `{name}` is not {count} numbers of at least 0"),
        })
    }
}
