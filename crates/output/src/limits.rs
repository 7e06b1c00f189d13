//! What clients may cost.

use core::time::Duration;

/// Connections at once that have not asked for anything yet, over and above those that have a place. When there is one
/// more, the one that has waited longest is dropped.
pub(crate) const WAITING: usize = 256;
/// Clients without a place that are answered at once; when there is one more, the oldest is dropped.
pub(crate) const REFUSALS: usize = 16;

/// How long a client may take to read the answer to a STOP, or that there is no place for it.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// How long the server waits for its clients when it ends.
pub(crate) const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// What clients may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once that have asked for something. For one more, the one that has been silent longest gives its
    /// place up; where all are WebSocket clients that read, the new one is answered 503, unless it asks for STOP.
    pub connections: usize,
    /// Bytes of a WebSocket message from a client; a longer one ends the connection.
    pub message_bytes: usize,
    /// WebSocket messages a second from one client, and at once; more end the connection. The acknowledgements and
    /// pongs that the server asked for are not counted.
    pub messages_per_second: u32,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a model's file that is sent.
    pub model_bytes: usize,
    /// How long a client may take to send a model's file.
    pub model_within: Duration,
    /// `control`, `events`, `session` and `models` requests a second, and at once, of all clients together; more are answered 429.
    pub requests_per_second: u32,
    /// Reads of `/v1/status`, `/v1/session`, `/v1/models` and `/metrics` a second, and at once, of all clients together; more are answered 429.
    pub reads_per_second: u32,
    /// Requests of any kind a second, and at once, over one connection, STOP excepted; one more is answered 429 and
    /// ends the connection.
    pub requests_per_connection: u32,
    /// How often each WebSocket client is pinged.
    pub ping_every: Duration,
    /// While a ping has been unanswered for this long and the client's shortest round trip, the client is sent no state.
    pub silent_after: Duration,
    /// A state that has waited in the server for this long is left out, and the newest sent instead.
    pub oldest_state: Duration,
    /// States that a client that acknowledges them (`?flow=ack`) may have unacknowledged.
    pub states_under_way: usize,
    /// A WebSocket client without a pong for this long, and any client that takes nothing of what is written to it for
    /// this long, is disconnected.
    pub pong_within: Duration,
    /// A client that acknowledges states, and leaves one unacknowledged for this long, is disconnected.
    pub acknowledged_within: Duration,
    /// How long a client may take to send a request's headers, its body, or the token.
    pub request_within: Duration,
    /// Size of a socket's send buffer in bytes (the kernel doubles it). Small, since what waits there cannot be
    /// replaced by something newer.
    pub send_buffer_bytes: u32,
}

impl Limits {
    /// Sockets that the server may have open at once under these limits.
    #[must_use]
    pub fn open_files(&self) -> u64 {
        // a connection that gives way is closed a moment after another has its place
        const GIVING_WAY: usize = 64;
        (self.connections + WAITING + REFUSALS + GIVING_WAY) as u64
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            message_bytes: 4096,
            messages_per_second: 50,
            body_bytes: 16 * 1024,
            model_bytes: 64 << 20,
            model_within: Duration::from_secs(30),
            requests_per_second: 100,
            reads_per_second: 200,
            requests_per_connection: 400,
            ping_every: Duration::from_millis(100),
            silent_after: Duration::from_millis(150),
            oldest_state: Duration::from_millis(100),
            states_under_way: 4,
            pong_within: Duration::from_secs(10),
            acknowledged_within: Duration::from_mins(1),
            request_within: Duration::from_secs(5),
            send_buffer_bytes: 16 * 1024,
        }
    }
}
