//! A bounded queue from the tick thread to one publisher thread.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kalmind_acquisition::{
    Waker,
    ring::{Consumer, Producer, ring},
};
use kalmind_output::PublicationSource;
use kalmind_types::Publication;

/// The tick thread's end: when the queue is full the newest publication is refused and counted.
#[derive(Debug)]
pub struct Lane {
    queue: Producer<Publication>,
    missed: Arc<AtomicU64>,
    waker: Waker,
}

/// The publisher's end.
#[derive(Debug)]
pub struct LaneSource {
    queue: Consumer<Publication>,
    missed: Arc<AtomicU64>,
    waker: Waker,
}

/// A queue for `capacity` publications, and its two ends.
#[must_use]
pub fn lane(capacity: usize) -> (Lane, LaneSource) {
    let (producer, consumer) = ring(capacity);
    let missed = Arc::new(AtomicU64::new(0));
    let waker = Waker::new();
    (
        Lane { queue: producer, missed: Arc::clone(&missed), waker: waker.clone() },
        LaneSource { queue: consumer, missed, waker },
    )
}

impl Lane {
    /// Hands a publication over and wakes the publisher. Wait-free but for the futex wake.
    pub fn publish(&mut self, publication: Publication) {
        if self.queue.push(publication).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        self.waker.wake();
    }

    /// How many publications the full queue refused.
    #[must_use]
    pub fn missed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.missed)
    }
}

impl PublicationSource for LaneSource {
    fn next(&mut self) -> Option<Publication> {
        // the publisher's own thread asks: the first call makes it the one that is woken
        let _attached_before = self.waker.attach();
        self.queue.pop()
    }

    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}
