//! The configured streams as a recording holds them, and the features that a run would have made of them.

use std::path::Path;

use encoding_rs::Encoding;
use kalmind_engine::BinnerSettings;
use kalmind_offline::features::{FeaturePlan, FeatureStages, FeatureStream};
use kalmind_recording::{
    signals::{names_streams, read_streams},
    xdf::recording::{Recorded, RecordedStream},
};
use kalmind_types::{Mode, Seconds};

use crate::{
    configuration::{Configuration, Stream},
    failure::{OrFail as _, Outcome},
    starting::{
        finding::{Found, require_decodable},
        plan::plan,
        prepared::prepare,
    },
};

/// Signals of a file without streams that are named.
const NAMED: usize = 4;

/// Why a recording is not one of the configured streams.
#[derive(Debug, thiserror::Error)]
enum RecordedStreamError {
    /// It holds none like it.
    #[error("stream \"{key}\": the recording has no stream with {wanted}; it has {found}")]
    None {
        /// Its key.
        key: String,
        /// How it is selected.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// It holds several.
    #[error(
        "stream \"{key}\": the recording has more than one stream with {wanted}: {found}; say under [[stream]] which one is meant"
    )]
    Several {
        /// Its key.
        key: String,
        /// How it is selected.
        wanted: String,
        /// Those.
        found: String,
    },
    /// It lacks one that is not required, and nothing says how wide that would be.
    #[error(
        "stream \"{key}\": the recording has no stream with {wanted}, and only `channels` under [[stream]] would say how many features it has"
    )]
    Channels {
        /// Its key.
        key: String,
        /// How it is selected.
        wanted: String,
    },
    /// It was not recorded as it was received.
    #[error("stream \"{key}\": \"{name}\" holds only what the stages made; record with `what = \"both\"`")]
    Derived {
        /// Its key.
        key: String,
        /// The recorded stream.
        name: String,
    },
}

/// Plans the features of a recording; and the plan in words, a line for each stream with stages.
///
/// # Errors
/// Exit code 2 for a recording that cannot be read or lacks a stream, or streams that the configuration does not fit.
pub fn plan_features(
    configuration: &Configuration,
    path: &Path,
    encoding: Option<&'static Encoding>,
) -> Outcome<(FeaturePlan, Vec<String>)> {
    plan_found(configuration, path, encoding).map_err(|failure| failure.about(path))
}

fn plan_found(
    configuration: &Configuration,
    path: &Path,
    encoding: Option<&'static Encoding>,
) -> Outcome<(FeaturePlan, Vec<String>)> {
    let recorded = read_streams(path, encoding)
        .map_err(|error| anyhow::anyhow!("the recording {}: {error}", path.display()))
        .or_usage()?;
    let are_named = names_streams(path).or_usage()?;
    let streams: Vec<Option<&RecordedStream>> = configuration
        .stream
        .iter()
        .enumerate()
        .map(
            |(place, stream)| {
                if are_named { find(stream, place, &recorded) } else { find_unnamed(stream, &recorded) }
            },
        )
        .collect::<Result<_, _>>()
        .or_usage()?;
    let called: Vec<String> =
        configuration.stream.iter().zip(&streams).map(|(stream, found)| called(stream, *found)).collect();
    let descriptions = streams.iter().map(|stream| stream.map(|stream| stream.header.description()));
    let found = Found { streams: descriptions.collect(), ..Found::default() };
    // nothing moves, and nothing decodes
    let mut configuration = configuration.clone();
    (configuration.start, configuration.decoder.model) = (Mode::Idle, None);
    configuration.record.stream.clear();
    configuration.window.clear();
    // what does not fit is said of streams by the names that people know them by
    let mut named = configuration.clone();
    for ((stream, called), found) in named.stream.iter_mut().zip(&called).zip(&found.streams) {
        stream.key = Some(called.clone());
        if let Some(found) = found {
            require_decodable(stream, found).or_usage()?;
        }
    }
    let of = |configuration| plan(prepare(configuration, false)?, &found);
    let plan = of(configuration).map_err(|failure| of(named).err().unwrap_or(failure))?;
    let planned = plan.streams.iter().zip(&streams).zip(&plan.configuration.stream);
    let text = |(planned, called): (&crate::starting::planned_stream::PlannedStream, &String)| {
        planned.derived.as_ref().map(|derived| format!("stream \"{called}\": {}", derived.text()))
    };
    let mut texts: Vec<String> = plan.streams.iter().zip(&called).filter_map(text).collect();
    if !are_named {
        texts.extend(left_out(&recorded, &streams));
    }
    let streams = planned
        .zip(&called)
        .map(|(((planned, recorded), stream), called)| FeatureStream {
            key: stream.key().to_owned(),
            called: called.clone(),
            id: recorded.map(|recorded| recorded.id),
            channels: planned.inlet.description.channels,
            rate_hz: stream.rate_hz.unwrap_or(planned.inlet.description.nominal_rate_hz),
            rate_tolerance: stream.rate_tolerance,
            stages: planned.inlet.stages.as_ref().map(|stages| FeatureStages {
                settings: stages.settings.clone(),
                generation: stages.generation,
                raw: stages.raw.clone(),
                channel_health: stages.channel_health,
                unwatched: stages.unwatched.clone(),
            }),
        })
        .collect();
    // a recorded sample is not under way
    let max_wait = Seconds::from_millis(plan.configuration.bins.max_wait_ms());
    let plan = FeaturePlan {
        streams,
        binner: BinnerSettings { max_wait, ..plan.binner() },
        engine: plan.engine(),
        masked: plan.masked.clone(),
        bin_ms: plan.bin_ms,
        participant: plan.configuration.subject.code.clone(),
    };
    Ok((plan, texts))
}

/// What people know a stream by: its key or name in the configuration, else its name in the recording, else what it is selected by.
fn called(stream: &Stream, recorded: Option<&RecordedStream>) -> String {
    let selector = &stream.selector;
    let configured = stream.key.as_ref().or(selector.name.as_ref());
    let recorded = recorded.map(|recorded| &recorded.header.name).filter(|name| !name.is_empty());
    let selected = selector.content_type.as_ref().or(selector.source_id.as_ref());
    let known = configured.or(recorded).or(selected);
    known.map_or_else(|| stream.key().to_owned(), Clone::clone)
}

/// The recorded stream that is meant; none where there is none and none is required.
fn find<'a>(
    stream: &Stream,
    place: usize,
    recorded: &'a Recorded,
) -> Result<Option<&'a RecordedStream>, RecordedStreamError> {
    let candidates: Vec<&RecordedStream> =
        recorded.streams.iter().filter(|candidate| is_signal(candidate, recorded)).collect();
    let matching: Vec<&RecordedStream> = candidates
        .iter()
        .copied()
        .filter(|candidate| stream.selector.matches(&candidate.header.description()))
        .collect();
    // a session's own recording holds one for each place
    let of_place = |candidate: &&&RecordedStream| candidate.header.index == Some(place);
    let matching = match matching.iter().filter(of_place).copied().collect::<Vec<_>>() {
        own if own.len() == 1 => own,
        _ => matching,
    };
    let (key, wanted) = (called(stream, None), stream.selector.to_string());
    match matching.as_slice() {
        [one] if !stream.stages.is_empty() && is_derived(one) => {
            Err(RecordedStreamError::Derived { key, name: one.header.name.clone() })
        }
        [one] => Ok(Some(*one)),
        [] if !stream.required && stream.channels.is_some() => Ok(None),
        [] if !stream.required => Err(RecordedStreamError::Channels { key, wanted }),
        [] => Err(RecordedStreamError::None { key, wanted, found: named(&candidates) }),
        several => Err(RecordedStreamError::Several { key, wanted, found: named(several) }),
    }
}

/// Which signals of a file without streams are taken, and which are not, where those have other rates.
fn left_out(recorded: &Recorded, taken: &[Option<&RecordedStream>]) -> Option<String> {
    let is_taken = |stream: &RecordedStream| taken.iter().flatten().any(|taken| taken.id == stream.id);
    let rated = recorded.streams.iter().filter(|stream| stream.header.nominal_rate_hz > 0.0);
    let (taken, others): (Vec<_>, Vec<_>) = rated.partition(|stream| is_taken(stream));
    let signals = |streams: &[&RecordedStream]| {
        let one = |stream: &&RecordedStream| {
            let header = &stream.header;
            let names: Vec<String> = (0..header.channels.min(NAMED)).map(|at| header.label(at)).collect();
            let more = if header.channels > NAMED { ", .." } else { "" };
            format!("{} of {} Hz ({}{more})", header.channels, header.nominal_rate_hz, names.join(", "))
        };
        streams.iter().map(one).collect::<Vec<_>>().join(" and ")
    };
    (!others.is_empty()).then(|| {
        format!(
            "of its signals {} are taken, and {} left out: a stream is of one rate; `channels` or `rate_hz` under [[stream]] says which",
            signals(&taken),
            signals(&others)
        )
    })
}

/// The stream that is meant of those that have no names: the one of so many channels, and of the rate, that the configuration says,
/// else the one of most channels.
fn find_unnamed<'a>(
    stream: &Stream,
    recorded: &'a Recorded,
) -> Result<Option<&'a RecordedStream>, RecordedStreamError> {
    let fits = |candidate: &&RecordedStream| {
        stream.channels.is_none_or(|channels| channels == candidate.header.channels)
    };
    let is_at_rate = |candidate: &&RecordedStream| {
        let rate_hz = candidate.header.nominal_rate_hz;
        stream.rate_hz.is_some_and(|wanted| (wanted - rate_hz).abs() <= stream.rate_tolerance * rate_hz)
    };
    let at_rate = recorded.streams.iter().filter(fits).find(is_at_rate);
    match at_rate.or_else(|| recorded.streams.iter().find(fits)) {
        Some(found) => Ok(Some(found)),
        None if !stream.required && stream.channels.is_some() => Ok(None),
        None => Err(RecordedStreamError::None {
            key: called(stream, None),
            wanted: stream
                .channels
                .map_or_else(|| "signals".to_owned(), |channels| format!("{channels} channels")),
            found: named(&recorded.streams.iter().collect::<Vec<_>>()),
        }),
    }
}

/// Whether a session's recording holds only what the stages made of a stream.
fn is_derived(stream: &RecordedStream) -> bool {
    stream.header.role.as_deref() == Some("input") && stream.header.name.ends_with(" derived")
}

/// Whether a stream was received, and is not what a session made of others.
fn is_signal(stream: &RecordedStream, recorded: &Recorded) -> bool {
    let header = &stream.header;
    match header.role.as_deref() {
        None | Some("raw" | "extra") => true,
        Some("input") => !recorded
            .streams
            .iter()
            .any(|other| other.header.role.as_deref() == Some("raw") && other.header.index == header.index),
        Some(_) => false,
    }
}

fn named(streams: &[&RecordedStream]) -> String {
    if streams.is_empty() {
        return "none".to_owned();
    }
    let one = |stream: &&RecordedStream| {
        let header = &stream.header;
        format!(
            "\"{}\" (type \"{}\", source_id \"{}\", {} channels)",
            header.name, header.content_type, header.source_id, header.channels
        )
    };
    streams.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use kalmind_acquisition::StreamSelector;
    use kalmind_recording::xdf::{header::StreamHeader, samples::Values};
    use kalmind_signal::{IdentitySettings, StageSettings};

    use super::*;

    fn recorded(streams: &[(&str, &str, usize)]) -> Recorded {
        let stream = |(number, (name, role, index)): (u32, &(&str, &str, usize))| RecordedStream {
            id: number,
            header: StreamHeader {
                name: (*name).to_owned(),
                content_type: "Broadband".to_owned(),
                role: Some((*role).to_owned()),
                index: Some(*index),
                ..StreamHeader::default()
            },
            stamps: Vec::new(),
            values: Values::Texts(Vec::new()),
            clock_offsets: Vec::new(),
            footer: None,
        };
        Recorded { streams: (1..).zip(streams).map(stream).collect(), ..Recorded::default() }
    }

    #[test]
    fn of_a_sessions_own_recording_each_place_has_its_stream_as_it_was_received() {
        let stream = Stream {
            selector: StreamSelector {
                content_type: Some("Broadband".to_owned()),
                ..StreamSelector::default()
            },
            stages: vec![StageSettings::Identity(IdentitySettings {})],
            ..Stream::default()
        };
        let both = recorded(&[
            ("A derived", "input", 0),
            ("A derived", "input", 1),
            ("A", "raw", 0),
            ("A", "raw", 1),
        ]);
        let id = |place| find(&stream, place, &both).ok().flatten().map(|found| found.id);
        assert_eq!([id(0), id(1), id(2)], [Some(3), Some(4), None]);
        let derived = recorded(&[("A derived", "input", 0)]);
        let told = find(&stream, 0, &derived).map(|_| ()).map_err(|error| error.to_string());
        assert!(told.as_ref().is_err_and(|told| told.contains("record with `what = \"both\"`")), "{told:?}");
        let found = &both.streams[2];
        assert_eq!([called(&stream, Some(found)), called(&stream, None)], ["A", "Broadband"]);
        let plain = Stream { stages: Vec::new(), ..stream };
        assert!(find(&plain, 0, &derived).is_ok_and(|found| found.is_some()));
        let optional = |channels| Stream { required: false, channels, ..Stream::default() };
        let nothing = Recorded::default();
        assert!(find(&optional(None), 0, &nothing).is_err());
        assert!(find(&optional(Some(2)), 0, &nothing).is_ok_and(|found| found.is_none()));
    }
}
