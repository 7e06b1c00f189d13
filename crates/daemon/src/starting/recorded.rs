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
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
        .or_usage()?;
    let descriptions = streams.iter().map(|stream| stream.map(|stream| stream.header.description()));
    let found = Found { streams: descriptions.collect(), ..Found::default() };
    for (stream, found) in configuration.stream.iter().zip(&found.streams) {
        if let Some(found) = found {
            require_decodable(stream, found).or_usage()?;
        }
    }
    // nothing moves, and nothing decodes
    let mut configuration = configuration.clone();
    (configuration.start, configuration.decoder.model) = (Mode::Idle, None);
    configuration.record.stream.clear();
    configuration.window.clear();
    let plan = plan(prepare(configuration, false)?, &found)?;
    let planned = plan.streams.iter().zip(&streams).zip(&plan.configuration.stream);
    let text = |(planned, stream): (&crate::starting::planned_stream::PlannedStream, &Stream)| {
        planned.derived.as_ref().map(|derived| format!("stream \"{}\": {}", stream.key(), derived.text()))
    };
    let texts = plan.streams.iter().zip(&plan.configuration.stream).filter_map(text).collect();
    let streams = planned
        .map(|((planned, recorded), stream)| FeatureStream {
            key: stream.key().to_owned(),
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
    let (key, wanted) = (stream.key().to_owned(), stream.selector.to_string());
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

/// The stream that is meant of those that have no names: the one of so many channels as the configuration says, else the one of
/// most channels.
fn find_unnamed<'a>(
    stream: &Stream,
    recorded: &'a Recorded,
) -> Result<Option<&'a RecordedStream>, RecordedStreamError> {
    let fits = |candidate: &&RecordedStream| {
        stream.channels.is_none_or(|channels| channels == candidate.header.channels)
    };
    match recorded.streams.iter().find(fits) {
        Some(found) => Ok(Some(found)),
        None if !stream.required && stream.channels.is_some() => Ok(None),
        None => Err(RecordedStreamError::None {
            key: stream.key().to_owned(),
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
        let plain = Stream { stages: Vec::new(), ..stream };
        assert!(find(&plain, 0, &derived).is_ok_and(|found| found.is_some()));
        let optional = |channels| Stream { required: false, channels, ..Stream::default() };
        let nothing = Recorded::default();
        assert!(find(&optional(None), 0, &nothing).is_err());
        assert!(find(&optional(Some(2)), 0, &nothing).is_ok_and(|found| found.is_none()));
    }
}
