//! Finds the configured streams, all at the same time, and says meanwhile what is awaited.

use kalmind_acquisition::{ResolveError, StreamFinder, StreamSelector, clock::Deadline};
use kalmind_types::{Seconds, StreamDescription};

use crate::{
    configuration::{Configuration, Stream},
    failure::{OrFail as _, Outcome},
    running::plane_streams::Places,
    starting::{
        plan_error::{PlanError, check_rate},
        prepared::Prepared,
    },
    task_follower::TASK_MARKERS,
};

/// How often it is said what is awaited.
const TOLD_EVERY: Seconds = Seconds(4.0);

/// The configured streams, as far as they are there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Headers of the streams to decode from, in their order; none where one that is not required is not there yet.
    pub streams: Vec<Option<StreamDescription>>,
    /// Headers of the further streams to record, in their order; none where one is not there yet. Empty where nothing is
    /// recorded.
    pub recorded: Vec<Option<StreamDescription>>,
    /// What is configured and not there, one sentence each, for the start banner.
    pub missing: Vec<String>,
}

/// What a stream is looked for.
#[derive(Clone, Copy, Debug)]
enum Purpose<'a> {
    Decoding { stream: &'a Stream, can_be_awaited: bool },
    Recording { required: bool },
    Task,
    Places(Places, &'a Configuration),
}

struct Want<'a> {
    key: String,
    purpose: Purpose<'a>,
}

impl Want<'_> {
    fn is_needed(&self) -> bool {
        match self.purpose {
            Purpose::Decoding { stream, can_be_awaited } => stream.required || !can_be_awaited,
            Purpose::Recording { required } => required,
            Purpose::Task | Purpose::Places(..) => false,
        }
    }

    fn error(&self, source: ResolveError) -> PlanError {
        let key = self.key.clone();
        match self.purpose {
            Purpose::Recording { .. } => PlanError::ResolveRecorded { key, source },
            Purpose::Decoding { stream: Stream { required: false, .. }, .. } => {
                PlanError::ResolveOptional { key, source }
            }
            Purpose::Decoding { .. } | Purpose::Task | Purpose::Places(..) => {
                PlanError::Resolve { key, source }
            }
        }
    }

    /// Whether it can be used for what it was looked for.
    fn check(&self, found: &StreamDescription) -> Result<(), PlanError> {
        let key = self.key.clone();
        check_rate(&key, found)?;
        match self.purpose {
            Purpose::Decoding { stream, .. } => require_decodable(stream, found),
            Purpose::Recording { .. } | Purpose::Task => Ok(()),
            Purpose::Places(places, configuration) => {
                let problem = places.problem(configuration, found);
                problem.map_or(Ok(()), |problem| Err(PlanError::NoPlaces { key, problem }))
            }
        }
    }
}

/// Whether a stream can be decoded as it is configured.
///
/// # Errors
/// [`PlanError`].
pub(super) fn require_decodable(stream: &Stream, found: &StreamDescription) -> Result<(), PlanError> {
    let key = stream.key().to_owned();
    check_rate(&key, found)?;
    if found.format.is_none() {
        return Err(PlanError::NotNumeric { key });
    }
    if let Some(expected) = stream.channels.filter(|expected| *expected != found.channels) {
        return Err(PlanError::Channels { key, expected, found: found.channels });
    }
    let other = found
        .units
        .iter()
        .flatten()
        .find(|unit| stream.unit.as_ref().is_some_and(|expected| unit_name(expected) != unit_name(unit)));
    match (&stream.unit, other) {
        (Some(expected), Some(found)) => {
            Err(PlanError::Unit { key, expected: expected.clone(), found: found.clone() })
        }
        _ => Ok(()),
    }
}

/// A unit of voltage by one of its names.
fn unit_name(unit: &str) -> String {
    let plain = unit.trim().to_lowercase().replace(['µ', 'μ'], "u");
    let name = match plain.as_str() {
        "volt" | "volts" => "v",
        "millivolt" | "millivolts" => "mv",
        "microvolt" | "microvolts" => "uv",
        "nanovolt" | "nanovolts" => "nv",
        other => other,
    };
    name.to_owned()
}

fn wants(prepared: &Prepared, is_recorded: bool) -> (Vec<Want<'_>>, Vec<StreamSelector>) {
    let configuration = &prepared.configuration;
    let decoded = configuration.stream.iter().enumerate().map(|(place, stream)| {
        let can_be_awaited = prepared.channels(place).is_some();
        let purpose = Purpose::Decoding { stream, can_be_awaited };
        (Want { key: stream.key().to_owned(), purpose }, configuration.not_own(&stream.selector))
    });
    let recorded =
        configuration.record.stream.iter().enumerate().filter(|_| is_recorded).map(|(place, stream)| {
            let purpose = Purpose::Recording { required: stream.required };
            (Want { key: stream.key(place), purpose }, configuration.not_own(&stream.selector))
        });
    let task = configuration
        .marker_stream()
        .map(|selector| (Want { key: TASK_MARKERS.to_owned(), purpose: Purpose::Task }, selector));
    let places = Places::ALL.into_iter().filter_map(|places| {
        let purpose = Purpose::Places(places, configuration);
        Some((Want { key: places.key().to_owned(), purpose }, places.selector(configuration)?))
    });
    decoded.chain(recorded).chain(task).chain(places).unzip()
}

/// Looks for all streams, up to `wait` for those that are needed; `tell` hears every few seconds what is awaited.
///
/// # Errors
/// Exit code 3 for a needed stream that is missing or ambiguous, or one that cannot be decoded.
pub fn find(
    prepared: &Prepared,
    wait: Seconds,
    is_recorded: bool,
    mut tell: impl FnMut(&str),
) -> Outcome<Found> {
    let (wants, selectors) = wants(prepared, is_recorded);
    let mut finder = StreamFinder::new(&selectors).or_stream()?;
    let deadline = Deadline::after(wait);
    let mut silent_until: Option<Deadline> = None;
    loop {
        finder.look().or_stream()?;
        let unusable = unusable(&wants, |place| finder.found(place)).or_stream()?;
        let problems: Vec<(&Want<'_>, ResolveError)> = wants
            .iter()
            .enumerate()
            .filter_map(|(place, want)| finder.problem(place).map(|problem| (want, problem)))
            .collect();
        let ambiguous = |(want, problem): &&(&Want<'_>, ResolveError)| {
            want.is_needed() && matches!(problem, ResolveError::Ambiguous { .. })
        };
        if let Some((want, problem)) = problems.iter().find(ambiguous) {
            return Err(want.error(problem.clone())).or_stream();
        }
        if !finder.has_asked_everyone() {
            continue;
        }
        let needed: Vec<_> = problems.iter().filter(|(want, _)| want.is_needed()).collect();
        if needed.is_empty() {
            return Ok(found(&prepared.configuration, is_recorded, &finder, &problems, &unusable));
        }
        if deadline.passed() {
            return Err(missing(&needed)).or_stream();
        }
        let left = deadline.remaining().0;
        if left >= 1.0 && silent_until.is_none_or(Deadline::passed) {
            for (want, problem) in &needed {
                tell(&format!("waiting another {left:.0} s for {:?}: {problem}", want.key));
            }
            silent_until = Some(Deadline::after(TOLD_EVERY));
        }
    }
}

/// Streams that were found and cannot be used, by their place, with the reason.
///
/// # Errors
/// For the first of them that is needed.
fn unusable<'a>(
    wants: &[Want<'_>],
    found: impl Fn(usize) -> Option<&'a StreamDescription>,
) -> Result<Vec<(usize, PlanError)>, PlanError> {
    let found = wants.iter().enumerate().filter_map(|(place, want)| Some((place, want, found(place)?)));
    let mut unusable = Vec::new();
    for (place, want, found) in found {
        match want.check(found) {
            Err(error) if want.is_needed() => return Err(error),
            Err(error) => unusable.push((place, error)),
            Ok(()) => {}
        }
    }
    Ok(unusable)
}

/// Why the run cannot start.
fn missing(needed: &[&(&Want<'_>, ResolveError)]) -> PlanError {
    match needed {
        [(want, problem)] => want.error(problem.clone()),
        several => PlanError::ResolveSeveral {
            problems: several.iter().map(|(want, problem)| want.error(problem.clone()).to_string()).collect(),
        },
    }
}

fn found(
    configuration: &Configuration,
    is_recorded: bool,
    finder: &StreamFinder,
    problems: &[(&Want<'_>, ResolveError)],
    unusable: &[(usize, PlanError)],
) -> Found {
    // what cannot be used is looked for again, as if it were not there
    let usable = |place: usize| {
        finder.found(place).filter(|_| unusable.iter().all(|(other, _)| *other != place)).cloned()
    };
    let decoded = configuration.stream.len();
    let further = configuration.record.stream.len();
    let streams = (0..decoded).map(usable).collect();
    let recorded = if is_recorded { (decoded..decoded + further).map(usable).collect() } else { Vec::new() };
    let mut missing: Vec<String> = problems
        .iter()
        .map(|(want, problem)| {
            let key = &want.key;
            match want.purpose {
                Purpose::Recording { .. } => {
                    format!("not found yet, will be recorded when it appears: {key:?}: {problem}")
                }
                Purpose::Decoding { .. } => {
                    format!("not found yet, will be decoded when it appears: {key:?}: {problem}")
                }
                Purpose::Task => format!("not found yet: {key}: {problem}"),
                Purpose::Places(..) => {
                    format!("not found yet, will be followed when it appears: {key}: {problem}")
                }
            }
        })
        .collect();
    missing.extend(unusable.iter().map(|(_, error)| format!("found, but cannot be used as it is: {error}")));
    if !is_recorded && further > 0 {
        let streams = if further == 1 { "1 further stream is" } else { "the further streams are" };
        missing.push(format!("{streams} not read, because nothing is recorded ([[record.stream]])"));
    }
    Found { streams, recorded, missing }
}

#[cfg(test)]
mod tests {
    use kalmind_types::NumberFormat;

    use super::*;

    fn want(purpose: Purpose<'_>) -> Want<'_> {
        Want { key: "a".to_owned(), purpose }
    }

    fn header(nominal_rate_hz: f64, format: Option<NumberFormat>) -> StreamDescription {
        StreamDescription { name: "a".to_owned(), channels: 2, nominal_rate_hz, format, ..Default::default() }
    }

    fn said(purpose: Purpose<'_>, found: &StreamDescription) -> String {
        let unusable = unusable(&[want(purpose)], |_| Some(found)).expect("it is not needed");
        unusable.iter().map(|(_, error)| error.to_string()).collect()
    }

    #[test]
    fn only_a_needed_stream_that_cannot_be_used_ends_the_start() {
        let configuration = Configuration::default();
        let needed = Stream { required: true, ..Stream::default() };
        let optional = Stream { required: false, ..Stream::default() };
        let senseless = header(f64::NAN, Some(NumberFormat::Float32));
        for purpose in [
            Purpose::Decoding { stream: &needed, can_be_awaited: true },
            Purpose::Decoding { stream: &optional, can_be_awaited: false },
            Purpose::Recording { required: true },
        ] {
            let error = unusable(&[want(purpose)], |_| Some(&senseless)).expect_err("it is needed");
            assert!(matches!(error, PlanError::NoSuchRate { .. }), "{error}");
        }
        let awaited = Purpose::Decoding { stream: &optional, can_be_awaited: true };
        let places = Purpose::Places(Places::Cursor, &configuration);
        for purpose in [awaited, Purpose::Recording { required: false }, Purpose::Task, places] {
            assert!(said(purpose, &senseless).contains("samples a second"), "{purpose:?}");
        }
        let text = header(0.0, None);
        assert!(said(awaited, &text).contains("carries text"));
        assert_eq!(said(Purpose::Task, &text), "");
    }

    #[test]
    fn places_need_the_channels_that_are_named() {
        let configuration = Configuration::default();
        let numbers = header(60.0, Some(NumberFormat::Float32));
        assert_eq!(said(Purpose::Places(Places::Cursor, &configuration), &numbers), "");
        let problem = said(Purpose::Places(Places::Targets, &configuration), &numbers);
        assert!(problem.contains("no channel 2; it has 2 (without labels)"), "{problem}");
        let problem = said(Purpose::Places(Places::Cursor, &configuration), &header(0.0, None));
        assert!(problem.contains("text, not numbers"), "{problem}");
    }
}
