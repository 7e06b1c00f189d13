//! What a task tells, and when.

use kalmind_types::{Event, EventBody, LslTime};

/// A task event at its time.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvent {
    /// When, on the LSL clock.
    pub time: LslTime,
    /// What.
    pub content: EventBody,
}

impl TaskEvent {
    /// The event as everyone sees it, with the number that the publisher gives it.
    pub fn into_event(self, event_seq: u64) -> Event {
        Event::new(self.time, event_seq, self.content)
    }
}
