//! The two clocks that publishers stamp with, handed in by the program: this crate reads none of its own.

use core::fmt;
use std::sync::Arc;

use kalmind_types::LslTime;

/// Reads this machine's LSL clock and the Unix clock. Any thread; cheap to clone.
#[derive(Clone)]
pub struct Clock {
    lsl: Arc<dyn Fn() -> LslTime + Send + Sync>,
    unix: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Clock {
    /// A clock from `lsl` (the LSL clock) and `unix` (seconds since 1970). Both must not block.
    pub fn new(
        lsl: impl Fn() -> LslTime + Send + Sync + 'static,
        unix: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { lsl: Arc::new(lsl), unix: Arc::new(unix) }
    }

    /// Now, on the LSL clock.
    #[must_use]
    pub fn lsl(&self) -> LslTime {
        (self.lsl)()
    }

    /// Now, in Unix seconds.
    #[must_use]
    pub fn unix(&self) -> f64 {
        (self.unix)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Clock").finish_non_exhaustive()
    }
}
