//! Learns from a stretch of rest what the stages of a recording's streams take from it.

use std::{ops::ControlFlow, path::Path};

use encoding_rs::Encoding;
use kalmind_recording::{
    signals::{read_streams, visit_streams},
    xdf::{
        recording::{Recorded, SampleChunk},
        samples::Values,
    },
};
use kalmind_signal::{ChainSettings, ReferenceKind, StageSettings};
use kalmind_types::{LslTime, Samples};

use super::{
    FeaturePlan, FeatureStages, FeatureStream, FeaturesError, Stretch,
    intake::Intake,
    learning::{Gathered, learn},
    making::told_problems,
    pieces::Pieces,
    reference_document::{AverageBy, ReferenceDocument, ReferenceOptions, ReferenceStream},
};
use crate::host::Host;

/// So long before the stretch the stages begin to see samples.
const LEAD_S: f64 = 60.0;
/// Below so many samples a second nothing is watched for channels that stand still.
const WATCHED_FROM_HZ: f64 = 100.0;
/// The part of a stretch that has to be in the recording.
const LEAST_RECEIVED: f64 = 0.95;

/// Learns what the stages of a recording's streams need of a stretch, each from what the ones before give once these are fixed.
/// Streams whose stages need nothing are not in the document.
///
/// # Errors
/// [`FeaturesError`].
pub fn learn_reference(
    path: &Path,
    plan: &FeaturePlan,
    stretch: &Stretch,
    options: &ReferenceOptions,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<ReferenceDocument, FeaturesError> {
    let recorded = read_headers(path, encoding)?;
    let mut document = learn_all((path, &recorded), plan, stretch, options, encoding, host)?;
    let told = document.streams.iter().filter_map(|stream| {
        let (found, asked) = seconds_of(stream, document.seconds);
        let what = format!("{found:.1} s of the {asked:.1} s of rest are in the recording");
        (asked.is_finite() && found < LEAST_RECEIVED * asked)
            .then(|| format!("stream \"{}\": {what}", stream.key))
    });
    let told: Vec<String> = told.collect();
    let learnt = core::mem::replace(&mut document.warnings, told_problems(&recorded.problems));
    document.warnings.extend(learnt);
    document.warnings.extend(told);
    Ok(document)
}

/// The same of a stretch between two times on the recorder's clock, in a recording that is still being written and holds what
/// came until then. The document says which samples of each stream that were, so that [`learn_reference`] with
/// [`Stretch::Samples`] gives the same.
///
/// # Errors
/// [`FeaturesError`]; also where the stretch is not whole in the file.
pub fn learn_rest(
    path: &Path,
    plan: &FeaturePlan,
    times: [LslTime; 2],
    options: &ReferenceOptions,
    host: &dyn Host,
) -> Result<ReferenceDocument, FeaturesError> {
    // a file without its end has problems, which are none of the rest's
    let recorded = read_headers(path, None)?;
    let document = learn_all((path, &recorded), plan, &Stretch::Clock(times), options, None, host)?;
    let asked = (times[1] - times[0]).0;
    for stream in &document.streams {
        let (found, _) = seconds_of(stream, document.seconds);
        if found < LEAST_RECEIVED * asked {
            let problem = format!("only {found:.1} s of the {asked:.1} s of rest are in the recording");
            return Err(FeaturesError::Reference { key: stream.key.clone(), problem });
        }
    }
    Ok(document)
}

/// How many seconds a stream's samples are, and how many were asked for.
fn seconds_of(stream: &ReferenceStream, [from, to]: [f64; 2]) -> (f64, f64) {
    let [first, end] = stream.samples.unwrap_or_default();
    (end.saturating_sub(first) as f64 / stream.rate_hz, to - from)
}

fn learn_all(
    (path, recorded): (&Path, &Recorded),
    plan: &FeaturePlan,
    stretch: &Stretch,
    options: &ReferenceOptions,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<ReferenceDocument, FeaturesError> {
    let with_stages = plan.streams.iter().filter_map(|stream| Some((stream, stream.stages.as_ref()?)));
    let learnt_from: Vec<(&FeatureStream, &FeatureStages)> =
        with_stages.filter(|(_, stages)| stages.settings.0.iter().any(is_learnt)).collect();
    if learnt_from.is_empty() {
        return Err(FeaturesError::NothingToLearn);
    }
    let of_plan: Vec<&FeatureStream> = learnt_from.iter().map(|(stream, _)| *stream).collect();
    let found = stretch.find((path, recorded), &of_plan, encoding)?;
    let (mut streams, mut warnings) = (Vec::new(), Vec::new());
    let stretches = found.samples.into_iter().zip(found.lengths_s);
    for ((stream, stages), (samples, length_s)) in learnt_from.into_iter().zip(stretches) {
        let mut settings: Vec<StageSettings> = Vec::new();
        // which channels were flat when, as they were received
        let mut raw_flat = None;
        for stage in &stages.settings.0 {
            let mut stage = stage.clone();
            if is_learnt(&stage) {
                let before = ChainSettings(settings.clone());
                let gather = |before: &ChainSettings, keeps_rows: bool| {
                    gather((path, recorded), (stream, stages, before), samples, keeps_rows, encoding, host)
                };
                let (gathered, settling_s) = gather(&before, true)?;
                if gathered.rows.len() < 2 * gathered.channels || gathered.is_without_values() {
                    let ([from_s, to_s], [first, end]) = (found.seconds, samples);
                    let (key, received) = (stream.called.clone(), end.saturating_sub(first));
                    return Err(if received == 0 {
                        FeaturesError::NoStretch { key, from_s, to_s, length_s }
                    } else {
                        FeaturesError::NoReference { key, from_s, to_s, received, settling_s }
                    });
                }
                let inputs = stages
                    .outputs_of(&before)
                    .map_err(|error| FeaturesError::Stages { key: stream.called.clone(), error })?;
                let name = |channel: usize| {
                    inputs.get(channel).map_or_else(String::new, |output| output.name.clone())
                };
                let raw_flat = match &mut raw_flat {
                    Some(known) => known,
                    known => known.insert(gather(&ChainSettings(Vec::new()), false)?.0.pieces.flat()),
                };
                let received =
                    |channel: usize| stages.raw.outputs.iter().position(|raw| raw.name == name(channel));
                let flat = gathered.pieces.flat().with(raw_flat, received);
                let told = learn(&mut stage, &gathered, &flat, options, &name)
                    .map_err(|problem| FeaturesError::Reference { key: stream.called.clone(), problem })?;
                warnings.extend(told.into_iter().map(|told| format!("stream \"{}\": {told}", stream.called)));
            }
            settings.push(stage);
        }
        streams.push(ReferenceStream {
            key: stream.key.clone(),
            rate_hz: stream.rate_hz,
            samples: Some(samples),
            channels: stages.raw.outputs.iter().map(|output| output.name.clone()).collect(),
            stages: ChainSettings(settings),
        });
    }
    let is_reference =
        |stage: &StageSettings| matches!(stage, StageSettings::Reference(_)) && is_learnt(stage);
    let is_any = streams.iter().any(|stream| stream.stages.0.iter().any(is_reference));
    if options.average != AverageBy::All && !is_any {
        warnings.push(
            "no stage averages channels, so nothing was made of what was asked for averages".to_owned(),
        );
    }
    let recording = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (name, seconds) = ("rest".to_owned(), found.seconds);
    Ok(ReferenceDocument { format: 1, name, made: None, recording, seconds, streams, warnings })
}

fn read_headers(path: &Path, encoding: Option<&'static Encoding>) -> Result<Recorded, FeaturesError> {
    read_streams(path, encoding).map_err(|source| FeaturesError::Unreadable { path: path.to_owned(), source })
}

/// Whether a stage takes anything from a stretch of rest.
#[must_use]
pub fn is_learnt(stage: &StageSettings) -> bool {
    match stage {
        StageSettings::Spikes(_) => true,
        StageSettings::Reference(reference) => {
            matches!(reference.kind, ReferenceKind::CommonAverage | ReferenceKind::Regression)
        }
        _ => false,
    }
}

/// What these stages make of some of a stream's samples, and how long they settle; without rows, in which pieces of the stretch
/// channels are flat alone.
fn gather(
    (path, recorded): (&Path, &Recorded),
    (stream, stages, before): (&FeatureStream, &FeatureStages, &ChainSettings),
    [from, to]: [u64; 2],
    keeps_rows: bool,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<(Gathered, f64), FeaturesError> {
    // where channels may stand still, as counts do, nothing is made of it
    let judges = stages.channel_health && stream.rate_hz >= WATCHED_FROM_HZ;
    let stages = (!before.0.is_empty()).then(|| FeatureStages {
        settings: before.clone(),
        // which channels are dead is learnt as well
        channel_health: false,
        unwatched: Vec::new(),
        ..stages.clone()
    });
    let stream = FeatureStream { stages, ..stream.clone() };
    let recorded = recorded.streams.iter().find(|recorded| Some(recorded.id) == stream.id);
    let mut intake = Intake::new(0, &stream, &[], false)
        .map_err(|error| FeaturesError::Stages { key: stream.called.clone(), error })?;
    let pieces = Pieces::new(intake.width(), [from, to], stream.rate_hz, judges);
    let gathered = Gathered::new(intake.width(), pieces, !before.0.is_empty());
    let mut gathered = if keeps_rows { gathered } else { gathered.without_rows() };
    let mut next = 0;
    // filters have settled by the stretch, as in a run
    let settles_from = from.saturating_sub((LEAD_S * stream.rate_hz) as u64);
    let mut progress = host.bytes();
    visit_streams(
        path,
        encoding,
        |other| recorded.is_none_or(|recorded| recorded.header != *other),
        |SampleChunk { stream: id, stamps, values, read, length }| {
            progress(read, length);
            if Some(id) != stream.id {
                return ControlFlow::Continue(());
            }
            // nothing behind the stretch counts, which a recording that is still written may not hold yet
            let count = stamps.len().min(usize::try_from(to.saturating_sub(next)).unwrap_or(usize::MAX));
            next += stamps.len() as u64;
            let Values::Numbers(values) = values else { return ControlFlow::Continue(()) };
            if next <= settles_from {
                intake.pass_over(stamps);
                return ControlFlow::Continue(());
            }
            if count == 0 {
                return ControlFlow::Break(());
            }
            intake.take(&stamps[..count], values, &mut |_| {});
            while let Some(index) = intake.front_index() {
                let Some(block) = intake.pop() else { break };
                if let (true, Samples::Double64(values)) = ((from..to).contains(&index), &block.values) {
                    gathered.take(index, values);
                }
                intake.give_back(block);
            }
            ControlFlow::Continue(())
        },
    )
    .map_err(|source| FeaturesError::Unreadable { path: path.to_owned(), source })?;
    if let Some(measured_hz) = intake.other_rate(stream.rate_tolerance) {
        let (key, nominal_hz) = (stream.called, stream.rate_hz);
        return Err(FeaturesError::Rate { key, nominal_hz, measured_hz });
    }
    Ok((gathered, intake.settling_s().unwrap_or(0.0)))
}
