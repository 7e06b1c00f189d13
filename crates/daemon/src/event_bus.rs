//! One place where events get their numbers, so that every client sees them in one order.

use std::{
    sync::{Mutex, PoisonError},
    thread::Thread,
};

use crossbeam_channel::Sender;
use kalmind_output::Hub;
use kalmind_types::{Event, EventKind, LslTime};
use serde_json::Value;

use crate::recorder::RecorderHandle;

/// Numbers events and hands them to the WebSocket clients, the LSL outlet and the recorder. Slow side only: takes a lock.
#[derive(Debug)]
pub struct EventBus {
    next: Mutex<u64>,
    hub: Hub,
    outlet: Sender<Event>,
    /// The LSL publisher's thread, woken for every event.
    publisher: Option<Thread>,
    recorder: Option<RecorderHandle>,
}

impl EventBus {
    /// A bus whose first event is number 0.
    #[must_use]
    pub fn new(
        hub: Hub,
        outlet: Sender<Event>,
        publisher: Option<Thread>,
        recorder: Option<RecorderHandle>,
    ) -> Self {
        Self { next: Mutex::new(0), hub, outlet, publisher, recorder }
    }

    /// Publishes an event and says which number it got.
    pub fn publish(&self, time: LslTime, kind: EventKind, data: Value) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let event_seq = *next;
        *next += 1;
        let event = Event::new(time, event_seq, kind, data);
        tracing::info!(event_seq, kind = ?event.kind, data = %event.data, "event");
        // in the order of the numbers, so under the lock
        self.hub.publish_event(&event);
        if let Some(recorder) = &self.recorder {
            recorder.event(&event);
        }
        if self.outlet.try_send(event).is_err() {
            tracing::warn!(
                event_seq,
                "the LSL publisher cannot keep up; the event went to WebSocket clients only"
            );
        }
        if let Some(publisher) = &self.publisher {
            publisher.unpark();
        }
        event_seq
    }

    /// Events published so far.
    pub fn count(&self) -> u64 {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
