//! A request was refused or not understood.

use serde::Serialize;

#[cfg(test)]
use super::described::Described;

/// A request was refused or not understood.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "error")]
pub(crate) struct ErrorMessage<'a> {
    pub(crate) code: ErrorCode,
    pub(crate) message: &'a str,
}

/// Why a request got an error, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    /// Not JSON, not a known type, or a member missing or wrong.
    Malformed,
    /// The token is missing.
    Unauthorized,
    /// The token shown is not this run's.
    WrongToken,
    /// The Host header, the Origin header or another site's page.
    Forbidden,
    /// No such path.
    NotFound,
    /// That path has no such method.
    MethodNotAllowed,
    /// Too large.
    TooLarge,
    /// Too often.
    TooFrequent,
    /// All connections are taken.
    TooMany,
    /// The request makes no sense as it stands.
    Invalid,
    /// Not in the present state.
    NotNow,
    /// Another model decodes than the one that was confirmed.
    OtherModel,
    /// No room right now.
    Busy,
}

/// What the documents say of it.
#[cfg(test)]
pub(super) const DESCRIBED: Described = Described {
    key: "Error",
    fragment: include_str!("error.json"),
    example: || {
        let message = "the token shown is not this run's";
        serde_json::to_string(&ErrorMessage { code: ErrorCode::WrongToken, message })
    },
};
