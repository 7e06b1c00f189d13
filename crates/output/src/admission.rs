//! A WebSocket client between the handshake and the thread that serves it.

use axum::body::Bytes;

use crate::{Credentials, placed::Placed};

/// What a client asked for when it connected.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    /// Only every Nth tick.
    pub(crate) every: u64,
    /// Whether it acknowledges states.
    pub(crate) acknowledges: bool,
    /// Whether it wants to hear what the session shows of itself.
    pub(crate) session: bool,
    /// The console that it belongs to, where it says so: one that runs a session.
    pub(crate) console: Option<String>,
}

/// A client on its way from HTTP to the thread that serves WebSocket clients.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) stream: Placed,
    /// What it has said after its request.
    pub(crate) said: Bytes,
    pub(crate) wishes: Wishes,
    /// What it showed when it connected.
    pub(crate) credentials: Credentials,
    /// Whether it may read without the token.
    pub(crate) reads_freely: bool,
}
