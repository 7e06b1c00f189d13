//! Models on their way to the tick: read, checked against the run, built, staged.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use kalmind_engine::StagedModel;
use kalmind_filter::{CheckedModel, KernelPath, Model, ModelError};
use kalmind_recording::{ModelFileError, model_from_bytes, model_with_bytes, read_model_bytes};
use kalmind_signal::{FeatureStatistics, Preparation, PreparationError};
use kalmind_types::{Actor, Binning, Component, ModelId, Reason, StreamFeatures};

/// Bin widths that differ by less than this part are the same: a width read off a recording's stamps is not exact.
pub const SAME_WIDTH: f64 = 0.01;

/// A model with its identity.
#[derive(Clone, Debug)]
pub struct IdentifiedModel {
    /// The model.
    pub model: CheckedModel,
    /// SHA-256 of its file's bytes.
    pub id: ModelId,
    /// Its file's bytes, for recordings.
    pub file: Arc<[u8]>,
    /// Whether it was read from a file, so that `evaluate` runs it as the daemon would by default.
    pub from_file: bool,
}

/// A model that may not control before somebody confirms it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInDoubt {
    /// Which.
    pub model: ModelId,
    /// Why, and what to do.
    pub text: String,
}

/// Why a model cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The decoder cannot be built of it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its feature statistics do not fit together.
    #[error(transparent)]
    Preparation(#[from] PreparationError),
}

/// What the run gives a decoder, and a model has to match.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// The streams' features, in order.
    pub streams: Vec<StreamFeatures>,
    /// Bin width in milliseconds.
    pub bin_ms: f64,
    /// The intent's components.
    pub components: Vec<Component>,
    /// The participant's code, where the configuration states one.
    pub participant: Option<String>,
}

/// Why a model file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the model {}: {source}", .path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: ModelFileError,
}

/// Reads a model file.
///
/// # Errors
/// What [`read_model_bytes`] and [`model_from_bytes`] find, with the file's name.
pub fn load(path: &Path) -> Result<IdentifiedModel, LoadError> {
    read_model_bytes(path)
        .and_then(|file| IdentifiedModel::from_bytes(file.into(), true))
        .map_err(|source| LoadError { path: path.to_owned(), source })
}

impl IdentifiedModel {
    /// The model in a file's bytes.
    ///
    /// # Errors
    /// What [`model_from_bytes`] finds.
    pub fn from_bytes(file: Arc<[u8]>, from_file: bool) -> Result<Self, ModelFileError> {
        let (model, id) = model_from_bytes(&file)?;
        Ok(Self { model, id, file, from_file })
    }

    /// A model with the identity that it has once it is written to a file.
    ///
    /// # Errors
    /// [`ModelFileError`] where it could not be written and read again.
    pub fn of(model: Model) -> Result<Self, ModelFileError> {
        let (model, id, file) = model_with_bytes(model)?;
        Ok(Self { model, id, file: file.into(), from_file: false })
    }

    /// Builds what the tick runs, with kernels on `path`. Where the model's options leave it open, a guard stands in front
    /// of the decoder if `guard` says so or the decoder has one by itself. Slow side: allocates, and may invert large
    /// matrices.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn stage(&self, guard: bool, path: KernelPath) -> Result<Box<StagedModel>, BuildError> {
        let zscore = self.model.zscore.as_ref().map(|zscore| FeatureStatistics {
            mean: zscore.mean.clone(),
            deviation: zscore.standard_deviation.clone(),
        });
        let preparation = Preparation::new(self.model.training_mean.clone(), zscore)?;
        Ok(Box::new(StagedModel::new(
            self.id,
            self.model.decoder_with(false, path)?,
            preparation,
            self.model.screen(self.is_guarded(guard)),
            self.model.doubt(),
        )))
    }

    /// What has to be said of a live run with this model, where a guard is asked for and the model cannot have one.
    #[must_use]
    pub fn guard_missing(&self, guard: bool) -> Option<&'static str> {
        let missing = self.is_guarded(guard) && self.model.guard.is_none();
        missing.then_some(
            "the model has no statistics of its channels, so no guard runs; fit it again to have one",
        )
    }

    fn is_guarded(&self, guard: bool) -> bool {
        self.model.decoder.options.guard.unwrap_or(guard || self.model.decoder.is_guarded())
    }

    /// What speaks against it, as its fit report says it: the result of its test on held-out rows first, then all
    /// else that the fit found. A report without warnings of its own may still have figures that warn.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let judged = self.model.quality().map(|quality| quality.warnings()).unwrap_or_default();
        let reported = self.model.report.as_ref().and_then(|report| report["warnings"].as_array());
        let texts = reported.into_iter().flatten().filter_map(|warning| warning.as_str());
        let mut warnings: Vec<String> = texts.map(str::to_owned).collect();
        if warnings.is_empty() {
            return judged;
        }
        warnings.sort_by_key(|warning| !judged.contains(warning));
        warnings
    }

    /// How good it is by its fit report, in a line.
    #[must_use]
    pub fn quality_text(&self) -> String {
        match self.model.quality() {
            Some(quality) => format!("{}; {quality}", quality.chance),
            None => "quality unknown: the model file does not include it".to_owned(),
        }
    }

    /// The model's name, and why it may not control before somebody confirms it; none where it may.
    #[must_use]
    pub fn doubt(&self) -> Option<ModelInDoubt> {
        let cause = self.model.doubt()?;
        let text = self.model.quality().map_or_else(
            || Reason { cause, by: Actor::Daemon }.to_string(),
            |quality| quality.warnings().join("; "),
        );
        Some(ModelInDoubt { model: self.id, text })
    }

    /// Every difference between the model and what the run gives, one sentence each; empty where it fits.
    #[must_use]
    pub fn differences(&self, demand: &Demand) -> Vec<String> {
        let mut differences = self.stream_differences(demand);
        differences.extend(self.configured_differences(
            Some(demand.bin_ms),
            &demand.components,
            demand.participant.as_deref(),
        ));
        differences
    }

    /// Those that lie in the streams.
    fn stream_differences(&self, demand: &Demand) -> Vec<String> {
        let model = &self.model;
        let mut differences = Vec::new();
        let channels =
            |streams: &[StreamFeatures]| streams.iter().map(|stream| stream.channels).collect::<Vec<_>>();
        let split = split_like(&model.streams, &demand.streams);
        let fitted = split.as_ref().unwrap_or(&model.streams);
        if channels(fitted) == channels(&demand.streams) {
            let pairs = fitted.iter().zip(&demand.streams).enumerate();
            for (index, (expected, found)) in pairs {
                if expected.binning != found.binning {
                    differences.push(format!(
                        "stream {index}: the model was fitted with binning = \"{}\", the configuration says \"{}\"",
                        expected.binning.name(),
                        found.binning.name()
                    ));
                }
                if let Some((channel, (expected, found))) = first_difference(expected, found) {
                    differences.push(format!(
                        "stream {index}: channel {channel} is \"{expected}\" in the model and \"{found}\" in the stream"
                    ));
                }
            }
        } else {
            let said = |streams: &[StreamFeatures]| {
                let counts: Vec<String> = channels(streams).iter().map(ToString::to_string).collect();
                match streams {
                    [_] => format!("1 stream with {} channels", counts.concat()),
                    _ => format!("{} streams with {} channels", streams.len(), counts.join(", ")),
                }
            };
            differences.push(format!(
                "the model was fitted on {}; configured and found: {}",
                said(&model.streams),
                said(&demand.streams)
            ));
        }
        differences
    }

    /// The labels of each stream's channels that the model was fitted with, as it has them, for streams with so many
    /// channels; none where it has none, or was fitted on other streams.
    #[must_use]
    pub fn stream_labels(&self, channels: &[usize]) -> Vec<Option<Vec<String>>> {
        stream_labels(&self.model.streams, channels)
    }

    /// Those that show before any stream is found. `bin_ms` is none where it follows from a stream.
    #[must_use]
    pub fn configured_differences(
        &self,
        bin_ms: Option<f64>,
        configured: &[Component],
        participant: Option<&str>,
    ) -> Vec<String> {
        let model = &self.model;
        let mut differences = Vec::new();
        if let Some(bin_ms) = bin_ms
            && (model.bin_ms - bin_ms).abs() > SAME_WIDTH * bin_ms
        {
            differences.push(format!(
                "the model was fitted with bins of {} ms, the configuration makes bins of {bin_ms} ms",
                model.bin_ms
            ));
        }
        let names = |components: &[Component]| {
            components.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", ")
        };
        if names(&model.components) != names(configured) {
            differences.push(format!(
                "the model decodes {}, the configuration's [intent] says {}",
                names(&model.components),
                names(configured)
            ));
        }
        if let (Some(fitted), Some(present)) = (model.participant.as_deref(), participant)
            && fitted != present
        {
            differences
                .push(format!("the model belongs to participant {fitted}, the configuration says {present}"));
        }
        differences
    }
}

/// The first channel whose label differs, where both sides know labels.
fn first_difference<'a>(
    expected: &'a StreamFeatures,
    found: &'a StreamFeatures,
) -> Option<(usize, (&'a String, &'a String))> {
    let (expected, found) = expected.labels.as_ref().zip(found.labels.as_ref())?;
    expected.iter().zip(found).enumerate().find(|(_, (expected, found))| expected != found)
}

fn stream_labels(fitted: &[StreamFeatures], channels: &[usize]) -> Vec<Option<Vec<String>>> {
    let demand: Vec<StreamFeatures> = channels
        .iter()
        .map(|channels| StreamFeatures { binning: Binning::Mean, channels: *channels, labels: None })
        .collect();
    let split = split_like(fitted, &demand);
    let fitted = split.as_deref().unwrap_or(fitted);
    if !fitted.iter().map(|stream| &stream.channels).eq(channels) {
        return vec![None; channels.len()];
    }
    fitted.iter().map(|stream| stream.labels.clone()).collect()
}

/// A model fitted on one table of features, cut where the streams end; `None` where that is not what it is.
fn split_like(model: &[StreamFeatures], demand: &[StreamFeatures]) -> Option<Vec<StreamFeatures>> {
    let [table] = model else { return None };
    let total: usize = demand.iter().map(|stream| stream.channels).sum();
    if demand.len() < 2 || table.channels != total {
        return None;
    }
    let mut first = 0;
    let parts = demand.iter().map(|stream| {
        let labels = table.labels.as_ref().and_then(|labels| labels.get(first..first + stream.channels));
        first += stream.channels;
        // a table says one binning for all; what the streams' are is for the configuration to say
        StreamFeatures {
            binning: stream.binning,
            channels: stream.channels,
            labels: labels.map(<[String]>::to_vec),
        }
    });
    Some(parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(labels: &[&str]) -> StreamFeatures {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        StreamFeatures { binning: Binning::Mean, channels: labels.len(), labels: Some(labels) }
    }

    #[test]
    fn a_model_knows_the_labels_of_each_stream() {
        let (array, force) = (features(&["array.a", "array.b"]), features(&["force.x"]));
        let table = features(&["array.a", "array.b", "force.x"]);
        let each = vec![array.labels.clone(), force.labels.clone()];
        assert_eq!(stream_labels(&[array.clone(), force.clone()], &[2, 1]), each);
        assert_eq!(stream_labels(&[table], &[2, 1]), each, "fitted on one table");
        assert_eq!(stream_labels(&[array.clone(), force], &[2, 2]), [None, None], "other streams");
        let unlabelled = StreamFeatures { labels: None, ..array };
        assert_eq!(stream_labels(&[unlabelled], &[2]), [None]);
    }
}
