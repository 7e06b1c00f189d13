//! Messages in the order of their own stamps, so that it does not matter when they arrived.

use std::collections::VecDeque;

use kalmind_types::LslTime;

/// Messages that a running session keeps at most; the oldest go first.
pub(crate) const CAPACITY: usize = 4096;

/// Stamped messages, oldest first; of two with one stamp the later arrival counts as the newer.
#[derive(Clone, Debug)]
pub(crate) struct History<T> {
    messages: VecDeque<(LslTime, T)>,
    capacity: usize,
}

impl<T: Copy> History<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { messages: VecDeque::new(), capacity }
    }

    /// Takes a message. One whose stamp is not finite is ignored.
    pub(crate) fn insert(&mut self, time: LslTime, message: T) {
        if !time.0.is_finite() {
            return;
        }
        let place = self.until(time);
        self.messages.insert(place, (time, message));
        if self.messages.len() > self.capacity {
            self.messages.pop_front();
        }
    }

    /// How many messages are stamped no later than `time`.
    fn until(&self, time: LslTime) -> usize {
        self.messages.partition_point(|(other, _)| *other <= time)
    }

    /// The newest message stamped no later than `time`.
    pub(crate) fn at(&self, time: LslTime) -> Option<T> {
        self.until(time).checked_sub(1).and_then(|last| self.messages.get(last)).map(|(_, message)| *message)
    }

    /// Forgets what came before the message in force at `time`.
    pub(crate) fn forget(&mut self, time: LslTime) {
        let newer = self.until(time);
        self.messages.drain(..newer.saturating_sub(1));
    }

    /// The newest message stamped no later than `time`; the oldest where there is none. Forgets what came before it.
    pub(crate) fn in_force(&mut self, time: LslTime) -> Option<T> {
        self.forget(time);
        self.messages.front().map(|(_, message)| *message)
    }

    /// All messages with their stamps, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LslTime, T)> {
        self.messages.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_decide_and_not_the_order_of_arrival() {
        let mut history = History::new(CAPACITY);
        for (time, message) in [(3.0, 'c'), (1.0, 'a'), (2.0, 'b'), (f64::NAN, 'x')] {
            history.insert(LslTime(time), message);
        }
        assert_eq!(history.at(LslTime(0.5)), None);
        assert_eq!(history.in_force(LslTime(0.5)), Some('a'), "the oldest where none is old enough");
        assert_eq!(history.in_force(LslTime(1.0)), Some('a'));
        assert_eq!(history.at(LslTime(2.9)), Some('b'));
        assert_eq!(history.in_force(LslTime(2.9)), Some('b'));
        history.insert(LslTime(1.5), 'l');
        assert_eq!(history.in_force(LslTime(2.9)), Some('b'), "a late message that is older changes nothing");
        assert_eq!(history.in_force(LslTime(9.0)), Some('c'));
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::new(CAPACITY);
        for number in 0..10_000 {
            history.insert(LslTime(f64::from(number)), number);
        }
        assert_eq!(history.messages.len(), CAPACITY);
        assert_eq!(history.in_force(LslTime(9999.0)), Some(9999));
    }
}
