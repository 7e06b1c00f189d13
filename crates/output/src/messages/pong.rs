//! The answer to a ping.

use kalmind_types::LslTime;
use serde::Serialize;

#[cfg(test)]
use super::described::Described;
use crate::request::PingMark;

/// The answer to a ping.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "pong")]
pub(crate) struct Pong {
    pub(crate) t: PingMark,
    pub(crate) received: LslTime,
    pub(crate) sent: LslTime,
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "Pong",
    fragment: include_str!("pong.json"),
    example: || {
        let t = PingMark::Text(String::from("a-7"));
        serde_json::to_string(&Pong { t, received: LslTime(5678.9), sent: LslTime(5678.901) })
    },
};
