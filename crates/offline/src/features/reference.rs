//! Learns from a stretch of rest what the stages of a recording's streams take from it.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_recording::xdf::{
    recording::{Recorded, SampleChunk, read_xdf_but, visit_samples},
    samples::Values,
};
use kalmind_signal::{ChainSettings, ReferenceKind, StageSettings};
use kalmind_types::Samples;

use super::{
    FeaturePlan, FeatureStages, FeatureStream, FeaturesError,
    intake::Intake,
    learning::{Gathered, learn},
    making::told_problems,
    reference_document::{ReferenceDocument, ReferenceOptions, ReferenceStream},
};
use crate::host::Host;

/// Learns what the stages of a recording's streams need, each from what the ones before give once these are fixed.
///
/// # Errors
/// [`FeaturesError`].
pub fn learn_reference(
    path: &Path,
    plan: &FeaturePlan,
    options: &ReferenceOptions,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<ReferenceDocument, FeaturesError> {
    let unreadable = |source| FeaturesError::Xdf { path: path.to_owned(), source };
    let recorded = read_xdf_but(path, encoding, |_| true).map_err(unreadable)?;
    let (mut streams, mut warnings) = (Vec::new(), told_problems(&recorded.problems));
    let mut learnt = false;
    for stream in &plan.streams {
        let Some(stages) = &stream.stages else { continue };
        let mut settings: Vec<StageSettings> = Vec::new();
        for stage in &stages.settings.0 {
            let mut stage = stage.clone();
            if is_learnt(&stage) {
                learnt = true;
                let before = ChainSettings(settings.clone());
                let gathered = gather((path, &recorded), stream, stages, &before, options, encoding, host)?;
                if gathered.rows.len() < 2 * gathered.channels || gathered.is_without_values() {
                    return Err(FeaturesError::NoReference { key: stream.key.clone() });
                }
                let inputs = stages
                    .outputs_of(&before)
                    .map_err(|error| FeaturesError::Stages { key: stream.key.clone(), error })?;
                let name = |channel: usize| {
                    inputs.get(channel).map_or_else(String::new, |output| output.name.clone())
                };
                let told = learn(&mut stage, &gathered, options, &name)
                    .map_err(|problem| FeaturesError::Reference { key: stream.key.clone(), problem })?;
                warnings.extend(told.into_iter().map(|told| format!("stream \"{}\": {told}", stream.key)));
            }
            settings.push(stage);
        }
        streams.push(ReferenceStream {
            key: stream.key.clone(),
            rate_hz: stream.rate_hz,
            channels: stages.raw.outputs.iter().map(|output| output.name.clone()).collect(),
            stages: ChainSettings(settings),
        });
    }
    if !learnt {
        return Err(FeaturesError::NothingToLearn);
    }
    let recording = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let seconds = [options.from_s, options.to_s];
    Ok(ReferenceDocument { format: 1, name: "rest".to_owned(), recording, seconds, streams, warnings })
}

/// Whether a stage takes anything from a stretch of rest.
fn is_learnt(stage: &StageSettings) -> bool {
    match stage {
        StageSettings::Spikes(_) => true,
        StageSettings::Reference(reference) => {
            matches!(reference.kind, ReferenceKind::CommonAverage | ReferenceKind::Regression)
        }
        _ => false,
    }
}

/// The samples of the stretch, once these stages have made something of them.
fn gather(
    (path, recorded): (&Path, &Recorded),
    stream: &FeatureStream,
    stages: &FeatureStages,
    before: &ChainSettings,
    options: &ReferenceOptions,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<Gathered, FeaturesError> {
    let stages = (!before.0.is_empty()).then(|| FeatureStages {
        settings: before.clone(),
        // which channels are dead is learnt as well
        channel_health: false,
        ..stages.clone()
    });
    let stream = FeatureStream { stages, ..stream.clone() };
    let unreadable = |source| FeaturesError::Xdf { path: path.to_owned(), source };
    let recorded = recorded.streams.iter().find(|recorded| Some(recorded.id) == stream.id);
    let mut intake = Intake::new(0, &stream, &[], false)
        .map_err(|error| FeaturesError::Stages { key: stream.key.clone(), error })?;
    let channels = intake.width();
    let mut gathered = Gathered::new(channels);
    let mut first = None;
    let mut progress = host.bytes();
    visit_samples(
        path,
        encoding,
        |other| recorded.is_none_or(|recorded| recorded.header != *other),
        |SampleChunk { stream: id, stamps, values, read, length }| {
            progress(read, length);
            let Values::Numbers(values) = values else { return };
            if Some(id) != stream.id {
                return;
            }
            first = first.or_else(|| stamps.iter().copied().find(|stamp| stamp.is_finite()));
            let Some(begin) = first else { return };
            // filters have settled by then, as in a run
            if stamps.first().is_some_and(|stamp| *stamp > begin + options.to_s) {
                return;
            }
            intake.take(stamps, values, &mut |_| {});
            while let Some(block) = intake.pop() {
                let stamp = block.stamps.first().map_or(f64::NAN, |stamp| stamp.0) - begin;
                if let (true, Samples::Double64(values)) =
                    ((options.from_s..options.to_s).contains(&stamp), &block.values)
                {
                    gathered.take(values);
                }
                intake.give_back(block);
            }
        },
    )
    .map_err(unreadable)?;
    Ok(gathered)
}
