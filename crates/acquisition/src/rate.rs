//! Measures how many samples arrive per second, over a sliding window.

use std::collections::VecDeque;

use kalmind_types::{LslTime, Seconds};

/// Marks are at least this far apart, which bounds their number at any sample rate.
const MARK_EVERY: Seconds = Seconds(0.02);

/// Counts arrivals over a sliding window of local time.
///
/// The rate is the number of samples between the first arrival of one mark and that of another, over the time between them, so a
/// source that sends in chunks of constant size is measured without bias, also where a chunk is received in pieces. Pure:
/// times come from the caller, one thread.
#[derive(Clone, Debug)]
pub struct RateMeter {
    window: Seconds,
    least: Seconds,
    /// (time of an arrival, samples before it); the oldest first.
    marks: VecDeque<(LslTime, u64)>,
    total: u64,
}

impl RateMeter {
    /// A meter that looks back `window` and says nothing before half of it has gone by.
    #[must_use]
    pub fn new(window: Seconds) -> Self {
        let marks = VecDeque::with_capacity((window.0 / MARK_EVERY.0).clamp(0.0, 1e5) as usize + 2);
        Self { window, least: Seconds(window.0 / 2.0), marks, total: 0 }
    }

    /// `samples` arrived at `time`.
    pub fn observe(&mut self, time: LslTime, samples: u64) {
        if self.marks.back().is_none_or(|(last, _)| (time - *last).0 >= MARK_EVERY.0) {
            self.marks.push_back((time, self.total));
        }
        self.total += samples;
        // keep one mark at or past the window's edge, so that the whole window is covered
        while self.marks.get(1).is_some_and(|(second, _)| (time - *second).0 >= self.window.0) {
            self.marks.pop_front();
        }
    }

    /// Forgets everything: after a pause, a burst or a reconnect the past says nothing about the rate.
    pub fn reset(&mut self) {
        self.marks.clear();
        self.total = 0;
    }

    /// The rate in Hz, once half a window has been seen.
    #[must_use]
    pub fn rate_hz(&self) -> Option<f64> {
        let ((first, before), (last, until)) = (self.marks.front()?, self.marks.back()?);
        let span = *last - *first;
        (span.0 >= self.least.0 && span.0 > 0.0).then(|| (until - before) as f64 / span.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(rate_hz: f64, chunk: u64, seconds: f64) -> RateMeter {
        let mut meter = RateMeter::new(Seconds(4.0));
        let chunks = (rate_hz * seconds / chunk as f64).round() as u64;
        for index in 0..chunks {
            meter.observe(LslTime(100.0 + (index * chunk) as f64 / rate_hz), chunk);
        }
        meter
    }

    #[test]
    fn a_regular_stream_is_measured_exactly() {
        for (rate, chunk) in [(50.0, 1), (1000.0, 1), (30_000.0, 10), (500.0, 100), (20.0, 1)] {
            let measured = fed(rate, chunk, 6.0).rate_hz().unwrap();
            assert!((measured / rate - 1.0).abs() < 1e-3, "{rate} Hz in chunks of {chunk}: {measured}");
        }
    }

    #[test]
    fn a_chunk_that_is_received_in_pieces_is_no_bias() {
        let mut meter = RateMeter::new(Seconds(4.0));
        for chunk in 0..8 {
            let arrival = 100.0 + f64::from(chunk) * 0.5;
            meter.observe(LslTime(arrival), 64);
            meter.observe(LslTime(arrival + 1e-4), 61);
            let measured = meter.rate_hz().unwrap_or(250.0);
            assert!((measured / 250.0 - 1.0).abs() < 1e-3, "{measured} after chunk {chunk}");
        }
    }

    #[test]
    fn nothing_is_said_before_half_a_window() {
        assert_eq!(fed(50.0, 1, 1.9).rate_hz(), None);
        assert!(fed(50.0, 1, 2.1).rate_hz().is_some());
    }

    #[test]
    fn a_changed_rate_is_seen_within_a_window() {
        let mut meter = fed(50.0, 1, 10.0);
        for index in 0..400 {
            meter.observe(LslTime(110.0 + f64::from(index) * 0.01), 1);
        }
        assert!((meter.rate_hz().unwrap() - 100.0).abs() < 1.0);
    }

    #[test]
    fn a_reset_forgets() {
        let mut meter = fed(50.0, 1, 10.0);
        meter.reset();
        assert_eq!(meter.rate_hz(), None);
    }

    #[test]
    fn memory_is_bounded_at_any_rate() {
        assert!(fed(30_000.0, 1, 6.0).marks.len() <= 203);
    }
}
