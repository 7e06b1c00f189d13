//! What clients say: WebSocket messages and the bodies of POST requests.

use kalmind_types::{EventKind, LslTime, Mode};
use serde::Deserialize;
use serde_json::Value;

/// A message from a WebSocket client.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ClientMessage {
    /// STOP. Needs no token.
    Stop {},
    /// Asks for a state; `token` where the connection has not shown it yet.
    Control { state: WantedState, token: Option<String> },
    /// Shows the run's token for the rest of the connection.
    Auth { token: String },
    /// Asks for the daemon's times; `t` comes back as it is.
    Ping { t: f64 },
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

/// The body of `POST /v1/control`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlBody {
    pub(crate) state: WantedState,
}

/// The body of `POST /v1/events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventBody {
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

    #[test]
    fn messages_are_understood() {
        assert_eq!(parse(r#"{"type":"stop"}"#).unwrap(), ClientMessage::Stop {});
        assert_eq!(parse(r#"{"type":"ping","t":1.5}"#).unwrap(), ClientMessage::Ping { t: 1.5 });
        assert_eq!(
            parse(r#"{"type":"control","state":"hold"}"#).unwrap(),
            ClientMessage::Control { state: WantedState::Hold, token: None }
        );
        assert_eq!(
            parse(r#"{"token":"abc","type":"auth"}"#).unwrap(),
            ClientMessage::Auth { token: String::from("abc") }
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
            r#"{"type":"ping","t":"now"}"#,
            r#"{"type":"ping","t":1e999}"#,
            r#"{"type":"control"}"#,
            r#"{"type":"control","state":"fault"}"#,
            r#"{"type":"stop","by":"me"}"#,
            r#"{"type":"auth"}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
