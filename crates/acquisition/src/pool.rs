//! Items that are allocated once and then go round between two threads: out full, back free.
//!
//! Two rings of boxes. The writer claims a free item, fills it and sends it; the reader receives it, reads it and gives
//! it back. When no item is free the writer has to drop what it holds and count it: the pool is the one place where a
//! slow reader shows, and it never grows. After construction neither side allocates or frees.

use core::fmt;

use crate::ring::{Consumer, Full, Producer, ring};

/// The end that fills items. Belongs to one thread at a time (acquisition).
pub struct PoolWriter<T> {
    full: Producer<Box<T>>,
    free: Consumer<Box<T>>,
}

/// The end that reads items. Belongs to one thread at a time (the tick thread); wait-free.
pub struct PoolReader<T> {
    full: Consumer<Box<T>>,
    free: Producer<Box<T>>,
}

/// A pool of `count` items (at least one) built by `make`, and its two ends.
#[must_use]
pub fn pool<T>(count: usize, mut make: impl FnMut() -> T) -> (PoolWriter<T>, PoolReader<T>) {
    let count = count.max(1);
    let (full, received) = ring(count);
    let (mut given_back, free) = ring(count);
    for _ in 0..count {
        if given_back.push(Box::new(make())).is_err() {
            break;
        }
    }
    (PoolWriter { full, free }, PoolReader { full: received, free: given_back })
}

impl<T> PoolWriter<T> {
    /// A free item, as the reader left it; `None` when the reader holds or has yet to read all of them.
    pub fn claim(&mut self) -> Option<Box<T>> {
        self.free.pop()
    }

    /// Hands a claimed item to the reader. Always finds room: the ring is as long as there are items. (A box that did
    /// not come from [`claim`](Self::claim) may find none; it is freed.)
    pub fn send(&mut self, item: Box<T>) {
        if let Err(Full(stranger)) = self.full.push(item) {
            drop(stranger);
        }
    }

    /// Items sent and not yet received.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.full.len()
    }

    /// Items that can be claimed now, at least: the reader may be giving some back meanwhile.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Items in all.
    #[must_use]
    pub fn items(&self) -> usize {
        self.full.capacity()
    }
}

impl<T> PoolReader<T> {
    /// The oldest item sent, if any.
    pub fn receive(&mut self) -> Option<Box<T>> {
        self.full.pop()
    }

    /// Returns a received item, to be filled anew. Always finds room, as in [`PoolWriter::send`].
    pub fn give_back(&mut self, item: Box<T>) {
        if let Err(Full(stranger)) = self.free.push(item) {
            drop(stranger);
        }
    }

    /// Items sent and not yet received.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.full.len()
    }
}

impl<T> fmt::Debug for PoolWriter<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PoolWriter").field("items", &self.full.capacity()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for PoolReader<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PoolReader").field("items", &self.full.capacity()).finish_non_exhaustive()
    }
}
