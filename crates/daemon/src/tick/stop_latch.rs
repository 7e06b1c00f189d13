//! STOP: one atomic word between whoever stops and the tick thread, so that no queue can be too full for it.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use kalmind_acquisition::Waker;
use kalmind_types::Actor;

/// A stop on its way to the tick thread. Any thread sets it, the tick thread takes it; later stops before the take
/// change nothing but the count.
///
/// The count tells whether a resume was asked for before or after a stop: requests travel over queues and may arrive
/// late, and an older resume must never undo a newer stop.
#[derive(Debug)]
pub struct StopLatch {
    by: AtomicU8,
    stops: AtomicU64,
    /// Wakes the tick thread, so that a stop waits for no bin.
    tick: Waker,
}

const NOBODY: u8 = 0;

impl StopLatch {
    /// Nobody has stopped the thread that `tick` wakes.
    pub fn new(tick: Waker) -> Self {
        Self { by: AtomicU8::new(NOBODY), stops: AtomicU64::new(0), tick }
    }

    /// Asks for a stop on behalf of `by`, and wakes the tick thread for it. Waits for nobody.
    pub fn set(&self, by: Actor) {
        self.stops.fetch_add(1, Ordering::AcqRel);
        // the first one stays: it is the reason that people are shown
        let _already_set = self.by.compare_exchange(
            NOBODY,
            (by as u8).saturating_add(1),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        self.tick.wake();
    }

    /// How many stops there have been. Wait-free.
    pub fn stops(&self) -> u64 {
        self.stops.load(Ordering::Acquire)
    }

    /// Who asked for a stop since the last take. Wait-free.
    pub fn take(&self) -> Option<Actor> {
        match self.by.swap(NOBODY, Ordering::AcqRel) {
            NOBODY => None,
            1 => Some(Actor::Configuration),
            2 => Some(Actor::Operator),
            3 => Some(Actor::Client),
            4 => Some(Actor::Task),
            5 => Some(Actor::Signal),
            7 => Some(Actor::LostConsole),
            _ => Some(Actor::Daemon),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_actor_comes_out_as_it_went_in_and_once() {
        for by in [
            Actor::Configuration,
            Actor::Operator,
            Actor::Client,
            Actor::Task,
            Actor::Signal,
            Actor::Daemon,
            Actor::LostConsole,
        ] {
            let latch = StopLatch::new(Waker::new());
            latch.set(by);
            latch.set(Actor::Client);
            assert_eq!(latch.take(), Some(by));
            assert_eq!(latch.take(), None);
            assert_eq!(latch.stops(), 2);
        }
    }
}
