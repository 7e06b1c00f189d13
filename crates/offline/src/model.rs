//! Models on their way to the tick: read, checked against the run, built, staged.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use kalmind_engine::StagedModel;
use kalmind_filter::{CheckedModel, KernelPath, Model, ModelError};
use kalmind_recording::{ModelFileError, model_from_bytes, model_with_bytes, read_model_bytes};
use kalmind_signal::{FeatureStatistics, Preparation, PreparationError};
use kalmind_types::{
    Actor, Binning, Component, FeatureLayout, ModelId, Reason, StreamFeatures, StreamOutput,
};

use crate::output_difference::{first_difference, output_difference};

/// Bin widths that differ by less than this part are the same: a width read off a recording's stamps is not exact.
pub const SAME_WIDTH: f64 = 0.01;

/// Warnings of a file that are shown, and characters of each: a fit writes fewer, and clients are sent all of them.
const MOST_WARNINGS: usize = 32;
const LONGEST_WARNING: usize = 1000;

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
        let staged = StagedModel::new(
            self.id,
            self.model.decoder_with(false, path)?,
            preparation.running(self.model.running_weight()),
            self.model.screen(self.is_guarded(guard)),
            self.model.doubt(),
        );
        Ok(Box::new(staged.with_click(self.model.click_decoder())))
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
        let shown = texts.take(MOST_WARNINGS).map(|text| text.chars().take(LONGEST_WARNING).collect());
        let mut warnings: Vec<String> = shown.collect();
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
                if let Some(difference) = output_difference(expected, found) {
                    differences.push(format!("stream {index}: {difference}"));
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
        let agree = |(fitted, configured): (&Component, &Component)| fitted.agrees_with(configured);
        if model.components.len() != configured.len() || !model.components.iter().zip(configured).all(agree) {
            let [decoded, said] = [&model.components, configured]
                .map(|components| components.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            differences
                .push(format!("the model decodes {decoded}, the configuration's [intent] says {said}"));
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

fn stream_labels(fitted: &[StreamFeatures], channels: &[usize]) -> Vec<Option<Vec<String>>> {
    let demand: Vec<StreamFeatures> =
        channels.iter().map(|channels| StreamFeatures::of_channels(Binning::Mean, *channels, None)).collect();
    let split = split_like(fitted, &demand);
    let fitted = split.as_deref().unwrap_or(fitted);
    if !fitted.iter().map(|stream| &stream.channels).eq(channels) {
        return vec![None; channels.len()];
    }
    fitted.iter().map(|stream| stream.labels.clone()).collect()
}

/// A model fitted on one table of features, cut where the streams end; `None` where that is not what it is.
fn split_like(model: &[StreamFeatures], demand: &[StreamFeatures]) -> Option<Vec<StreamFeatures>> {
    let [table @ StreamFeatures { outputs: None, .. }] = model else { return None };
    // as many features as channels: it may have been fitted on the channels themselves
    let is_one_stream = matches!(demand, [stream] if stream.width() == stream.channels);
    if is_one_stream || table.channels != FeatureLayout::count(demand) {
        return None;
    }
    let mut first = 0;
    let parts = demand.iter().map(|stream| {
        let labels = table.labels.as_ref().and_then(|labels| labels.get(first..first + stream.width()));
        first += stream.width();
        // a table says names, and one binning for all; what else the streams are is for the configuration to say
        match (&stream.outputs, labels) {
            (None, labels) => StreamFeatures { labels: labels.map(<[String]>::to_vec), ..stream.clone() },
            (Some(_), None) => stream.clone(),
            (Some(outputs), Some(names)) => {
                let named = outputs.iter().zip(names);
                let named = named.map(|(output, name)| StreamOutput { name: name.clone(), ..output.clone() });
                StreamFeatures { outputs: Some(named.collect()), ..stream.clone() }
            }
        }
    });
    Some(parts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(labels: &[&str]) -> StreamFeatures {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        StreamFeatures::of_channels(Binning::Mean, labels.len(), Some(labels))
    }

    /// Two channels, of each the power of two bands.
    fn bands() -> StreamFeatures {
        let of = |channel: usize| {
            ["alpha", "beta"].map(|band| StreamOutput {
                name: format!("e{channel} {band}"),
                unit: "uV2".to_owned(),
                channel: Some(channel),
                sources: Vec::new(),
            })
        };
        StreamFeatures { outputs: Some((0..2).flat_map(of).collect()), ..features(&["e0", "e1"]) }
    }

    /// How a test makes an output another one.
    type Change = fn(&mut StreamOutput);

    #[test]
    fn what_is_made_of_the_channels_has_to_be_the_same_and_a_difference_is_named() {
        let difference = |change: Change| {
            let mut other = bands();
            other.outputs.iter_mut().flatten().skip(1).take(1).for_each(change);
            output_difference(&bands(), &other)
        };
        assert_eq!(difference(|_| {}), None);
        let wrong: [(Change, &str); 4] = [
            (|output| output.name = "e0 gamma".to_owned(), "\"e0 gamma\" in uV2 of channel 0"),
            (|output| output.unit.clear(), "\"e0 beta\" of channel 0"),
            (|output| output.channel = None, "\"e0 beta\" in uV2 of no channel"),
            (
                |output| output.sources = vec![0..1, 1..2],
                "made of channels 0 to 1, 1 to 2 (end not included)",
            ),
        ];
        for (change, expected) in wrong {
            let told = difference(change).unwrap();
            assert!(told.starts_with("feature 1 is \"e0 beta\" in uV2 of channel 0 in the model"), "{told}");
            assert!(told.ends_with(expected), "{told}");
        }
        let told = output_difference(&features(&["e0", "e1"]), &bands()).unwrap();
        assert_eq!(
            told,
            "the model was fitted on its channels themselves, the configuration gives 4 features made of its channels"
        );
    }

    #[test]
    fn a_unit_that_says_nothing_is_no_difference() {
        let with = |unit: &str| {
            let mut features = bands();
            features.outputs.iter_mut().flatten().for_each(|output| output.unit = unit.to_owned());
            features
        };
        for (before, now) in [("0", ""), ("0^2", ""), ("none^2", ""), ("uV^2", "uV^2")] {
            assert_eq!(output_difference(&with(before), &with(now)), None, "{before:?}");
        }
        assert!(output_difference(&with("uV^2"), &with("")).is_some());
        assert!(output_difference(&with("uV"), &with("uV^2")).is_some());
    }

    #[test]
    fn a_model_fitted_on_a_table_of_features_is_compared_by_their_names() {
        let table = |names: &[&str]| split_like(&[features(names)], &[bands()]).unwrap();
        let same = table(&["e0 alpha", "e0 beta", "e1 alpha", "e1 beta"]);
        assert_eq!(same, [bands()]);
        let told = output_difference(&table(&["e0 alpha", "e0 beta", "e1 theta", "e1 beta"])[0], &bands());
        assert!(told.unwrap().starts_with("feature 2 is \"e1 theta\""));
        assert_eq!(split_like(&[features(&["e0", "e1"])], &[bands()]), None, "fitted on channels");
        let mut filtered = bands();
        filtered.outputs.as_mut().unwrap().truncate(2);
        let two = features(&["e0 alpha", "e0 beta"]);
        assert_eq!(split_like(&[two], &[filtered]), None, "fitted on the channels, as far as is known");
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
