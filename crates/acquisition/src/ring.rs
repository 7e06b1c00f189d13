//! A wait-free ring for one producer thread and one consumer thread, for queues that end or begin on the tick.
//!
//! Bounded; a full ring gives the value back as [`Full`] and the caller counts it. Neither end blocks, allocates or
//! frees after construction, and an operation is two atomic accesses at most. The values that are still inside when the
//! second end goes are dropped there.
//!
//! After Lamport's queue (ACM TOPLAS 5(2), 1983) with the cached counters of `FastForward` and its successors. Checked
//! with loom over all interleavings (`tests/ring_loom.rs`).
#![expect(unsafe_code, reason = "slots are shared between two threads; loom checks every access")]

use core::fmt;
use core::mem::MaybeUninit;

use crate::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// Keeps what one thread writes off the cache lines that the other one writes (pairs of lines are prefetched together).
#[derive(Debug, Default)]
#[repr(align(128))]
struct CachePadded<T>(T);

/// The slots and the two counters. Counters grow for ever; the slot of counter `c` is `c & mask`.
struct Shared<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    mask: usize,
    capacity: usize,
    /// Values pushed so far; written by the producer alone.
    pushed: CachePadded<AtomicUsize>,
    /// Values popped so far; written by the consumer alone.
    popped: CachePadded<AtomicUsize>,
}

// SAFETY: a slot is touched by the producer only while `popped + capacity > its counter >= pushed` and by the consumer
// only while `popped <= its counter < pushed`; the release store of one counter and the acquire load of it on the other
// side order the two. So sharing the slots is sending each `T` from one thread to the other.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above; `Producer` and `Consumer` exist once each and their methods take `&mut self`.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let pushed = self.pushed.0.load(Ordering::Acquire);
        let mut next = self.popped.0.load(Ordering::Acquire);
        while next != pushed {
            self.slots[next & self.mask].with_mut(|slot| {
                // SAFETY: both ends are gone, so nobody else touches the slot, and a counter in popped..pushed names an
                // initialised one.
                unsafe { slot.cast::<T>().drop_in_place() }
            });
            next = next.wrapping_add(1);
        }
    }
}

/// The end that pushes. Belongs to one thread at a time.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Own counter: no need to load what only this end writes.
    pushed: usize,
    /// What `popped` was when last looked at; it can only have grown.
    popped_seen: usize,
}

/// The end that pops. Belongs to one thread at a time.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// Own counter.
    popped: usize,
    /// What `pushed` was when last looked at; it can only have grown.
    pushed_seen: usize,
}

/// The ring was full: here is the value back, for the caller to count, keep or drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full<T>(pub T);

/// A ring for at most `capacity` values (at least one), and its two ends. Allocates here and never again.
#[must_use]
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(1);
    let slots = capacity.next_power_of_two();
    let shared = Arc::new(Shared {
        slots: (0..slots).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
        mask: slots - 1,
        capacity,
        pushed: CachePadded(AtomicUsize::new(0)),
        popped: CachePadded(AtomicUsize::new(0)),
    });
    (
        Producer { shared: Arc::clone(&shared), pushed: 0, popped_seen: 0 },
        Consumer { shared, popped: 0, pushed_seen: 0 },
    )
}

impl<T> Producer<T> {
    /// Puts `value` behind the others. Wait-free.
    ///
    /// # Errors
    /// [`Full`] with the value when `capacity` values wait; nothing was overwritten.
    pub fn push(&mut self, value: T) -> Result<(), Full<T>> {
        if self.pushed.wrapping_sub(self.popped_seen) >= self.shared.capacity {
            self.popped_seen = self.shared.popped.0.load(Ordering::Acquire);
            if self.pushed.wrapping_sub(self.popped_seen) >= self.shared.capacity {
                return Err(Full(value));
            }
        }
        self.shared.slots[self.pushed & self.shared.mask].with_mut(|slot| {
            // SAFETY: the slot is free: the consumer has popped what was in it (acquire load above) and will not look at
            // it again before the release store below.
            unsafe { slot.cast::<T>().write(value) };
        });
        self.pushed = self.pushed.wrapping_add(1);
        self.shared.pushed.0.store(self.pushed, Ordering::Release);
        Ok(())
    }

    /// Values that wait, at most: the consumer may be popping meanwhile.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pushed.wrapping_sub(self.shared.popped.0.load(Ordering::Acquire))
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values that can wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }
}

impl<T> Consumer<T> {
    /// Takes the oldest value, if any. Wait-free.
    pub fn pop(&mut self) -> Option<T> {
        if self.popped == self.pushed_seen {
            self.pushed_seen = self.shared.pushed.0.load(Ordering::Acquire);
            if self.popped == self.pushed_seen {
                return None;
            }
        }
        let value = self.shared.slots[self.popped & self.shared.mask].with_mut(|slot| {
            // SAFETY: the slot holds a value: its counter is below `pushed` (acquire load), and the producer will not
            // write it again before the release store below.
            unsafe { slot.cast::<T>().read() }
        });
        self.popped = self.popped.wrapping_add(1);
        self.shared.popped.0.store(self.popped, Ordering::Release);
        Some(value)
    }

    /// Values that wait, at least: the producer may be pushing meanwhile.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.pushed.0.load(Ordering::Acquire).wrapping_sub(self.popped)
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values that can wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Producer").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Consumer").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
