//! One search for a stream that is known already, and the headers of what is found.

use kalmind_types::{StreamDescription, stated_unit};
use lsl::{StreamInfo, StreamInlet};

use crate::number::number_format;
use crate::search::selector::{SelectorError, StreamSelector};
use crate::search::wording::{Instead, List, Name, Streams, way_out};

/// How long a second match may take to answer after the first, when a known stream is searched again, and time counts.
const SETTLE_AGAIN: f64 = 0.1;
/// How long an outlet may take to send its whole header.
const HEADER: f64 = 2.0;

/// Why no single stream was found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ResolveError {
    /// The selector cannot be used.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// Nothing matched within the time given.
    #[error("no stream with {selector}; {}", Instead { selector, seen })]
    NotFound {
        /// What was searched for.
        selector: Box<StreamSelector>,
        /// What is there instead (short headers: no labels).
        seen: Vec<StreamDescription>,
    },
    /// More than one stream matches.
    #[error("{} match {selector}: {}; {}", Streams(found.len()), List(found), way_out(found))]
    Ambiguous {
        /// What was searched for.
        selector: Box<StreamSelector>,
        /// All that match.
        found: Vec<StreamDescription>,
    },
    /// It was found, and gone before it sent its header.
    #[error("{} was found and vanished before it sent its header", Name(found))]
    Vanished {
        /// What was found (short header).
        found: Box<StreamDescription>,
    },
    /// LSL itself failed.
    #[error("LSL could not search: {reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
}

impl ResolveError {
    /// Whether the selector itself is wrong, so that no stream and no waiting could help.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Selector(_))
    }
}

/// Whether a selector can be used, without a search.
///
/// # Errors
/// [`ResolveError::Selector`].
pub fn check_selector(selector: &StreamSelector) -> Result<(), ResolveError> {
    checked_predicate(selector).map(drop)
}

/// The selector's predicate, proven to be `XPath`: of a valid predicate and its negation exactly one holds for any stream.
pub(crate) fn checked_predicate(selector: &StreamSelector) -> Result<String, ResolveError> {
    let predicate = selector.to_predicate()?;
    if let Some(own) = &selector.predicate {
        let any =
            StreamInfo::new("any", "any", 1, 0.0, lsl::ChannelFormat::Float32, "any").map_err(failed)?;
        if !any.matches_query(own) && !any.matches_query(&format!("not({own})")) {
            return Err(SelectorError::Predicate { predicate: own.clone() }.into());
        }
    }
    Ok(predicate)
}

/// All streams that match now, for a stream that is known: those that answer within a moment of the first, which may
/// take `wait` seconds. Empty where none answers.
pub(crate) fn search(predicate: &str, wait: f64) -> Result<Vec<StreamInfo>, ResolveError> {
    let first = lsl::resolve_bypred(predicate, 1, wait).map_err(failed)?;
    if first.is_empty() {
        return Ok(first);
    }
    // asks all outlets again; ends early at two, which is already one too many
    let all = lsl::resolve_bypred(predicate, 2, SETTLE_AGAIN).map_err(failed)?;
    Ok(unique(if all.is_empty() { first } else { all }))
}

/// The outlet of this identifier, for a thread that knows of it from another one. (A header cannot be sent over as XML:
/// the address is not in it.)
pub(crate) fn find_uid(uid: &str, wait: f64) -> Option<StreamInfo> {
    lsl::resolve_bypred(&format!("uid='{uid}'"), 1, wait).ok()?.pop()
}

/// All streams that answer within `wait` seconds, by short header.
pub(crate) fn visible_infos(wait: f64) -> Result<Vec<StreamInfo>, ResolveError> {
    lsl::resolve_streams(wait).map(unique).map_err(failed)
}

pub(crate) fn unique(mut infos: Vec<StreamInfo>) -> Vec<StreamInfo> {
    infos.sort_by_cached_key(StreamInfo::uid);
    infos.dedup_by_key(|info| info.uid());
    infos
}

pub(crate) fn failed(error: lsl::Error) -> ResolveError {
    ResolveError::Failed { reason: error.to_string() }
}

/// An inlet that never reconnects by itself, and the whole header; `None` where the outlet is gone.
pub(crate) fn open(info: &StreamInfo) -> Option<(StreamInlet, StreamDescription)> {
    open_queued(info, None)
}

/// The same with a queue for a stream that sends `rate_hz` samples a second, where its header does not say.
pub(crate) fn open_queued(
    info: &StreamInfo,
    rate_hz: Option<f64>,
) -> Option<(StreamInlet, StreamDescription)> {
    let inlet = StreamInlet::new(info, buffer_length(info.nominal_srate(), rate_hz), 0, false).ok()?;
    let mut full = inlet.info(HEADER).ok()?;
    let description = full_description(&mut full);
    Some((inlet, description))
}

/// How much LSL may queue between its network thread and ours, in LSL's unit (seconds of a regular stream, hundreds of
/// samples of an irregular one): a million samples, but 2 s at least and a minute at most; of an irregular stream a
/// quarter of a million, or a minute at `rate_hz` where that is more. (The sender queues no more for us than we ask for,
/// nor than it was told to: 36,000 samples of an irregular stream unless its program says otherwise.)
fn buffer_length(nominal_rate_hz: f64, rate_hz: Option<f64>) -> i32 {
    if nominal_rate_hz > 0.0 {
        return (1e6 / nominal_rate_hz).clamp(2.0, 60.0) as i32;
    }
    let samples = rate_hz.map_or(0.0, |rate_hz| 60.0 * rate_hz).clamp(250_000.0, 1e6);
    (samples / HUNDRED).ceil() as i32
}

/// LSL's unit for the queue of an irregular stream.
const HUNDRED: f64 = 100.0;

/// Samples that LSL queues for us before it drops the oldest without a word.
pub(crate) fn queue_samples(nominal_rate_hz: f64, rate_hz: Option<f64>) -> f64 {
    let length = f64::from(buffer_length(nominal_rate_hz, rate_hz));
    length * if nominal_rate_hz > 0.0 { nominal_rate_hz } else { HUNDRED }
}

/// The header as an answer to a search carries it: no labels or units.
pub(crate) fn short_description(info: &StreamInfo) -> StreamDescription {
    StreamDescription {
        name: info.stream_name(),
        content_type: info.stream_type(),
        channels: usize::try_from(info.channel_count()).unwrap_or(0),
        format: number_format(info.channel_format()),
        nominal_rate_hz: info.nominal_srate(),
        source_id: info.source_id(),
        hostname: info.hostname(),
        uid: info.uid(),
        session_id: info.session_id(),
        labels: None,
        units: None,
        desc: String::new(),
    }
}

fn full_description(info: &mut StreamInfo) -> StreamDescription {
    let mut description = short_description(info);
    let mut labels = Vec::new();
    let mut units = Vec::new();
    let mut channel = info.desc().child("channels").child("channel");
    while channel.is_valid() && labels.len() < description.channels {
        labels.push(channel.child_value_named("label"));
        units.push(stated_unit(&channel.child_value_named("unit")).to_owned());
        channel = channel.next_sibling_named("channel");
    }
    let complete = |texts: Vec<String>| {
        (texts.len() == description.channels && texts.iter().all(|text| !text.is_empty())).then_some(texts)
    };
    (description.labels, description.units) = (complete(labels), complete(units));
    description.desc = info.to_xml().map(|xml| content_of_desc(&xml).to_owned()).unwrap_or_default();
    description
}

/// What stands between `<desc>` and `</desc>` of a header.
fn content_of_desc(xml: &str) -> &str {
    let content = xml.split_once("<desc>").and_then(|(_, rest)| rest.rsplit_once("</desc>"));
    content.map_or("", |(content, _)| content.trim())
}

#[cfg(test)]
mod tests {
    use kalmind_types::NumberFormat;

    use super::*;

    fn array() -> StreamDescription {
        StreamDescription {
            name: "Array".into(),
            content_type: "Features".into(),
            channels: 2,
            format: Some(NumberFormat::Float32),
            nominal_rate_hz: 50.0,
            source_id: "amp-1".into(),
            hostname: "lab".into(),
            ..StreamDescription::default()
        }
    }

    #[test]
    fn a_description_is_what_stands_inside_its_element() {
        let header = "<info><name>a</name><desc>\n\t<x>1</x>\n</desc></info>";
        assert_eq!(content_of_desc(header), "<x>1</x>");
        assert_eq!(content_of_desc("<info><desc /></info>"), "");
    }

    #[test]
    fn not_found_says_what_is_there_instead() {
        let error = ResolveError::NotFound {
            selector: Box::new(StreamSelector::by_name("Aray")),
            seen: vec![array()],
        };
        assert_eq!(
            error.to_string(),
            "no stream with name = \"Aray\"; did you mean name = \"Array\"? 1 stream is there instead: \"Array\" (type \"Features\", 2 x float32, 50 Hz, \
             source_id \"amp-1\", host \"lab\")"
        );
    }

    #[test]
    fn only_a_wrong_selector_is_a_matter_of_configuration() {
        let configured =
            |selector: &StreamSelector| checked_predicate(selector).unwrap_err().is_configuration();
        assert!(configured(&StreamSelector::default()));
        assert!(configured(&StreamSelector::by_name("a\nb")));
        for predicate in ["name='A", "name=", "nonsense(", ")"] {
            let selector = StreamSelector { predicate: Some(predicate.into()), ..StreamSelector::default() };
            assert!(configured(&selector), "{predicate}");
        }
        let selector = Box::new(StreamSelector::by_name("A"));
        let others = [
            ResolveError::NotFound { selector: selector.clone(), seen: Vec::new() },
            ResolveError::Ambiguous { selector, found: vec![array(), array()] },
            ResolveError::Vanished { found: Box::new(array()) },
            ResolveError::Failed { reason: String::new() },
        ];
        assert!(others.iter().all(|error| !error.is_configuration()));
    }

    #[test]
    fn the_queue_holds_a_million_samples_within_two_seconds_and_a_minute() {
        assert_eq!([50.0, 30_000.0, 1e7].map(|rate| buffer_length(rate, None)), [60, 33, 2]);
    }

    #[test]
    fn the_queue_of_an_irregular_stream_holds_a_burst() {
        assert_eq!(
            [None, Some(50.0), Some(10_000.0), Some(1e5)].map(|rate| buffer_length(0.0, rate)),
            [2500, 2500, 6000, 10_000]
        );
        assert!(queue_samples(0.0, None) >= 250_000.0);
        assert!((queue_samples(50.0, None) - 3000.0).abs() < 1e-9);
    }
}
