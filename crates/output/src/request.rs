//! What clients say: WebSocket messages and the bodies of POST requests.

use kalmind_types::{Confirmation, EventKind, EventTag, LslTime, Mode, ModelId};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Number, Value};

use crate::charge::ConsoleName;

/// Characters of the text that a ping may carry.
const PING_CHARACTERS: usize = 64;

/// Whether a message that could not be read whole asks for STOP.
pub(crate) fn is_stop(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|message| message["type"] == "stop")
}

/// A message from a WebSocket client.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientMessage {
    /// STOP. Needs no token.
    Stop {},
    /// Asks for a state; `token` where the connection has not shown it yet.
    Control {
        state: WantedState,
        token: Option<String>,
        #[serde(default)]
        confirm: Confirmed,
        /// The model in doubt that whoever asks was shown.
        #[serde(default, deserialize_with = "model_hash")]
        model: Option<ModelId>,
    },
    /// An event, as by `POST /v1/events`; `token` where the connection has not shown it yet.
    Event {
        /// Read and ignored: whoever publishes the event numbers it anew.
        #[serde(default, rename = "event_seq")]
        _event_seq: u64,
        kind: EventKind,
        #[serde(default)]
        time: Option<LslTime>,
        data: Value,
        token: Option<String>,
    },
    /// Shows the run's token for the rest of the connection.
    Auth { token: String },
    /// The client has handled the states up to `seq` (with `?flow=ack`).
    Ack { seq: u64 },
    /// Asks for the daemon's times; `t` comes back as it is.
    Ping { t: PingMark },
}

/// What a ping carries and its pong brings back unchanged: any number, or a short text.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", untagged)]
pub(crate) enum PingMark {
    Number(Number),
    Text(String),
}

impl TryFrom<Value> for PingMark {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Number(number) => Ok(Self::Number(number)),
            Value::String(text) if text.chars().count() <= PING_CHARACTERS => Ok(Self::Text(text)),
            _ => Err(format!("`t` is a number, or a text of at most {PING_CHARACTERS} characters")),
        }
    }
}

/// The states that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WantedState {
    Idle,
    Calibrating,
    Control,
    Hold,
}

impl WantedState {
    /// The mode to ask for; none stands for `hold`, which is a stop.
    pub(crate) fn mode(self) -> Option<Mode> {
        match self {
            Self::Idle => Some(Mode::Idle),
            Self::Calibrating => Some(Mode::Calibrating),
            Self::Control => Some(Mode::Control),
            Self::Hold => None,
        }
    }
}

/// What a request for control agrees to: nothing, one thing by its name, or a list of names.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMore")]
pub(crate) struct Confirmed(pub(crate) Vec<Confirmation>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "confirm is \"slow_input\", \"poor_decoder\", or a list of them")]
enum OneOrMore {
    One(Confirmation),
    More(Vec<Confirmation>),
}

impl From<OneOrMore> for Confirmed {
    fn from(confirmed: OneOrMore) -> Self {
        Self(match confirmed {
            OneOrMore::One(confirmation) => vec![confirmation],
            OneOrMore::More(confirmations) => confirmations,
        })
    }
}

/// The body of `POST /v1/control`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlBody {
    pub(crate) state: WantedState,
    #[serde(default)]
    pub(crate) confirm: Confirmed,
    /// The model in doubt that whoever asks was shown.
    #[serde(default, deserialize_with = "model_hash")]
    pub(crate) model: Option<ModelId>,
    /// Which page or program asks.
    #[serde(default)]
    pub(crate) console: Option<ConsoleName>,
}

/// A model by the SHA-256 of its file.
fn model_hash<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ModelId>, D::Error> {
    let text = String::deserialize(from)?;
    let model = ModelId::from_hex(&text);
    model
        .map(Some)
        .ok_or_else(|| D::Error::custom("`model` is a SHA-256 in 64 lower-case hexadecimal digits"))
}

/// The body of `POST /v1/events`: an event as everyone else sees it, so that one that was received can be sent on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventBody {
    /// `event`, where it is given.
    #[serde(default, rename = "type")]
    _message_type: EventTag,
    /// Read and ignored: whoever publishes the event numbers it anew.
    #[serde(default, rename = "event_seq")]
    _event_seq: u64,
    pub(crate) kind: EventKind,
    #[serde(default)]
    pub(crate) time: Option<LslTime>,
    pub(crate) data: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClientMessage, serde_json::Error> {
        serde_json::from_str(text)
    }

    fn number(text: &str) -> ClientMessage {
        ClientMessage::Ping { t: PingMark::Number(serde_json::from_str(text).unwrap()) }
    }

    #[test]
    fn whatever_a_ping_carries_comes_back_as_it_was() {
        let longest = format!("\"{}\"", "\u{e4}".repeat(64));
        for t in
            ["0", "-3", "1.0", "-0.25", "1e300", "9007199254740993", "18446744073709551615", "\"\"", &longest]
        {
            let Ok(ClientMessage::Ping { t: mark }) = parse(&format!(r#"{{"type":"ping","t":{t}}}"#)) else {
                panic!("{t} was not understood")
            };
            let (back, sent) =
                (serde_json::to_value(&mark).unwrap(), serde_json::from_str::<Value>(t).unwrap());
            assert_eq!(back, sent);
        }
    }

    #[test]
    fn events_are_taken_with_and_without_their_envelope() {
        let parse = |text: &str| serde_json::from_str::<EventBody>(text);
        let whole = r#"{"type":"event","time":12.5,"event_seq":7,"kind":"trial","data":{"trial":1}}"#;
        let body = parse(whole).unwrap();
        assert_eq!((body.kind, body.time), (EventKind::Trial, Some(LslTime(12.5))));
        assert_eq!(parse(r#"{"kind":"trial","data":{}}"#).unwrap().time, None);
        for text in [
            r#"{"type":"state","kind":"trial","data":{}}"#,
            r#"{"type":null,"kind":"trial","data":{}}"#,
            r#"{"event_seq":-1,"kind":"trial","data":{}}"#,
            r#"{"event_seq":"7","kind":"trial","data":{}}"#,
            r#"{"session":"x","kind":"trial","data":{}}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn messages_are_understood() {
        assert_eq!(parse(r#"{"type":"stop"}"#).unwrap(), ClientMessage::Stop {});
        assert_eq!(parse(r#"{"type":"ping","t":1.5}"#).unwrap(), number("1.5"));
        assert_eq!(
            parse(r#"{"type":"ping","t":"a-7"}"#).unwrap(),
            ClientMessage::Ping { t: PingMark::Text(String::from("a-7")) }
        );
        assert_eq!(parse(r#"{"type":"ack","seq":7}"#).unwrap(), ClientMessage::Ack { seq: 7 });
        assert_eq!(
            parse(r#"{"type":"control","state":"hold"}"#).unwrap(),
            ClientMessage::Control {
                state: WantedState::Hold,
                token: None,
                confirm: Confirmed::default(),
                model: None
            }
        );
        assert_eq!(
            parse(r#"{"type":"control","state":"control","confirm":"slow_input"}"#).unwrap(),
            ClientMessage::Control {
                state: WantedState::Control,
                token: None,
                confirm: Confirmed(vec![Confirmation::SlowInput]),
                model: None
            }
        );
        assert_eq!(
            parse(r#"{"type":"control","state":"control","confirm":["slow_input","poor_decoder"]}"#).unwrap(),
            ClientMessage::Control {
                state: WantedState::Control,
                token: None,
                confirm: Confirmed(vec![Confirmation::SlowInput, Confirmation::PoorDecoder]),
                model: None
            }
        );
        let hash = "0f".repeat(32);
        let text =
            format!(r#"{{"type":"control","state":"control","confirm":"poor_decoder","model":"{hash}"}}"#);
        assert_eq!(
            parse(&text).unwrap(),
            ClientMessage::Control {
                state: WantedState::Control,
                token: None,
                confirm: Confirmed(vec![Confirmation::PoorDecoder]),
                model: Some(ModelId([15; 32]))
            }
        );
        assert_eq!(
            parse(r#"{"token":"abc","type":"auth"}"#).unwrap(),
            ClientMessage::Auth { token: String::from("abc") }
        );
        assert_eq!(
            parse(
                r#"{"type":"event","kind":"trial","data":{"trial":1},"time":2,"event_seq":3,"token":"abc"}"#
            )
            .unwrap(),
            ClientMessage::Event {
                _event_seq: 3,
                kind: EventKind::Trial,
                time: Some(LslTime(2.0)),
                data: serde_json::json!({"trial": 1}),
                token: Some(String::from("abc")),
            }
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "stop",
            "null",
            "[]",
            "{}",
            r#"{"type":"resume"}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"ping","t":null}"#,
            r#"{"type":"ping","t":[1]}"#,
            r#"{"type":"ping","t":"0123456789012345678901234567890123456789012345678901234567890123x"}"#,
            r#"{"type":"ping","t":1e999}"#,
            r#"{"type":"ack"}"#,
            r#"{"type":"ack","seq":-1}"#,
            r#"{"type":"control"}"#,
            r#"{"type":"control","state":"fault"}"#,
            r#"{"type":"control","state":"control","confirm":"anything"}"#,
            r#"{"type":"control","state":"control","confirm":["slow_input","anything"]}"#,
            r#"{"type":"control","state":"control","model":"0f"}"#,
            r#"{"type":"control","state":"control","model":null}"#,
            r#"{"type":"stop","by":"me"}"#,
            r#"{"type":"auth"}"#,
            r#"{"type":"event","data":{}}"#,
            r#"{"type":"event","kind":"trial"}"#,
            r#"{"type":"event","kind":"lunch","data":{}}"#,
            r#"{"type":"event","kind":"trial","data":{},"event_seq":-1}"#,
            r#"{"type":"event","kind":"trial","data":{},"session":"x"}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
