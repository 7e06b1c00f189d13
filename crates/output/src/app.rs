//! What every thread of the server works on.

use std::sync::{Arc, Mutex, atomic::AtomicU64};

use kalmind_types::Actor;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::{
    Access, Controls, Counters, Hub, Ledger, Limits, admission::Admission, counters::count, hub::Relay,
    places::Places, rate::RateLimit,
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
