//! A fitted decoder together with all that is needed to trust and run it: what the model file holds.

use std::ops::Deref;

use kalmind_types::{Binning, Cause, Component, FeatureLayout, MAX_COMPONENTS, StreamFeatures};

use crate::model_error::ModelError;
use crate::reduction::Reduced;
use crate::validate::finite;
use crate::{
    ClickDecoder, ClickParameters, Decoder, DecoderSpec, FitQuality, GuardStatistics, Guarded, KernelPath,
    LabelLaw, Parameters, Reduction, RunningZScore, Screen, ZScore,
};

/// A model: the facts that must match the running daemon, and the decoder's tensors. Pure data.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The decoder and the options it was fitted with.
    pub decoder: DecoderSpec,
    /// The streams that the features come from, in order: what [`FeatureLayout::new`] lays out.
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
    /// What the decoder takes of these features; all of them where `None`. The guard and clicks see all.
    pub reduction: Option<Reduction>,
    /// What decodes clicks; `None` where nothing does.
    pub click: Option<ClickParameters>,
    /// The decoder's tensors.
    pub parameters: Parameters,
}

/// The narrowest bin that a model may have been fitted to, in milliseconds: a rate of a million rows a second.
pub const LEAST_BIN_MS: f64 = 0.001;
/// The widest: a row a minute.
pub const GREATEST_BIN_MS: f64 = 60_000.0;

impl Model {
    /// A model of which no more is known than what decodes: n features of one stream, a vector with every sample, in bins
    /// of 20 ms; components `c0`, `c1`.. without a unit.
    #[must_use]
    pub fn plain(
        decoder: DecoderSpec,
        training_mean: Vec<f64>,
        components: usize,
        parameters: Parameters,
    ) -> Self {
        let stream = StreamFeatures::of_channels(Binning::Sample, training_mean.len(), None);
        Self {
            decoder,
            streams: vec![stream],
            bin_ms: 20.0,
            components: (0..components)
                .map(|at| Component { name: format!("c{at}"), unit: String::new() })
                .collect(),
            training_mean,
            zscore: None,
            label_law: None,
            participant: None,
            training_hash: None,
            report: None,
            guard: None,
            reduction: None,
            click: None,
            parameters,
        }
    }

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

    /// The decoder with both choices made by the caller: outputs are bit-identical on the same kernel path, also on machines
    /// whose fastest paths differ.
    ///
    /// # Errors
    /// Whatever [`Model::validate`] finds.
    pub fn decoder_with(&self, guard: bool, path: KernelPath) -> Result<Box<dyn Decoder>, ModelError> {
        self.validate()?;
        self.build(guard, path)
    }

    fn build(&self, guard: bool, path: KernelPath) -> Result<Box<dyn Decoder>, ModelError> {
        let DecoderSpec { decoder, options } = &self.decoder;
        let background = self.background();
        let decoder = match &self.reduction {
            None => decoder.decoder(&self.parameters, options, &background, path)?,
            Some(reduction) => {
                let reduced = reduction.apply(&background);
                let decoder = decoder.decoder(&self.parameters, options, &reduced, path)?;
                Box::new(Reduced::new(decoder, reduction, background.len()))
            }
        };
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

    /// What decodes clicks, ready to run; none where nothing does.
    #[must_use]
    pub fn click_decoder(&self) -> Option<ClickDecoder> {
        self.click.as_ref().map(|click| ClickDecoder::new(click, self.bin_ms))
    }

    /// The same model with fewer tensors, from which the same decoder is built, to the bit; none where it needs all of them.
    #[must_use]
    pub fn runtime_only(&self) -> Option<Self> {
        let DecoderSpec { decoder, options } = &self.decoder;
        let parameters = decoder.runtime_tensors(&self.parameters, options)?;
        Some(Self { parameters, ..self.clone() })
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

    /// The weight of a bin in a running z-score: 1 - exp(-width / time constant); none where the z-score is that of the
    /// training rows.
    #[must_use]
    pub fn running_weight(&self) -> Option<f64> {
        running_weight(&self.decoder, self.bin_ms)
    }

    /// How good the decoder is by its own fit report; none where the file says nothing of it that can be read, or more than
    /// anybody would show.
    #[must_use]
    pub fn quality(&self) -> Option<FitQuality> {
        FitQuality::of_report(self.report.as_ref()?)
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

    /// Numbers that the decoder takes of them.
    #[must_use]
    pub fn decoded_features(&self) -> usize {
        let n = self.features();
        self.reduction.as_ref().map_or(n, |reduction| reduction.width(n))
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
        length("streams (features in all)", FeatureLayout::count(&self.streams), n)?;
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
        if self.zscore.is_none() && self.running_weight().is_some() {
            return Err(ModelError::NothingToFollow);
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
        if let Some(click) = &self.click {
            click.validate(n)?;
        }
        if let Some(reduction) = &self.reduction {
            reduction.validate(n)?;
        }
        self.decoder.decoder.validate(&self.parameters, self.decoded_features(), dimension)
    }
}

/// The weight of a bin of this width in the running z-score that a decoder's options ask for; none where they ask for none.
#[must_use]
pub fn running_weight(spec: &DecoderSpec, bin_ms: f64) -> Option<f64> {
    match spec.options.running_zscore? {
        RunningZScore::Off => None,
        RunningZScore::Seconds(seconds) => Some(-libm::expm1(-bin_ms / (1e3 * seconds))),
    }
}

/// A model in which [`Model::validate`] found nothing wrong. It cannot be changed any more, and need not be checked again.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedModel(Model);

impl CheckedModel {
    /// Checks a model.
    ///
    /// # Errors
    /// Whatever [`Model::validate`] finds.
    pub fn new(model: Model) -> Result<Self, ModelError> {
        model.validate()?;
        Ok(Self(model))
    }

    /// As [`Model::decoder_with`], without the check.
    ///
    /// # Errors
    /// What shows only once the decoder is built.
    pub fn decoder_with(&self, guard: bool, path: KernelPath) -> Result<Box<dyn Decoder>, ModelError> {
        self.0.build(guard, path)
    }
}

impl Deref for CheckedModel {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.0
    }
}
