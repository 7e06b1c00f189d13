//! What the session shows of itself.

use serde::Serialize;
use serde_json::Value;

#[cfg(test)]
use super::described::Described;

/// What the session shows of itself, to clients that want to hear of it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "session")]
pub(crate) struct SessionMessage<'a> {
    #[serde(flatten)]
    pub(crate) status: &'a Value,
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "SessionMessage",
    fragment: include_str!("session.json"),
    example: || {
        let status: Value = serde_json::from_str(include_str!("../../tests/fake/session.json"))?;
        serde_json::to_string(&SessionMessage { status: &status })
    },
};
