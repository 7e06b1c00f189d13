//! Wakes the tick thread when something is there for it.

use std::sync::{Arc, OnceLock};
use std::thread::Thread;

/// A handle by which acquisition threads wake one waiting thread. Clones wake the same one.
///
/// The waiting thread calls [`attach`](Self::attach) once and then parks (`std::thread::park_timeout`); a wake that comes
/// while it runs is kept for its next park. A wake takes no lock and allocates nothing: one futex call where the thread
/// sleeps, else one atomic swap.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<OnceLock<Thread>>);

impl Waker {
    /// A waker without a thread; [`wake`](Self::wake) does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the calling thread the one that is woken. The first call wins; `false` for any later one.
    #[must_use]
    pub fn attach(&self) -> bool {
        self.0.set(std::thread::current()).is_ok()
    }

    /// Wakes the thread.
    pub fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_before_the_park_is_kept() {
        let waker = Waker::new();
        waker.wake();
        let other = waker.clone();
        let waiting = std::thread::spawn(move || {
            assert!(other.attach());
            other.wake();
            std::thread::park();
        });
        waiting.join().expect("the wake ends the park");
    }

    #[test]
    fn only_the_first_thread_is_attached() {
        let waker = Waker::new();
        assert!(waker.attach());
        assert!(!waker.attach());
    }
}
