//! Streams and searches in words: what a person reads who has to put it right. Pure.

use core::fmt;
use std::collections::BTreeSet;

use kalmind_types::StreamDescription;

use crate::number::format_name;
use crate::search::selector::StreamSelector;

/// Streams that a message lists by name; further ones are counted.
const LISTED: usize = 12;
/// Names that are less alike than this (Jaro-Winkler) are no slip of the pen.
const ALIKE: f64 = 0.8;

/// One stream in one phrase.
pub(crate) struct Name<'a>(pub(crate) &'a StreamDescription);
/// Several, one after the other.
pub(crate) struct List<'a>(pub(crate) &'a [StreamDescription]);
/// What is there while a search finds nothing.
pub(crate) struct Instead<'a> {
    pub(crate) selector: &'a StreamSelector,
    pub(crate) seen: &'a [StreamDescription],
}
/// A number of streams.
pub(crate) struct Streams(pub(crate) usize);

impl fmt::Display for Streams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0, if self.0 == 1 { "stream" } else { "streams" })
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = self.0;
        write!(
            formatter,
            "{:?} (type {:?}, {} x {}, {}, source_id {:?}, host {:?})",
            stream.name,
            stream.content_type,
            stream.channels,
            format_name(stream.format),
            rate_name(stream.nominal_rate_hz),
            stream.source_id,
            stream.hostname,
        )
    }
}

impl fmt::Display for List<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stream) in self.0.iter().take(LISTED).enumerate() {
            if index > 0 {
                formatter.write_str(", ")?;
            }
            Name(stream).fmt(formatter)?;
        }
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

impl fmt::Display for Instead<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { selector, seen } = self;
        if seen.is_empty() {
            return formatter.write_str(
                "no stream at all is visible (is the sender running, in the same LSL session and network?)",
            );
        }
        if let Some(nearest) = nearest(selector, seen) {
            write!(formatter, "{nearest} ")?;
        }
        let verb = if seen.len() == 1 { "is" } else { "are" };
        write!(formatter, "{} {verb} there instead: {}", Streams(seen.len()), List(seen))
    }
}

/// One stream in one phrase, for messages.
pub(crate) fn phrase(stream: &StreamDescription) -> String {
    Name(stream).to_string()
}

pub(crate) fn rate_name(rate_hz: f64) -> String {
    if rate_hz > 0.0 { format!("{rate_hz} Hz") } else { String::from("irregular") }
}

/// The stream that was meant, most likely, and the key that keeps it from being found.
fn nearest(selector: &StreamSelector, seen: &[StreamDescription]) -> Option<String> {
    let given = |stream: &StreamDescription| {
        let fields = [
            ("name", selector.name.clone(), stream.name.clone()),
            ("type", selector.content_type.clone(), stream.content_type.clone()),
            ("source_id", selector.source_id.clone(), stream.source_id.clone()),
            ("hostname", selector.hostname.clone(), stream.hostname.clone()),
        ];
        fields.into_iter().filter_map(|(key, wanted, found)| wanted.map(|wanted| (key, wanted, found)))
    };
    let mut best: Option<(f64, String)> = None;
    for stream in seen {
        let differing: Vec<_> = given(stream).filter(|(_, wanted, found)| wanted != found).collect();
        let [(key, wanted, found)] = differing.as_slice() else { continue };
        let alike = strsim::jaro_winkler(&wanted.to_lowercase(), &found.to_lowercase());
        // where everything else fits, the one key that does not is told whatever it holds
        let others_fit = given(stream).count() > 1;
        if (others_fit || alike >= ALIKE) && best.as_ref().is_none_or(|(score, _)| alike > *score) {
            let text = if *key == "name" {
                format!("did you mean name = {found:?}?")
            } else {
                format!("{:?} has {key} = {found:?};", stream.name)
            };
            best = Some((alike, text));
        }
    }
    best.map(|(_, text)| text)
}

/// How to say which of several streams is meant: the key that tells them apart, or what to do where none does.
pub(crate) fn way_out(found: &[StreamDescription]) -> String {
    type Value = fn(&StreamDescription) -> String;
    let texts: [(&str, Value); 4] = [
        ("source_id", |stream| stream.source_id.clone()),
        ("hostname", |stream| stream.hostname.clone()),
        ("name", |stream| stream.name.clone()),
        ("type", |stream| stream.content_type.clone()),
    ];
    let conditions: [Value; 3] = [
        |stream| format!("channel_count={}", stream.channels),
        |stream| format!("nominal_srate={}", stream.nominal_rate_hz),
        |stream| format!("channel_format='{}'", format_name(stream.format)),
    ];
    let values = |value: Value| found.iter().map(value).collect::<Vec<_>>();
    let is_each_its_own = |values: &[String]| {
        values.iter().collect::<BTreeSet<_>>().len() == values.len()
            && values.iter().all(|value| !value.is_empty())
    };
    for (key, value) in texts {
        let values = values(value);
        if is_each_its_own(&values)
            && let Some(first) = values.first()
        {
            return format!("say which one is meant by its {key}, as in {key} = {first:?}");
        }
    }
    for condition in conditions {
        let values = values(condition);
        if is_each_its_own(&values)
            && let Some(first) = values.first()
        {
            return format!("say which one is meant by a condition, as in predicate = \"{first}\"");
        }
    }
    let differing: Vec<&str> = texts
        .into_iter()
        .filter(|(_, value)| values(*value).iter().collect::<BTreeSet<_>>().len() > 1)
        .map(|(key, _)| key)
        .collect();
    if !differing.is_empty() {
        return format!("say which one is meant by {} together", differing.join(" and "));
    }
    let uid = found.first().map(|stream| stream.uid.as_str()).unwrap_or_default();
    format!(
        "their headers are the same, so one of the programs that send them may be left over from an earlier run: end it, or \
         give each outlet a source_id of its own in its program; until either of them is restarted, \
         predicate = \"uid='{uid}'\" takes the first"
    )
}

#[cfg(test)]
mod tests {
    use kalmind_types::NumberFormat;

    use super::*;

    fn stream(name: &str, source_id: &str) -> StreamDescription {
        StreamDescription {
            name: name.into(),
            content_type: "EEG".into(),
            channels: 8,
            format: Some(NumberFormat::Float32),
            nominal_rate_hz: 250.0,
            source_id: source_id.into(),
            hostname: "lab".into(),
            uid: format!("uid-{name}-{source_id}"),
            ..StreamDescription::default()
        }
    }

    fn instead(selector: &StreamSelector, seen: &[StreamDescription]) -> String {
        Instead { selector, seen }.to_string()
    }

    #[test]
    fn numbers_are_put_right() {
        let selector = StreamSelector::by_name("zzz");
        let one = instead(&selector, &[stream("Amp", "a")]);
        assert!(one.starts_with("1 stream is there instead: \"Amp\""), "{one}");
        let two = instead(&selector, &[stream("Amp", "a"), stream("Bmp", "b")]);
        assert!(two.starts_with("2 streams are there instead: \"Amp\""), "{two}");
        let many: Vec<_> = (0..20).map(|number| stream(&format!("S{number}"), "a")).collect();
        let many = instead(&selector, &many);
        assert!(many.starts_with("20 streams are there") && many.ends_with(" and 8 more"), "{many}");
    }

    #[test]
    fn the_nearest_name_is_asked_for() {
        let seen = [stream("Elsewhere", "a"), stream("Array", "b")];
        assert!(
            instead(&StreamSelector::by_name("aray"), &seen).starts_with("did you mean name = \"Array\"? ")
        );
        assert!(!instead(&StreamSelector::by_name("Quite"), &seen).contains("did you mean"));
    }

    #[test]
    fn the_one_key_that_does_not_fit_is_named() {
        let selector =
            StreamSelector { content_type: Some("Markers".into()), ..StreamSelector::by_name("Array") };
        let text = instead(&selector, &[stream("Array", "b")]);
        assert!(text.starts_with("\"Array\" has type = \"EEG\"; "), "{text}");
    }

    #[test]
    fn two_streams_are_told_apart_by_whatever_differs() {
        let (a, b) = (stream("Array", "a"), stream("Array", "b"));
        assert!(way_out(&[a.clone(), b]).ends_with("source_id = \"a\""));
        let elsewhere = StreamDescription { hostname: "other".into(), ..a.clone() };
        assert!(way_out(&[a.clone(), elsewhere]).ends_with("hostname = \"lab\""));
        let wide = StreamDescription { channels: 16, ..a.clone() };
        assert!(way_out(&[a.clone(), wide]).ends_with("predicate = \"channel_count=8\""));
        let other = StreamDescription { source_id: "b".into(), ..a.clone() };
        let text = way_out(&[a.clone(), StreamDescription { hostname: "far".into(), ..a.clone() }, other]);
        assert_eq!(text, "say which one is meant by source_id and hostname together");
        let again = StreamDescription { uid: "second".into(), ..a.clone() };
        let text = way_out(&[a, again]);
        assert!(text.contains("left over") && text.contains("uid='uid-Array-a'"), "{text}");
    }
}
