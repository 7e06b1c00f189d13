//! Places: how many connections are served at once, and which one gives way to a newer one.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use kalmind_types::LslTime;
use tokio::sync::Notify;

use crate::{Counters, counters::count};

/// A WebSocket that has answered a ping within this many seconds reads, and does not give way.
const READS_WITHIN: f64 = 1.0;

/// The places of a server. Any thread may take one.
///
/// When all are taken, the connection that has been silent longest (no complete request; for a WebSocket, no message and
/// no pong) gives its place up. WebSocket clients that read never do.
#[derive(Debug)]
pub(crate) struct Places {
    capacity: usize,
    held: Mutex<Vec<Arc<Presence>>>,
    counters: Arc<Counters>,
}

/// What is known of a connection that has a place.
#[derive(Debug)]
struct Presence {
    /// When it last was heard of, as the bits of an [`LslTime`].
    heard: AtomicU64,
    websocket: AtomicBool,
    displaced: Notify,
}

/// A connection's place; dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    presence: Arc<Presence>,
}

impl Places {
    /// Room for `capacity` connections. Those that have to give way are counted in `counters`.
    pub(crate) fn new(capacity: usize, counters: Arc<Counters>) -> Self {
        Self { capacity, held: Mutex::new(Vec::new()), counters }
    }

    /// A place for a connection that was heard of `now`; `None` when all are taken by WebSocket clients that read. Scans all
    /// places when they are taken, some microseconds for a thousand.
    pub(crate) fn take(self: &Arc<Self>, now: LslTime) -> Option<Place> {
        let mut held = self.held();
        if held.len() >= self.capacity {
            let silent = held.iter().enumerate().filter(|(_, presence)| presence.may_give_way(now));
            let (index, _) = silent.min_by(|(_, one), (_, other)| one.heard().total_cmp(&other.heard()))?;
            held.swap_remove(index).displaced.notify_one();
            count(&self.counters.connections_displaced);
        }
        let presence = Arc::new(Presence {
            heard: AtomicU64::new(now.0.to_bits()),
            websocket: AtomicBool::new(false),
            displaced: Notify::new(),
        });
        held.push(Arc::clone(&presence));
        Some(Place { places: Arc::clone(self), presence })
    }

    fn held(&self) -> MutexGuard<'_, Vec<Arc<Presence>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    fn heard(&self) -> f64 {
        f64::from_bits(self.heard.load(Ordering::Relaxed))
    }

    fn may_give_way(&self, now: LslTime) -> bool {
        !self.websocket.load(Ordering::Relaxed) || now.0 - self.heard() > READS_WITHIN
    }
}

impl Place {
    /// Takes note that the client was heard of: a complete request, a message, or a pong.
    pub(crate) fn heard(&self, now: LslTime) {
        self.presence.heard.store(now.0.to_bits(), Ordering::Relaxed);
    }

    /// Takes note that the connection has become a WebSocket.
    pub(crate) fn becomes_websocket(&self) {
        self.presence.websocket.store(true, Ordering::Relaxed);
    }

    /// Resolves when the connection has to give way; its place is another one's already.
    pub(crate) async fn displaced(&self) {
        self.presence.displaced.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().retain(|presence| !Arc::ptr_eq(presence, &self.presence));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn room_for(capacity: usize) -> Arc<Places> {
        Arc::new(Places::new(capacity, Arc::default()))
    }

    fn gives_way(place: &Place) -> bool {
        place.displaced().now_or_never().is_some()
    }

    #[test]
    fn the_one_silent_longest_gives_way_to_a_new_one() {
        let places = room_for(3);
        let held: Vec<_> = [1.0, 2.0, 3.0].map(|now| places.take(LslTime(now)).unwrap()).into();
        held[0].heard(LslTime(4.0));
        let new = places.take(LslTime(5.0)).unwrap();
        assert_eq!([&held[0], &held[1], &held[2], &new].map(gives_way), [false, true, false, false]);
        assert_eq!(places.counters.snapshot().connections_displaced, 1);
    }

    #[test]
    fn websockets_that_read_keep_their_places_and_those_that_do_not_give_way() {
        let places = room_for(2);
        let [reading, idle] = [(); 2].map(|()| places.take(LslTime(1.0)).unwrap());
        reading.becomes_websocket();
        idle.becomes_websocket();
        reading.heard(LslTime(1.9));
        assert!(places.take(LslTime(1.95)).is_none());
        let new = places.take(LslTime(2.5)).unwrap();
        assert_eq!([&reading, &idle, &new].map(gives_way), [false, true, false]);
    }

    #[test]
    fn a_place_that_is_given_up_is_free_and_one_that_was_lost_is_not_freed_twice() {
        let places = room_for(1);
        let first = places.take(LslTime(1.0)).unwrap();
        let second = places.take(LslTime(2.0)).unwrap();
        second.becomes_websocket();
        drop(first);
        assert!(places.take(LslTime(2.1)).is_none(), "the second one still has its place");
        drop(second);
        assert!(places.take(LslTime(2.2)).is_some());
    }
}
