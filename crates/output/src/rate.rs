//! Limits how often something may happen.

use kalmind_types::LslTime;

/// A token bucket: `per_second` on average, `burst` at once. One owner; constant time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    per_second: f64,
    burst: f64,
    left: f64,
    refilled: LslTime,
}

impl RateLimit {
    /// A full bucket at `now`.
    pub(crate) fn new(per_second: u32, burst: u32, now: LslTime) -> Self {
        let burst = f64::from(burst);
        Self { per_second: f64::from(per_second), burst, left: burst, refilled: now }
    }

    /// Takes one; `false` when there is none left.
    pub(crate) fn take(&mut self, now: LslTime) -> bool {
        let elapsed = (now - self.refilled).0.max(0.0);
        self.left = (self.left + elapsed * self.per_second).min(self.burst);
        self.refilled = now;
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut limit = RateLimit::new(50, 100, LslTime(10.0));
        let passed = (0..150).filter(|_| limit.take(LslTime(10.0))).count();
        assert_eq!(passed, 100);
        // one second later exactly fifty more
        let passed = (0..150).filter(|_| limit.take(LslTime(11.0))).count();
        assert_eq!(passed, 50);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut limit = RateLimit::new(1, 1, LslTime(10.0));
        assert!(limit.take(LslTime(10.0)));
        assert!(!limit.take(LslTime(5.0)));
    }
}
