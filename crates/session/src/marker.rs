//! Markers of a laboratory's own task program, read as task events.

use std::collections::BTreeMap;

use kalmind_types::{EventBody, EventKind, LslTime};
use serde::Deserialize;
use serde_json::Value;

/// The longest marker that is read, in bytes.
pub const MAX_MARKER_BYTES: usize = 4096;
/// Characters of a text that an error quotes.
const QUOTED: usize = 60;

/// A marker, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// When it says it happened; the marker's own stamp counts where it does not say.
    pub time: Option<LslTime>,
    /// What it says.
    pub content: EventBody,
}

/// Why a marker was not understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MarkerError {
    /// Longer than [`MAX_MARKER_BYTES`].
    #[error("a marker of {bytes} bytes, more than the {MAX_MARKER_BYTES} that are read: {text:?}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// Its beginning.
        text: String,
    },
    /// Neither JSON nor a text of the table.
    #[error("marker {text:?} is neither a JSON object nor in the table [task.markers]")]
    Unknown {
        /// Its beginning.
        text: String,
    },
    /// JSON that is no task event.
    #[error("marker {text:?}: {problem}")]
    Malformed {
        /// Its beginning.
        text: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// Why a table of markers is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("[task.markers] {text:?}: {problem}")]
pub struct MarkerTableError {
    /// The text whose event is wrong.
    pub text: String,
    /// What is wrong.
    pub problem: String,
}

/// The configuration's table from texts to events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarkerTable {
    events: BTreeMap<String, Marker>,
    /// Texts that are numbers, as a stream of numbers tells them: `1` for `1.0`.
    numbers: BTreeMap<String, String>,
}

impl MarkerTable {
    /// A table of texts and the event objects that they stand for.
    ///
    /// # Errors
    /// For the first entry that is no task event.
    pub fn new(entries: impl IntoIterator<Item = (String, Value)>) -> Result<Self, MarkerTableError> {
        let mut events = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        for (text, value) in entries {
            let marker =
                from_json(value).map_err(|problem| MarkerTableError { text: shortened(&text), problem })?;
            let text = text.trim().to_owned();
            if let Some(number) = plain_number(&text) {
                numbers.insert(number, text.clone());
            }
            events.insert(text, marker);
        }
        Ok(Self { events, numbers })
    }

    /// The texts of the table, in their order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.events.keys().map(String::as_str)
    }

    /// The text of the table that a marker's text means: the same, or else the same number.
    #[must_use]
    pub fn entry(&self, text: &str) -> Option<&str> {
        let text = text.trim();
        let same = self.events.get_key_value(text).map(|(entry, _)| entry);
        let number = || plain_number(text).and_then(|number| self.numbers.get(&number));
        same.or_else(number).map(String::as_str)
    }
}

/// A text that is a number, written without what is not needed: `1` for `1.0` and `01`.
fn plain_number(text: &str) -> Option<String> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    let number: f64 = if is_decimal { text.parse().ok()? } else { return None };
    // also makes 0 of -0
    number.is_finite().then(|| (number + 0.0).to_string())
}

/// Reads a marker: a text of `table`, or else our JSON. Slow side; bounded work, never panics.
///
/// Two kinds of text are understood, no longer than [`MAX_MARKER_BYTES`]:
///
/// - **Kalmind's JSON**: `{"kind": .., "data": ..}` with optional `"type": "event"`, `"time"` (LSL seconds; without it the
///   marker's own stamp counts) and `"event_seq"` (read and ignored: whoever publishes the event numbers it anew).
/// - **Texts of a table**: the configuration's `[task.markers]` maps a text, compared whole after trimming (or as a number,
///   where both are one: `1.0` is `1`), to such an object: `"GO_LEFT" = { kind = "target", data = { position = [0.2, 0.5], radius = 0.06 } }`.
///
/// | kind | data | meaning |
/// |---|---|---|
/// | `target` | `{"position": [x, y], "radius": r}` or `{"position": null}` | shows a target (workspace widths; the radius is 0.06 unless given), or takes it away |
/// | `trial` | `{"trial": n, "phase": "start" \| "end", "result": "acquired" \| "timeout" \| null}` | a trial begins or ends |
/// | `task_block` | `{"block": "signal_check" \| "open_loop" \| "closed_loop" \| "evaluation" \| "typing", "phase": "start" \| "end"}` | a block begins or ends; its name says what moves the cursor |
/// | `operator` | `{"action": "stop" \| "idle" \| "calibrating" \| "control" \| "resume"}` | latches a stop, asks for a mode, or (where the configuration lets a task) goes on after a long silence of the input; never clears a latched hold |
/// | `operator` | `{"action": "measure_arrival"}` | between blocks: has it measured anew how the streams arrive (3 s of `idle`) |
/// | `operator` | `{"action": "hand", "velocity": [x, y]}` | where a run takes one (`kalmind demo --mouse`): how a hand moves, in workspace widths per second, which a simulated participant means |
///
/// Any other kind or key is an error: a task program learns at once that it was not understood.
///
/// # Errors
/// When it is neither, or the event in it makes no sense.
pub fn parse_marker(text: &str, table: &MarkerTable) -> Result<Marker, MarkerError> {
    if text.len() > MAX_MARKER_BYTES {
        return Err(MarkerError::TooLong { bytes: text.len(), text: shortened(text) });
    }
    let text = text.trim();
    if let Some(marker) = table.entry(text).and_then(|entry| table.events.get(entry)) {
        return Ok(marker.clone());
    }
    if !text.starts_with('{') {
        return Err(MarkerError::Unknown { text: shortened(text) });
    }
    let value = serde_json::from_str(text).map_err(|error| error.to_string());
    value.and_then(from_json).map_err(|problem| MarkerError::Malformed { text: shortened(text), problem })
}

fn shortened(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push_str("..");
    }
    quoted
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventObject {
    #[serde(rename = "type", default)]
    message_type: Option<String>,
    #[serde(default)]
    time: Option<f64>,
    #[serde(default, rename = "event_seq")]
    _event_seq: Option<u64>,
    kind: String,
    data: Value,
}

fn from_json(value: Value) -> Result<Marker, String> {
    let event: EventObject = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if let Some(other) = event.message_type.filter(|message_type| message_type != "event") {
        return Err(format!("type {:?}, but only \"event\" is read here", shortened(&other)));
    }
    if let Some(time) = event.time.filter(|time| !time.is_finite() || *time <= 0.0) {
        return Err(format!("time {time} is no LSL time"));
    }
    let kind = match event.kind.as_str() {
        "target" => EventKind::Target,
        "trial" => EventKind::Trial,
        "task_block" => EventKind::TaskBlock,
        "operator" => EventKind::Operator,
        other => {
            return Err(format!(
                "kind {:?}; a task may send \"target\", \"trial\", \"task_block\" and \"operator\"",
                shortened(other)
            ));
        }
    };
    Ok(Marker { time: event.time.map(LslTime), content: EventBody::told_by_task(kind, &event.data)? })
}

#[cfg(test)]
mod tests {
    use kalmind_types::{
        Actor, HandEvent, HandTag, OperatorAction, Phase, Position, Target, TaskBlock, TrialResult, Velocity,
    };
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Marker, MarkerError> {
        parse_marker(text, &MarkerTable::default())
    }

    #[test]
    fn our_json_is_understood_with_and_without_its_envelope() {
        let content = EventBody::Target(Some(Target { position: Position([0.2, 0.5]), radius: 0.1 }));
        let bare = parse(r#"{"kind":"target","data":{"position":[0.2,0.5],"radius":0.1}}"#).unwrap();
        assert_eq!(bare, Marker { time: None, content: content.clone() });
        let full = r#" {"type":"event","time":12.5,"event_seq":7,"kind":"target","data":{"position":[0.2,0.5],"radius":0.1}}"#;
        assert_eq!(parse(full).unwrap(), Marker { time: Some(LslTime(12.5)), content });
        let gone = parse(r#"{"kind":"target","data":{"position":null}}"#).unwrap();
        assert_eq!(gone.content, EventBody::Target(None));
    }

    #[test]
    fn what_the_task_tells_comes_back_as_it_was() {
        for content in [
            EventBody::Target(None),
            EventBody::Trial { trial: 3, phase: Phase::End, result: Some(TrialResult::Timeout) },
            EventBody::TaskBlock { block: TaskBlock::OpenLoop, phase: Phase::Start },
            EventBody::task_asks(OperatorAction::Stop),
            EventBody::task_asks(OperatorAction::Resume),
            EventBody::Hand(HandEvent {
                action: HandTag::Hand,
                by: Actor::Task,
                velocity: Velocity([0.25, -0.5]),
            }),
        ] {
            let event = crate::TaskEvent { time: LslTime(1.0), content: content.clone() }.into_event(4);
            let marker = parse(&serde_json::to_string(&event).unwrap()).unwrap();
            assert_eq!(marker, Marker { time: Some(LslTime(1.0)), content });
        }
    }

    #[test]
    fn texts_of_the_table_stand_for_their_event() {
        let table = MarkerTable::new([
            ("HALT".to_owned(), json!({"kind": "operator", "data": {"action": "stop"}})),
            ("{odd".to_owned(), json!({"kind": "target", "data": {"position": [0.5, 0.5]}})),
        ])
        .unwrap();
        let stop = parse_marker("HALT\n", &table).unwrap();
        assert_eq!(stop.content, EventBody::task_asks(OperatorAction::Stop));
        assert!(matches!(parse_marker("{odd", &table).unwrap().content, EventBody::Target(Some(_))));
        let unknown = parse_marker("halt", &table).unwrap_err();
        assert_eq!(unknown, MarkerError::Unknown { text: "halt".to_owned() });
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let event = |action: &str| json!({"kind": "operator", "data": {"action": action}});
        let table = MarkerTable::new([
            ("1.0".to_owned(), event("stop")),
            ("2".to_owned(), event("idle")),
            ("-3.50".to_owned(), event("control")),
            ("1e1".to_owned(), event("calibrating")),
        ])
        .unwrap();
        for (text, entry) in
            [("1", "1.0"), ("1.0", "1.0"), ("2.0", "2"), ("002", "2"), ("-3.5", "-3.50"), ("1e1", "1e1")]
        {
            assert_eq!(table.entry(text), Some(entry), "{text}");
            assert!(parse_marker(text, &table).is_ok(), "{text}");
        }
        for text in ["10", "nan", "inf", "", "-", "1 2"] {
            assert_eq!(table.entry(text), None, "{text}");
        }
    }

    #[test]
    fn a_table_with_a_wrong_event_is_refused_with_its_text() {
        let error = MarkerTable::new([("GO".to_owned(), json!({"kind": "trail", "data": {}}))]).unwrap_err();
        assert_eq!(error.text, "GO");
        assert!(error.problem.contains("\"task_block\""), "{error}");
    }

    #[test]
    fn nonsense_is_refused_with_what_is_wrong() {
        for (text, expected) in [
            (r#"{"kind":"target","data":{}}"#, "missing field `position`"),
            (r#"{"kind":"target","data":{"position":[1]}}"#, "expected position and radius"),
            (r#"{"kind":"target","data":{"position":[0.5,512]}}"#, "one unit wide"),
            (r#"{"kind":"target","data":{"position":[0.5,1e999]}}"#, "out of range"),
            (r#"{"kind":"target","data":{"position":[0.5,0.5],"radius":0}}"#, "positive"),
            (r#"{"kind":"target","data":{"position":[0.5,0.5],"size":1}}"#, "unknown field `size`"),
            (r#"{"kind":"trial","data":{"trial":-1,"phase":"start"}}"#, "invalid value"),
            (r#"{"kind":"task_block","data":{"block":"lunch","phase":"start"}}"#, "unknown variant `lunch`"),
            (r#"{"kind":"operator","data":{"action":"restart"}}"#, "unknown variant `restart`"),
            (r#"{"kind":"operator","data":{"action":"hand"}}"#, "missing field `velocity`"),
            (r#"{"kind":"operator","data":{"action":"hand","velocity":[0.1]}}"#, "velocity: [x, y]"),
            (r#"{"kind":"operator","data":{"action":"hand","velocity":[0.1,0,0]}}"#, "velocity: [x, y]"),
            (r#"{"kind":"operator","data":{"action":"hand","velocity":[0.1,null]}}"#, "invalid type: null"),
            (r#"{"kind":"operator","data":{"action":"hand","velocity":[0.1,1e999]}}"#, "out of range"),
            (r#"{"kind":"operator","data":{"action":"hand","velocity":[0.1,512]}}"#, "widths per second"),
            (
                r#"{"kind":"operator","data":{"action":"stop","velocity":[0.1,0]}}"#,
                "unknown field `velocity`",
            ),
            (r#"{"kind":"model","data":{}}"#, "a task may send"),
            (r#"{"type":"state","kind":"target","data":{"position":null}}"#, "only \"event\""),
            (r#"{"time":-3,"kind":"target","data":{"position":null}}"#, "no LSL time"),
            ("{", "EOF"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn long_markers_are_refused_and_quoted_briefly() {
        let text = "\u{e4}".repeat(MAX_MARKER_BYTES);
        let error = parse(&text).unwrap_err();
        assert!(matches!(&error, MarkerError::TooLong { bytes: 8192, .. }));
        assert!(error.to_string().len() < 300);
        let deep = format!("{{\"kind\":\"target\",\"data\":{}", "[".repeat(4000));
        assert!(matches!(parse(&deep), Err(MarkerError::Malformed { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let table = MarkerTable::default();
            if let Err(error) = parse_marker(&text, &table) {
                proptest::prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
