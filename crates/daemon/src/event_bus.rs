//! One place where events get their numbers, so that every client sees them in one order.

use std::{
    sync::{Mutex, PoisonError},
    thread::Thread,
};

use crossbeam_channel::Sender;
use kalmind_output::Hub;
use kalmind_types::{Event, EventBody, EventKind, LslTime, OutputState, RenderedEvent, Seconds};

use crate::recorder::RecorderHandle;

/// Numbers events and hands them to the WebSocket clients, the LSL outlet and the recorder. Slow side only: takes a lock.
#[derive(Debug)]
pub struct EventBus {
    next: Mutex<u64>,
    hub: Hub,
    outlet: Sender<RenderedEvent>,
    /// The LSL publisher's thread, woken for every event.
    publisher: Option<Thread>,
    recorder: Option<RecorderHandle>,
}

impl EventBus {
    /// A bus whose first event is number 0.
    #[must_use]
    pub fn new(
        hub: Hub,
        outlet: Sender<RenderedEvent>,
        publisher: Option<Thread>,
        recorder: Option<RecorderHandle>,
    ) -> Self {
        Self { next: Mutex::new(0), hub, outlet, publisher, recorder }
    }

    /// Publishes an event and says which number it got.
    pub fn publish(&self, time: LslTime, body: EventBody) -> u64 {
        self.publish_as(time, body, None)
    }

    /// Publishes an event that the recording has as it is; clients, and the log, have it as it is `shown`, where that is given.
    pub fn publish_as(&self, time: LslTime, body: EventBody, shown: Option<EventBody>) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let event_seq = *next;
        *next += 1;
        let told = shown.as_ref().unwrap_or(&body);
        if told.kind() == EventKind::Window || matches!(told, EventBody::Hand(_)) {
            // as many as a task has stimuli, or as a hand that moves tells
            tracing::debug!(event_seq, kind = ?told.kind(), data = %told.data(), "event");
        } else {
            tracing::info!(event_seq, kind = ?told.kind(), data = %told.data(), "event");
        }
        let rendered = |body| RenderedEvent::from(Event::new(time, event_seq, body));
        let recorded = rendered(body);
        let event = shown.map_or_else(|| recorded.clone(), rendered);
        // in the order of the numbers, so under the lock
        self.hub.publish_event(&event);
        if let Some(recorder) = &self.recorder {
            recorder.event(&recorded);
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

    /// The state of the output as clients are shown it: with and without ticks.
    pub fn shown(&self) -> OutputState {
        self.hub.state().0
    }

    /// Events published so far.
    pub fn count(&self) -> u64 {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The farthest from now that an event of a task may lie: one announced for later waits for its time, and takes room until
/// then.
const FARTHEST: Seconds = Seconds(3600.0);

/// An event's time, if it can be one.
///
/// # Errors
/// A sentence, where it is more than an hour from `now`.
pub fn near(time: LslTime, now: LslTime) -> Result<LslTime, String> {
    if (time - now).0.abs() <= FARTHEST.0 {
        return Ok(time);
    }
    Err(format!(
        "time {} is more than an hour from now ({:.3} on the LSL clock, in seconds); leave it out for now",
        time.0, now.0
    ))
}

/// A bus without clients, and what it publishes.
#[cfg(test)]
pub(crate) fn heard() -> (std::sync::Arc<EventBus>, crossbeam_channel::Receiver<RenderedEvent>) {
    let info = kalmind_output::SessionInfo {
        session: String::new(),
        run: 0,
        instance: String::new(),
        participant: String::new(),
        version: String::new(),
        bin_ms: 20.0,
        components: Vec::new(),
        workspace: kalmind_output::Workspace { width: 1.0, height: 1.0 },
    };
    let clock = kalmind_output::Clock::new(|| LslTime(1.0), || 0.0);
    let hub = Hub::new(info, OutputState::Control, clock);
    let (outlet, received) = crossbeam_channel::unbounded();
    (std::sync::Arc::new(EventBus::new(hub, outlet, None, None)), received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_within_an_hour_of_now() {
        let now = LslTime(5000.0);
        assert_eq!(near(LslTime(4990.0), now), Ok(LslTime(4990.0)));
        for far in [1e300, -1.0, f64::NAN, f64::INFINITY, 5000.0 + 3.2e7] {
            let problem = near(LslTime(far), now).expect_err("too far");
            assert!(problem.contains("more than an hour from now"), "{problem}");
        }
    }
}
