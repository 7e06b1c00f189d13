//! What tells one stream from another: whether the outlet that is there is the one expected. Pure.

use std::fmt::Write as _;

use kalmind_types::StreamDescription;

use crate::number::format_name;
use crate::search::wording::rate_name;

/// What tells `found` from the stream `expected`, in a sentence fragment; `None` where it is the same stream (which may
/// run in another process, on another port or host).
///
/// Compared: number of channels, format, nominal rate, labels, name, type and the source's identifier.
#[must_use]
pub fn difference(expected: &StreamDescription, found: &StreamDescription) -> Option<String> {
    let mut text = String::new();
    let mut say = |what: &str, found: &dyn core::fmt::Display, expected: &dyn core::fmt::Display| {
        let separator = if text.is_empty() { "" } else { "; " };
        // writing into a String cannot fail
        let _infallible = write!(text, "{separator}{what} {found} instead of {expected}");
    };
    if found.channels != expected.channels {
        say("number of channels", &found.channels, &expected.channels);
    }
    if found.format != expected.format {
        say("format", &format_name(found.format), &format_name(expected.format));
    }
    // the header carries the rate as decimal text
    if (found.nominal_rate_hz - expected.nominal_rate_hz).abs() > 1e-6 * expected.nominal_rate_hz.abs() {
        say("nominal rate", &rate_name(found.nominal_rate_hz), &rate_name(expected.nominal_rate_hz));
    }
    if found.channels == expected.channels && found.labels != expected.labels {
        match (&found.labels, &expected.labels) {
            (Some(found), Some(expected)) => {
                if let Some((at, found, expected)) = first_other(expected, found) {
                    say(&format!("label of channel {at}"), &format!("{found:?}"), &format!("{expected:?}"));
                }
            }
            (found, _) => {
                let (named, unnamed): (&str, &str) = ("labelled channels", "channels without labels");
                let (found, expected) = if found.is_some() { (named, unnamed) } else { (unnamed, named) };
                say("a header with", &found, &expected);
            }
        }
    }
    for (what, found, expected) in [
        ("name", &found.name, &expected.name),
        ("type", &found.content_type, &expected.content_type),
        ("source_id", &found.source_id, &expected.source_id),
    ] {
        if found != expected {
            say(what, &format!("{found:?}"), &format!("{expected:?}"));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The first channel with another label than expected, with both.
fn first_other<'a>(expected: &'a [String], found: &'a [String]) -> Option<(usize, &'a str, &'a str)> {
    let mut pairs = expected.iter().zip(found).enumerate();
    pairs.find_map(|(at, (expected, found))| {
        (found != expected).then_some((at, found.as_str(), expected.as_str()))
    })
}

/// As [`difference`], for a stream that has not been there yet: of which the number of channels is known, and the labels
/// perhaps. They are compared where the header has some, too.
pub(crate) fn difference_of_shape(expected: &StreamDescription, found: &StreamDescription) -> Option<String> {
    if found.format.is_none() {
        return Some(String::from("texts instead of numbers"));
    }
    if !is_rate(found.nominal_rate_hz) {
        return Some(format!("a nominal rate of {} Hz, which no stream has", found.nominal_rate_hz));
    }
    if found.channels != expected.channels {
        return Some(format!("number of channels {} instead of {}", found.channels, expected.channels));
    }
    let (expected, found) = expected.labels.as_ref().zip(found.labels.as_ref())?;
    let (at, found, expected) = first_other(expected, found)?;
    Some(format!("label of channel {at} {found:?} instead of {expected:?}"))
}

/// The greatest rate that a stream's header may state: more than any amplifier sends, and queues are sized by it.
const GREATEST_RATE_HZ: f64 = 1e6;

/// Whether a stream can have this nominal rate (0: irregular). Headers can state any.
#[must_use]
pub fn is_rate(nominal_rate_hz: f64) -> bool {
    (0.0..=GREATEST_RATE_HZ).contains(&nominal_rate_hz)
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
            uid: "one".into(),
            session_id: "default".into(),
            labels: Some(vec!["a".into(), "b".into()]),
            units: None,
            desc: String::new(),
        }
    }

    #[test]
    fn a_restarted_sender_is_the_same_stream() {
        let found = StreamDescription { uid: "two".into(), hostname: "other".into(), ..array() };
        assert_eq!(difference(&array(), &found), None);
    }

    #[test]
    fn every_difference_is_named() {
        let cases: [(StreamDescription, &str); 8] = [
            (StreamDescription { channels: 3, labels: None, ..array() }, "number of channels 3 instead of 2"),
            (
                StreamDescription { format: Some(NumberFormat::Int16), ..array() },
                "format int16 instead of float32",
            ),
            (StreamDescription { format: None, ..array() }, "format string instead of float32"),
            (
                StreamDescription { nominal_rate_hz: 0.0, ..array() },
                "nominal rate irregular instead of 50 Hz",
            ),
            (
                StreamDescription { labels: Some(vec!["a".into(), "c".into()]), ..array() },
                "label of channel 1 \"c\" instead of \"b\"",
            ),
            (
                StreamDescription { labels: None, ..array() },
                "a header with channels without labels instead of labelled channels",
            ),
            (
                StreamDescription { source_id: "amp-2".into(), ..array() },
                "source_id \"amp-2\" instead of \"amp-1\"",
            ),
            (
                StreamDescription { nominal_rate_hz: 100.0, name: "B".into(), ..array() },
                "nominal rate 100 Hz instead of 50 Hz; name \"B\" instead of \"Array\"",
            ),
        ];
        for (found, text) in cases {
            assert_eq!(difference(&array(), &found).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_stream_that_comes_later_has_to_have_the_channels_that_are_known_of_it() {
        // what is assumed of it
        let awaited = |labels: Option<[&str; 2]>| StreamDescription {
            channels: 2,
            format: Some(NumberFormat::Double64),
            labels: labels.map(|labels| labels.map(str::to_owned).to_vec()),
            ..StreamDescription::default()
        };
        let difference = |labels, found: &StreamDescription| difference_of_shape(&awaited(labels), found);
        assert_eq!(difference(Some(["a", "b"]), &array()), None);
        assert_eq!(difference(None, &array()), None);
        assert_eq!(difference(Some(["x", "y"]), &StreamDescription { labels: None, ..array() }), None);
        let cases = [
            (Some(["a", "y"]), array(), "label of channel 1 \"b\" instead of \"y\""),
            (Some(["b", "a"]), array(), "label of channel 0 \"a\" instead of \"b\""),
            (
                None,
                StreamDescription { channels: 3, labels: None, ..array() },
                "number of channels 3 instead of 2",
            ),
            (None, StreamDescription { format: None, ..array() }, "texts instead of numbers"),
            (
                None,
                StreamDescription { nominal_rate_hz: -50.0, ..array() },
                "a nominal rate of -50 Hz, which no stream has",
            ),
        ];
        for (labels, found, text) in cases {
            assert_eq!(difference(labels, &found).as_deref(), Some(text));
        }
        for rate_hz in [f64::NAN, f64::INFINITY, 1e9] {
            assert!(difference(None, &StreamDescription { nominal_rate_hz: rate_hz, ..array() }).is_some());
        }
    }
}
