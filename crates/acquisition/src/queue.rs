//! Watches the queue that LSL keeps in front of us: full, it drops the oldest samples without a word.

use crate::search::resolve::queue_samples;

/// A queue this full may have run over since it was last looked at.
const FULL: f64 = 0.98;
/// One that has emptied so far can run over anew.
const EMPTIED: f64 = 0.5;

/// Notices when the queue of one inlet has run over. Pure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueWatch {
    capacity: f64,
    full: bool,
}

impl QueueWatch {
    /// Of an inlet that [`open_queued`](crate::search::resolve::open_queued) made for a stream of these rates.
    pub(crate) fn new(nominal_rate_hz: f64, rate_hz: Option<f64>) -> Self {
        Self { capacity: queue_samples(nominal_rate_hz, rate_hz), full: false }
    }

    /// So many samples wait: whether that says that it may have run over, once each time.
    pub(crate) fn overflowed(&mut self, waiting: u32) -> bool {
        let waiting = f64::from(waiting);
        let was_full = self.full;
        self.full = waiting >= FULL * self.capacity || (was_full && waiting > EMPTIED * self.capacity);
        self.full && !was_full
    }

    /// What happened, for people.
    pub(crate) fn sentence(&self) -> String {
        format!(
            "LSL's input queue was full ({:.0} samples): samples may have been lost without being counted; the machine is \
             too busy, or the sender sends far more than its stated rate (rate_hz sizes the queue of an irregular stream)",
            self.capacity
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_is_noticed_once_each_time() {
        let mut queue = QueueWatch::new(0.0, None);
        let full = queue.capacity as u32;
        let seen = [10, full / 2, full, full - 10, full / 2 + 1, full, full / 4, full, 0]
            .map(|n| queue.overflowed(n));
        assert_eq!(seen, [false, false, true, false, false, false, false, true, false]);
    }
}
