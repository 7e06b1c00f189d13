//! What every thread of the server works on.

use std::sync::{Arc, Mutex, atomic::AtomicU64};

use kalmind_types::Actor;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    Access, Controls, Counters, Hub, Ledger, Limits, admission::Admission, counters::count, hub::Relay,
    places::Places, presence::Presence, rate::RateLimit,
};

/// What every request handler sees.
pub(crate) struct App {
    pub(crate) hub: Hub,
    pub(crate) controls: Arc<dyn Controls>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) access: Access,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) requests: Mutex<RateLimit>,
    pub(crate) reads: Mutex<RateLimit>,
    /// One model at a time is taken in.
    pub(crate) posting: Arc<Semaphore>,
    /// One at a time is built; nobody who sends a model slowly keeps another from being put in.
    pub(crate) activating: Arc<Semaphore>,
    /// Requests to the session that wait for it.
    pub(crate) asking: Arc<Semaphore>,
    /// What may be called for without the token.
    pub(crate) calls: Mutex<RateLimit>,
    /// The newest message of what the session shows of itself, once a client has asked for it.
    pub(crate) session: watch::Sender<Option<Utf8Bytes>>,
    /// Which consoles are there.
    pub(crate) presence: Mutex<Presence>,
    pub(crate) open_websockets: AtomicU64,
    pub(crate) places: Arc<Places>,
    pub(crate) relay: Relay,
    /// The way to the thread that serves WebSocket clients.
    pub(crate) clients: mpsc::Sender<Admission>,
    pub(crate) ending: watch::Receiver<bool>,
}

impl App {
    /// Counts and carries out a STOP on behalf of whoever showed `credentials`.
    pub(crate) fn stop(&self, authorised: bool) {
        count(&self.counters.stops);
        self.controls.stop(if authorised { Actor::Operator } else { Actor::Client });
    }
}
