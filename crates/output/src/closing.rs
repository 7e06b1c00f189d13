//! How a WebSocket connection ends.

use tokio_tungstenite::tungstenite::{Utf8Bytes, protocol::CloseFrame};

/// Why the server ends a connection, by the code in the close frame.
pub(crate) mod close {
    /// The daemon is ending.
    pub(crate) const GOING_AWAY: u16 = 1001;
    /// A frame that breaks the WebSocket protocol.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// Too many messages.
    pub(crate) const POLICY: u16 = 1008;
    /// A message over the size limit.
    pub(crate) const TOO_BIG: u16 = 1009;
    /// All places are taken, and the client has not read for the longest.
    pub(crate) const TRY_AGAIN: u16 = 1013;
    /// The token did not come in time.
    pub(crate) const UNAUTHORIZED: u16 = 4401;
    /// The token shown is not the run's.
    pub(crate) const WRONG_TOKEN: u16 = 4403;
    /// No pong in time.
    pub(crate) const SILENT: u16 = 4408;
}

/// How a connection ends: with a close frame, or without one of our own because the client has said goodbye or left.
pub(crate) type End = Option<CloseFrame>;

#[expect(clippy::unnecessary_wraps, reason = "one of the two ways a connection ends")]
pub(crate) fn end(code: u16, reason: &'static str) -> End {
    Some(CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) })
}
