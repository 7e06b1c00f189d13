//! What the server counts about its clients.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Declares the counters once: the atomics, their snapshot, and what each is called in `/metrics`.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// Counters since the start, written by the server's threads. Any thread may read them.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[doc = $doc])+ pub(crate) $name: AtomicU64,)+
        }

        /// What the server counted so far, as `/v1/status` shows them under `clients`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct ClientCounts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Reads every counter.
            pub(crate) fn snapshot(&self) -> ClientCounts {
                ClientCounts { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl ClientCounts {
            /// Name, explanation and value of every counter.
            pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Connections that asked for something and got a place.
    connections;
    /// Connections dropped before they had asked for anything, because more than 256 waited and they had for longest.
    waiting_dropped;
    /// Connections that had to give their place up to a newer one, because they had been silent for longest.
    connections_displaced;
    /// Connections without a place because all were taken by WebSocket clients that read; they can stop, and nothing else.
    connections_refused;
    /// HTTP requests answered, refused ones included.
    requests;
    /// Requests refused for their Host header.
    hosts_rejected;
    /// Requests refused for their Origin header or because another site's page sent them.
    origins_rejected;
    /// Requests and messages refused for a missing or wrong token.
    unauthorized;
    /// WebSocket clients since the start.
    websockets;
    /// Messages sent to WebSocket clients.
    messages_sent;
    /// Connections of consoles that nobody watches over, because more than 256 consoles were there.
    consoles_unwatched;
    /// Gap messages sent to clients that fell behind.
    gaps;
    /// States that those clients missed.
    states_missed;
    /// Events that those clients missed.
    events_missed;
    /// Clients disconnected because no pong came or because they took nothing of what was written to them.
    silent_disconnected;
    /// Requests and messages that could not be understood.
    malformed;
    /// Clients disconnected for a message over the size limit, and requests refused for it.
    oversized;
    /// Clients disconnected for too many messages, and requests refused because there were too many.
    too_frequent;
    /// Replies dropped because a client asked and did not read.
    replies_dropped;
    /// STOP requests.
    stops;
    /// Control requests and events carried out.
    controls;
    /// Control requests and events that the daemon refused.
    controls_refused;
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
