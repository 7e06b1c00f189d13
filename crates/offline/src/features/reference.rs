//! Learns from a stretch of rest what the stages of a recording's streams take from it.

use std::{ops::ControlFlow, path::Path};

use encoding_rs::Encoding;
use kalmind_recording::{
    signals::{read_streams, visit_streams},
    xdf::{
        recording::{Recorded, SampleChunk},
        samples::Values,
        synchronization::ClockCorrections,
    },
};
use kalmind_signal::{ChainSettings, ReferenceKind, StageSettings};
use kalmind_types::{LslTime, Samples};

use super::{
    FeaturePlan, FeatureStages, FeatureStream, FeaturesError,
    intake::Intake,
    learning::{Gathered, learn},
    making::told_problems,
    reference_document::{AverageBy, ReferenceDocument, ReferenceOptions, ReferenceStream},
};
use crate::host::Host;

/// So long before the stretch the stages begin to see samples.
const LEAD_S: f64 = 60.0;
/// The part of a stretch in a session that has to be in its recording.
const LEAST_RECEIVED: f64 = 0.95;

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
    let recorded = read_headers(path, encoding)?;
    let Learnt { streams, warnings: learnt, received } =
        learn_all((path, &recorded), plan, options, encoding, host)?;
    let mut warnings = told_problems(&recorded.problems);
    warnings.extend(learnt);
    let asked = options.to_s - options.from_s;
    for (stream, received) in plan.streams.iter().filter(|stream| is_learnt_from(stream)).zip(received) {
        let found = received as f64 / stream.rate_hz;
        if asked.is_finite() && found < LEAST_RECEIVED * asked {
            warnings.push(format!(
                "stream \"{}\": {found:.1} s of the {asked:.1} s of rest are in the recording",
                stream.key
            ));
        }
    }
    Ok(document(path, options, streams, warnings))
}

/// The same of a stretch between two times on the recorder's clock, in a recording that is still being written and holds what
/// came until then. `options` say all but when; the document says it in seconds of the recording, to the millisecond, so that
/// [`learn_reference`] with these gives the same.
///
/// # Errors
/// [`FeaturesError`]; also where the stretch is not whole in the file.
pub fn learn_rest(
    path: &Path,
    plan: &FeaturePlan,
    [from, to]: [LslTime; 2],
    options: &ReferenceOptions,
    host: &dyn Host,
) -> Result<ReferenceDocument, FeaturesError> {
    // a file without its end has problems, which are none of the rest's
    let recorded = read_headers(path, None)?;
    let not_whole = |key: &str, problem: String| FeaturesError::Reference { key: key.to_owned(), problem };
    let mut options = ReferenceOptions { from_s: 0.0, to_s: f64::INFINITY, ..*options };
    for stream in plan.streams.iter().filter(|stream| is_learnt_from(stream)) {
        let first = first_time((path, &recorded), stream)?;
        let Some(first) = first.filter(|first| *first <= from) else {
            return Err(not_whole(&stream.key, "the recording begins after the rest did".to_owned()));
        };
        options.from_s = options.from_s.max(((from - first).0 * 1e3).ceil() / 1e3);
        options.to_s = options.to_s.min(((to - first).0 * 1e3).floor() / 1e3);
    }
    let Learnt { streams, warnings, received } = learn_all((path, &recorded), plan, &options, None, host)?;
    let seconds = (to - from).0;
    for (stream, received) in plan.streams.iter().filter(|stream| is_learnt_from(stream)).zip(received) {
        let received = received as f64 / stream.rate_hz;
        if received < LEAST_RECEIVED * seconds {
            let problem = format!("only {received:.1} s of the {seconds:.1} s of rest are in the recording");
            return Err(not_whole(&stream.key, problem));
        }
    }
    Ok(document(path, &options, streams, warnings))
}

/// What was learnt, and of how many samples as received each stream that something was learnt of.
struct Learnt {
    streams: Vec<ReferenceStream>,
    warnings: Vec<String>,
    received: Vec<u64>,
}

fn learn_all(
    (path, recorded): (&Path, &Recorded),
    plan: &FeaturePlan,
    options: &ReferenceOptions,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<Learnt, FeaturesError> {
    let (mut streams, mut warnings, mut received) = (Vec::new(), Vec::new(), Vec::new());
    for stream in &plan.streams {
        let Some(stages) = &stream.stages else { continue };
        let mut settings: Vec<StageSettings> = Vec::new();
        let mut of_stream = None;
        for stage in &stages.settings.0 {
            let mut stage = stage.clone();
            if is_learnt(&stage) {
                let before = ChainSettings(settings.clone());
                let (gathered, samples) =
                    gather((path, recorded), stream, stages, &before, options, encoding, host)?;
                of_stream = Some(samples);
                if gathered.rows.len() < 2 * gathered.channels || gathered.is_without_values() {
                    let ReferenceOptions { from_s, to_s, .. } = *options;
                    let (key, received) = (stream.key.clone(), samples);
                    return Err(FeaturesError::NoReference { key, from_s, to_s, received });
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
        received.extend(of_stream);
        streams.push(ReferenceStream {
            key: stream.key.clone(),
            rate_hz: stream.rate_hz,
            channels: stages.raw.outputs.iter().map(|output| output.name.clone()).collect(),
            stages: ChainSettings(settings),
        });
    }
    if received.is_empty() {
        return Err(FeaturesError::NothingToLearn);
    }
    let is_reference =
        |stage: &StageSettings| matches!(stage, StageSettings::Reference(_)) && is_learnt(stage);
    let is_any = streams.iter().any(|stream| stream.stages.0.iter().any(is_reference));
    if options.average != AverageBy::All && !is_any {
        warnings.push(
            "no stage averages channels, so nothing was made of what was asked for averages".to_owned(),
        );
    }
    Ok(Learnt { streams, warnings, received })
}

fn document(
    path: &Path,
    options: &ReferenceOptions,
    streams: Vec<ReferenceStream>,
    warnings: Vec<String>,
) -> ReferenceDocument {
    let recording = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let seconds = [options.from_s, options.to_s];
    ReferenceDocument {
        format: 1,
        name: "rest".to_owned(),
        made: None,
        recording,
        seconds,
        streams,
        warnings,
    }
}

fn read_headers(path: &Path, encoding: Option<&'static Encoding>) -> Result<Recorded, FeaturesError> {
    read_streams(path, encoding).map_err(|source| FeaturesError::Unreadable { path: path.to_owned(), source })
}

/// When a stream's first sample was, on the recorder's clock; none where the file has none.
fn first_time(
    (path, recorded): (&Path, &Recorded),
    stream: &FeatureStream,
) -> Result<Option<LslTime>, FeaturesError> {
    let Some(recorded) = recorded.streams.iter().find(|recorded| Some(recorded.id) == stream.id) else {
        return Ok(None);
    };
    let mut first = None;
    visit_streams(
        path,
        None,
        |header| *header != recorded.header,
        |SampleChunk { stream, stamps, .. }| {
            let stamp = stamps.iter().copied().find(|stamp| stamp.is_finite());
            match stamp.filter(|_| stream == recorded.id) {
                None => ControlFlow::Continue(()),
                found => {
                    first = found;
                    ControlFlow::Break(())
                }
            }
        },
    )
    .map_err(|source| FeaturesError::Unreadable { path: path.to_owned(), source })?;
    let corrected = |stamp: f64| LslTime(stamp + ClockCorrections::of(&recorded.clock_offsets).at(stamp));
    Ok(first.map(corrected))
}

/// Whether any of a stream's stages takes anything from a stretch of rest.
fn is_learnt_from(stream: &FeatureStream) -> bool {
    stream.stages.as_ref().is_some_and(|stages| stages.settings.0.iter().any(is_learnt))
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

/// The samples of the stretch, once these stages have made something of them, and how many were received in it.
fn gather(
    (path, recorded): (&Path, &Recorded),
    stream: &FeatureStream,
    stages: &FeatureStages,
    before: &ChainSettings,
    options: &ReferenceOptions,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
) -> Result<(Gathered, u64), FeaturesError> {
    let stages = (!before.0.is_empty()).then(|| FeatureStages {
        settings: before.clone(),
        // which channels are dead is learnt as well
        channel_health: false,
        unwatched: Vec::new(),
        ..stages.clone()
    });
    let stream = FeatureStream { stages, ..stream.clone() };
    let unreadable = |source| FeaturesError::Unreadable { path: path.to_owned(), source };
    let recorded = recorded.streams.iter().find(|recorded| Some(recorded.id) == stream.id);
    let mut intake = Intake::new(0, &stream, &[], false)
        .map_err(|error| FeaturesError::Stages { key: stream.key.clone(), error })?;
    let channels = intake.width();
    let mut gathered = Gathered::new(channels);
    let (mut first, mut received) = (None, 0);
    let mut progress = host.bytes();
    visit_streams(
        path,
        encoding,
        |other| recorded.is_none_or(|recorded| recorded.header != *other),
        |SampleChunk { stream: id, stamps, values, read, length }| {
            progress(read, length);
            let Values::Numbers(values) = values else { return ControlFlow::Continue(()) };
            if Some(id) != stream.id {
                return ControlFlow::Continue(());
            }
            first = first.or_else(|| stamps.iter().copied().find(|stamp| stamp.is_finite()));
            let Some(begin) = first else { return ControlFlow::Continue(()) };
            let stretch = options.from_s..options.to_s;
            if stamps.first().is_some_and(|stamp| *stamp > begin + stretch.end) {
                return ControlFlow::Break(());
            }
            // filters have settled by the stretch, as in a run
            if stamps.last().is_some_and(|stamp| *stamp < begin + stretch.start - LEAD_S) {
                intake.pass_over(stamps);
                return ControlFlow::Continue(());
            }
            received += stamps.iter().filter(|stamp| stretch.contains(&(**stamp - begin))).count() as u64;
            intake.take(stamps, values, &mut |_| {});
            while let Some(block) = intake.pop() {
                let stamp = block.stamps.first().map_or(f64::NAN, |stamp| stamp.0) - begin;
                if let (true, Samples::Double64(values)) = (stretch.contains(&stamp), &block.values) {
                    gathered.take(values);
                }
                intake.give_back(block);
            }
            ControlFlow::Continue(())
        },
    )
    .map_err(unreadable)?;
    Ok((gathered, received))
}
