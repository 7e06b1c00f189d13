//! A fitted decoder together with all that is needed to trust and run it: what the model file holds.

use kalmind_types::{Cause, Component, MAX_COMPONENTS, StreamFeatures};
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use crate::model_error::ModelError;
use crate::validate::shape;
use crate::{
    Decoder, DecoderSpec, FitQuality, Guarded, KernelPath, LabelLaw, Parameters, PlausibilityStatistics,
    Screen,
};

/// A model: the facts that must match the running daemon, and the decoder's tensors. Pure data.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The decoder and the options it was fitted with.
    pub decoder: DecoderSpec,
    /// The streams whose channels are the features, in order.
    pub streams: Vec<StreamFeatures>,
    /// Width of a bin, in milliseconds of stream time.
    pub bin_ms: f64,
    /// The intent's components, 1..=8.
    pub components: Vec<Component>,
    /// Mean of the raw features over the training rows, n values.
    pub training_mean: Vec<f64>,
    /// How raw features become what the decoder takes; as they stand where `None`.
    pub zscore: Option<ZScore>,
    /// The law that the labels were made by; `None` where states were given as data.
    pub label_law: Option<LabelLaw>,
    /// The participant's code that it belongs to.
    pub participant: Option<String>,
    /// SHA-256 of the training data in hexadecimal, where known (see [`TrainingData::hash`](crate::TrainingData::hash)).
    pub training_hash: Option<String>,
    /// The fit report, where known.
    pub report: Option<serde_json::Value>,
    /// What training shows of every channel, for a guard in front of the decoder; `None` where it is not known.
    pub guard: Option<GuardStatistics>,
    /// The decoder's tensors.
    pub parameters: Parameters,
}

/// What training shows of every channel, as the decoder sees it: what a [guard](crate::Guarded) compares it with.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardStatistics {
    /// n means.
    pub mean: Vec<f64>,
    /// n standard deviations, >= 0.
    pub standard_deviation: Vec<f64>,
    /// Least value of each, n.
    pub least: Vec<f64>,
    /// Greatest value of each, n.
    pub greatest: Vec<f64>,
    /// Bins s in the running means, rising: `m_t = m_{t-1} + (x_t - m_{t-1}) / s`.
    pub spans: Vec<usize>,
    /// The lowest that each running mean may be, spans x n, in standard deviations from the mean: the lowest over the
    /// training rows, or what an intent that is held and the rest of the channel could add up to, if lower.
    pub lowest_mean: DMatrix<f64>,
    /// The highest.
    pub highest_mean: DMatrix<f64>,
    /// A factor model of the standardised channels, `x = loadings f + noise` with f ~ N(0, I) and independent noise: how
    /// channels follow from each other, n x k.
    pub loadings: DMatrix<f64>,
    /// Variance of the noise of each, n, > 0.
    pub uniqueness: Vec<f64>,
    /// As `lowest_mean`, of what the other channels do not explain of each.
    pub lowest_residual: DMatrix<f64>,
    /// The highest.
    pub highest_residual: DMatrix<f64>,
    /// Least running mean of halved squared changes from bin to bin, n, in squared standard deviations.
    pub lowest_change: Vec<f64>,
    /// The greatest.
    pub highest_change: Vec<f64>,
    /// What training shows of the array as a whole; `None` where it is not known.
    pub plausibility: Option<PlausibilityStatistics>,
}

/// Statistics of the raw features: feature j becomes `(x_j - mean_j) / standard_deviation_j`; a standard deviation of
/// zero (a feature that never moved) divides by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZScore {
    /// n means.
    pub mean: Vec<f64>,
    /// n standard deviations, >= 0.
    pub standard_deviation: Vec<f64>,
}

/// The narrowest bin that a model may have been fitted to, in milliseconds: a rate of a million rows a second.
pub const LEAST_BIN_MS: f64 = 0.001;
/// The widest: a row a minute.
pub const GREATEST_BIN_MS: f64 = 60_000.0;

impl Model {
    /// The decoder, ready to run, at row one.
    ///
    /// Slow side: allocates, and inverts what does not change (n^3 / 6 multiplications for a Kalman filter).
    ///
    /// # Errors
    /// Whatever [`Model::validate`] finds.
    pub fn decoder(&self) -> Result<Box<dyn Decoder>, ModelError> {
        self.decoder_with_guard(self.decoder.is_guarded())
    }

    /// The decoder as [`Model::decoder`] gives it, with a [guard](Guarded) in front or without one, whatever the model's
    /// options say. A model without statistics for a guard runs without one.
    ///
    /// # Errors
    /// Whatever [`Model::validate`] finds.
    pub fn decoder_with_guard(&self, guard: bool) -> Result<Box<dyn Decoder>, ModelError> {
        self.decoder_with(guard, KernelPath::detect())
    }

    /// The decoder as [`Model::decoder`] gives it, on a kernel path of the caller's choice: bit-identical outputs on
    /// machines whose fastest paths differ.
    ///
    /// # Errors
    /// Whatever [`Model::validate`] finds.
    pub fn decoder_on(&self, path: KernelPath) -> Result<Box<dyn Decoder>, ModelError> {
        self.decoder_with(self.decoder.is_guarded(), path)
    }

    /// The decoder with both choices made by the caller: as a recorded session had them.
    ///
    /// # Errors
    /// Whatever [`Model::validate`] finds.
    pub fn decoder_with(&self, guard: bool, path: KernelPath) -> Result<Box<dyn Decoder>, ModelError> {
        self.validate()?;
        let DecoderSpec { decoder, options } = &self.decoder;
        let decoder = decoder.decoder(&self.parameters, options, &self.background(), path)?;
        Ok(match &self.guard {
            Some(statistics) if guard => Box::new(Guarded::new(decoder, statistics)),
            _ => decoder,
        })
    }

    /// What stands in front of the bare decoder (of [`Model::decoder_with`] without a guard) in a run: a guard where `guard`
    /// says so, and the monitor of plausible input, as far as the model has statistics for them.
    #[must_use]
    pub fn screen(&self, guard: bool) -> Screen {
        match &self.guard {
            Some(statistics) if statistics.plausibility.is_some() => {
                Screen::new(statistics, guard, self.background())
            }
            older => {
                let assumed = Screen::assumed(&self.training_mean, self.zscore.as_ref(), self.background());
                match older {
                    Some(statistics) if guard => assumed.guarded(statistics),
                    _ => assumed,
                }
            }
        }
    }

    /// What lagged bins hold before the first one: the training mean as the decoder sees it, n values (zeros where the
    /// features are z-scored by the training statistics).
    #[must_use]
    pub fn background(&self) -> Vec<f64> {
        match &self.zscore {
            Some(zscore) => zscore.apply(&self.training_mean),
            None => self.training_mean.clone(),
        }
    }

    /// How good the decoder is by its own fit report; none where the file says nothing of it that can be read.
    #[must_use]
    pub fn quality(&self) -> Option<FitQuality> {
        FitQuality::deserialize(self.report.as_ref()?.get("quality")?).ok()
    }

    /// Why control with this decoder needs a person's confirmation; none where it does not, and for files that another program
    /// wrote without a word on it. A judgement that failed, or cannot be read, speaks for no decoder.
    #[must_use]
    pub fn doubt(&self) -> Option<Cause> {
        self.report.as_ref()?.get("quality")?;
        self.quality().map_or(Some(Cause::DecoderNotTested), |quality| quality.doubt())
    }

    /// Features n of one bin.
    #[must_use]
    pub fn features(&self) -> usize {
        self.training_mean.len()
    }

    /// Checks every shape, number and covariance against the rest of the model.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        let out_of_range = |name, value, expected| Err(ModelError::OutOfRange { name, value, expected });
        if !(LEAST_BIN_MS..=GREATEST_BIN_MS).contains(&self.bin_ms) {
            return out_of_range("bin_ms", self.bin_ms, "from 0.001 to 60000");
        }
        let dimension = self.components.len();
        if !(1..=MAX_COMPONENTS).contains(&dimension) {
            return out_of_range("the number of components", dimension as f64, "1 to 8");
        }
        for (index, component) in self.components.iter().enumerate() {
            if component.name.is_empty() {
                return Err(ModelError::NamelessComponent { index });
            }
            if self.components[..index].iter().any(|earlier| earlier.name == component.name) {
                return Err(ModelError::RepeatedComponent {
                    name: component.name.chars().take(60).collect(),
                });
            }
        }
        let length = |tensor, found: usize, expected: usize| {
            if found == expected {
                return Ok(());
            }
            Err(ModelError::Shape { tensor, found: found.to_string(), expected: expected.to_string() })
        };
        let n = self.training_mean.len();
        length("streams (channels in all)", self.streams.iter().map(|stream| stream.channels).sum(), n)?;
        finite("training_mean", &self.training_mean)?;
        if let Some(zscore) = &self.zscore {
            length("zscore mean", zscore.mean.len(), n)?;
            length("zscore standard_deviation", zscore.standard_deviation.len(), n)?;
            finite("zscore mean", &zscore.mean)?;
            finite("zscore standard_deviation", &zscore.standard_deviation)?;
            if let Some(&negative) = zscore.standard_deviation.iter().find(|&&value| value < 0.0) {
                return out_of_range("a zscore standard_deviation", negative, "0 or more");
            }
        }
        if let Some(law) = &self.label_law
            && !law.is_valid()
        {
            return Err(ModelError::LabelLaw);
        }
        if !self.decoder.decoder.holds(&self.parameters) {
            return Err(self.decoder.decoder.misses(&self.parameters));
        }
        if let Some(guard) = &self.guard {
            guard.validate(n)?;
        }
        self.decoder.decoder.validate(&self.parameters, n, dimension)
    }
}

impl ZScore {
    /// Raw features as the decoder sees them. Allocates: for the slow side.
    #[must_use]
    pub fn apply(&self, raw: &[f64]) -> Vec<f64> {
        raw.iter()
            .zip(self.mean.iter().zip(&self.standard_deviation))
            .map(|(value, (mean, deviation))| {
                (value - mean) / if *deviation > 0.0 { *deviation } else { 1.0 }
            })
            .collect()
    }
}

impl GuardStatistics {
    /// Checks them for `n` features.
    fn validate(&self, n: usize) -> Result<(), ModelError> {
        let Self { mean, standard_deviation, least, greatest, spans, .. } = self;
        let vectors = [
            ("guard mean", mean),
            ("guard standard_deviation", standard_deviation),
            ("guard least", least),
            ("guard greatest", greatest),
            ("guard uniqueness", &self.uniqueness),
            ("guard lowest_change", &self.lowest_change),
            ("guard highest_change", &self.highest_change),
        ];
        for (tensor, vector) in vectors {
            if vector.len() != n {
                let (found, expected) = (vector.len().to_string(), n.to_string());
                return Err(ModelError::Shape { tensor, found, expected });
            }
            finite(tensor, vector)?;
        }
        let ranges = [
            ("guard lowest_mean", &self.lowest_mean),
            ("guard highest_mean", &self.highest_mean),
            ("guard lowest_residual", &self.lowest_residual),
            ("guard highest_residual", &self.highest_residual),
        ];
        for (tensor, matrix) in ranges {
            shape(tensor, matrix, spans.len(), n)?;
        }
        shape("guard loadings", &self.loadings, n, self.loadings.ncols())?;
        let ordered = |low: &[f64], high: &[f64]| low.iter().zip(high).all(|(low, high)| low <= high);
        let out_of_range = |name, expected| Err(ModelError::OutOfRange { name, value: 0.0, expected });
        if spans.first().is_some_and(|first| *first < 1) || spans.windows(2).any(|pair| pair[1] <= pair[0]) {
            return out_of_range("a guard span", "1 or more, and greater than the one before");
        }
        if standard_deviation.iter().chain(&self.lowest_change).any(|value| *value < 0.0) {
            return out_of_range("a guard standard_deviation or lowest_change", "0 or more");
        }
        if self.uniqueness.iter().any(|value| *value <= 0.0) {
            return out_of_range("a guard uniqueness", "above 0");
        }
        if !ordered(least, greatest)
            || !ordered(&self.lowest_change, &self.highest_change)
            || !ordered(self.lowest_mean.as_slice(), self.highest_mean.as_slice())
            || !ordered(self.lowest_residual.as_slice(), self.highest_residual.as_slice())
        {
            return out_of_range("a least value of the guard", "at most the greatest");
        }
        let problem = self.plausibility.as_ref().and_then(|plausibility| plausibility.problem(n));
        if let Some((tensor, found, expected)) = problem {
            return Err(ModelError::Shape { tensor, found, expected });
        }
        Ok(())
    }
}

fn finite(tensor: &'static str, values: &[f64]) -> Result<(), ModelError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(row) => Err(ModelError::NotFinite { tensor, row, column: 0, value: values[row] }),
        None => Ok(()),
    }
}
