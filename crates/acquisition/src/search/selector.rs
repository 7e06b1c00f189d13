//! Says which stream is meant.

use core::fmt;

use lsl::StreamInfo;
use serde::{Deserialize, Serialize};

use kalmind_types::StreamDescription;

use crate::number::lsl_format;
use crate::search::host::this_host;

/// Which stream is meant: every field that is given has to hold. At least one has to be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamSelector {
    /// The stream's name.
    pub name: Option<String>,
    /// Its content type (`EEG`, `Features`, `Markers`).
    #[serde(rename = "type")]
    pub content_type: Option<String>,
    /// The sender's identifier of the source.
    pub source_id: Option<String>,
    /// The host that sends it.
    pub hostname: Option<String>,
    /// An `XPath` 1.0 predicate over the stream's short header, as LSL takes it: `starts-with(name,'Bio') and
    /// channel_count>32`.
    pub predicate: Option<String>,
    /// Streams that are never meant, as a predicate; see [`but_not_own`](Self::but_not_own).
    #[serde(skip)]
    pub excluded: Option<String>,
}

/// Why a selector cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// No field is given; the selector would match any stream.
    #[error("say which stream is meant: give at least one of name, type, source_id, hostname, predicate")]
    Empty,
    /// A field holds a line break or another control character, which LSL's query protocol cannot carry.
    #[error("{field} holds a control character, which no stream can be searched by")]
    ControlCharacter {
        /// The field's name.
        field: &'static str,
    },
    /// The predicate is no `XPath` 1.0 expression.
    #[error("predicate `{predicate}` is not a valid XPath 1.0 expression (example: starts-with(name,'Bio'))")]
    Predicate {
        /// The predicate.
        predicate: String,
    },
}

impl StreamSelector {
    /// Selects by name alone.
    #[must_use]
    pub fn by_name(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Leaves out the outlets that this program makes itself, by the source identifiers of theirs: a program that selects
    /// markers by their type alone does not mean its own.
    #[must_use]
    pub fn but_not_own(self, source_ids: &[String]) -> Self {
        let ids: Vec<String> =
            source_ids.iter().map(|id| format!("source_id={}", xpath_literal(id))).collect();
        let excluded = this_host()
            .filter(|_| !ids.is_empty())
            .map(|host| format!("hostname={} and ({})", xpath_literal(&host), ids.join(" or ")));
        Self { excluded, ..self }
    }

    /// Whether this outlet is one of those that are never meant.
    pub(crate) fn excludes(&self, info: &StreamInfo) -> bool {
        self.excluded.as_ref().is_some_and(|excluded| info.matches_query(excluded))
    }

    /// Whether a stream that is known by its description alone, as one of a recording, is one of those that are meant.
    pub fn matches(&self, stream: &StreamDescription) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let queried = |predicate: &String| {
            let StreamDescription {
                name, content_type, channels, nominal_rate_hz, format, source_id, ..
            } = stream;
            let channels = u32::try_from(*channels).unwrap_or(u32::MAX);
            let format = lsl_format(*format);
            StreamInfo::new(name, content_type, channels, *nominal_rate_hz, format, source_id)
                .is_ok_and(|info| info.matches_query(predicate))
        };
        is(&self.name, &stream.name)
            && is(&self.content_type, &stream.content_type)
            && is(&self.source_id, &stream.source_id)
            && is(&self.hostname, &stream.hostname)
            && self.predicate.as_ref().is_none_or(queried)
    }

    fn fields(&self) -> [(&'static str, Option<&String>); 5] {
        [
            ("name", self.name.as_ref()),
            ("type", self.content_type.as_ref()),
            ("source_id", self.source_id.as_ref()),
            ("hostname", self.hostname.as_ref()),
            ("predicate", self.predicate.as_ref()),
        ]
    }

    /// The LSL predicate of this selector. Quotes in values cannot change its meaning.
    ///
    /// # Errors
    /// [`SelectorError::Empty`] and [`SelectorError::ControlCharacter`]; whether `predicate` is valid `XPath` is found out
    /// by [`find_one`](crate::find_one).
    pub fn to_predicate(&self) -> Result<String, SelectorError> {
        let mut terms = Vec::new();
        for (field, value) in self.fields() {
            let Some(value) = value else { continue };
            if value.chars().any(char::is_control) {
                return Err(SelectorError::ControlCharacter { field });
            }
            terms.push(match field {
                "predicate" if self.is_predicate_alone() => value.clone(),
                "predicate" => format!("({value})"),
                _ => format!("{field}={}", xpath_literal(value)),
            });
        }
        if terms.is_empty() {
            return Err(SelectorError::Empty);
        }
        if let Some(excluded) = &self.excluded {
            if let ([predicate], true) = (terms.as_mut_slice(), self.predicate.is_some()) {
                *predicate = format!("({predicate})");
            }
            terms.push(format!("not({excluded})"));
        }
        Ok(terms.join(" and "))
    }

    fn is_predicate_alone(&self) -> bool {
        self.fields().iter().filter(|(_, value)| value.is_some()).count() == 1
    }
}

impl fmt::Display for StreamSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (field, value) in self.fields() {
            if let Some(value) = value {
                write!(formatter, "{separator}{field} = {value:?}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() { formatter.write_str("no stream") } else { Ok(()) }
    }
}

/// `text` as an `XPath` 1.0 string. `XPath` has no escapes, so a text with both kinds of quotes is put together from pieces.
fn xpath_literal(text: &str) -> String {
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    if !text.contains('"') {
        return format!("\"{text}\"");
    }
    let pieces: Vec<_> = text.split('\'').map(|piece| format!("'{piece}'")).collect();
    format!("concat({})", pieces.join(",\"'\","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_have_to_hold() {
        let selector = StreamSelector {
            name: Some("Array".into()),
            content_type: Some("Features".into()),
            predicate: Some("channel_count=4 or channel_count=8".into()),
            ..StreamSelector::default()
        };
        assert_eq!(
            selector.to_predicate().unwrap(),
            "name='Array' and type='Features' and (channel_count=4 or channel_count=8)"
        );
    }

    #[test]
    fn a_program_does_not_select_what_it_sends_itself() {
        let markers = StreamSelector { content_type: Some("Markers".into()), ..StreamSelector::default() };
        let predicate = markers.clone().but_not_own(&["kalmind-events".to_owned()]).to_predicate().unwrap();
        let host = this_host().unwrap();
        assert_eq!(
            predicate,
            format!("type='Markers' and not(hostname='{host}' and (source_id='kalmind-events'))")
        );
        let own = StreamSelector { predicate: Some("a or b".into()), ..StreamSelector::default() };
        let predicate = own.but_not_own(&["x".to_owned()]).to_predicate().unwrap();
        assert!(predicate.starts_with("(a or b) and not("), "{predicate}");
        assert_eq!(markers.clone().but_not_own(&[]), markers);
    }

    #[test]
    fn quotes_cannot_leave_the_literal() {
        assert_eq!(xpath_literal("it's"), "\"it's\"");
        assert_eq!(xpath_literal("a \"b\""), "'a \"b\"'");
        assert_eq!(xpath_literal("a'b\"c"), "concat('a',\"'\",'b\"c')");
    }

    #[test]
    fn an_empty_selector_is_refused() {
        assert_eq!(StreamSelector::default().to_predicate(), Err(SelectorError::Empty));
    }

    #[test]
    fn control_characters_are_refused() {
        let selector = StreamSelector::by_name("a\r\nb");
        assert_eq!(selector.to_predicate(), Err(SelectorError::ControlCharacter { field: "name" }));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = serde_json::from_str::<StreamSelector>(r#"{"nam": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `nam`"), "{error}");
    }

    #[test]
    fn display_names_what_is_given() {
        let selector = StreamSelector { source_id: Some("amp-1".into()), ..StreamSelector::by_name("Array") };
        assert_eq!(selector.to_string(), "name = \"Array\", source_id = \"amp-1\"");
    }
}
