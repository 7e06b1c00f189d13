//! How late a thread wakes up that asked to be woken: measured, as the tick thread waits.

use std::{thread, time::Duration};

use kalmind_acquisition::clock;
use rustix::time::{ClockId, clock_getres};

use super::{
    finding::{Finding, Status},
    patient::Patient,
};

const NAME: &str = "timer";
/// How long each wait is asked to be.
const WAIT: Duration = Duration::from_millis(1);
/// Waits that are measured.
const WAITS: usize = 500;
/// How late one in a hundred may be before it is a warning, in milliseconds.
const LATE_MS: f64 = 2.0;

/// Waits for a millisecond, many times, and compares with the clock.
pub(super) fn timer(patient: &Patient<'_>) -> Finding {
    let resolution = clock_getres(ClockId::Monotonic);
    let resolution_ms = resolution.tv_sec as f64 * 1e3 + resolution.tv_nsec as f64 / 1e6;
    let mut late: Vec<f64> = (0..WAITS).map(|_| late_ms()).collect();
    late.sort_by(f64::total_cmp);
    let at =
        |share: usize| late.get((late.len() * share / 100).min(late.len() - 1)).copied().unwrap_or_default();
    let (median, p99, worst) = (at(50), at(99), at(100));
    let bin_ms = patient.configuration.bins.bin_ms;
    let found = format!(
        "A wait of 1 ms ends {:.0} \u{b5}s late, one in a hundred {:.0} \u{b5}s, the worst of {WAITS} {:.1} ms, at normal \
         priority; the system's timer has steps of {:.0} ns.",
        median * 1e3,
        p99 * 1e3,
        worst,
        resolution_ms * 1e6
    );
    let finding = if resolution_ms >= 1.0 {
        Finding::bad(
            NAME,
            Status::Problem,
            found,
            "use a kernel with high-resolution timers (CONFIG_HIGH_RES_TIMERS).",
        )
    } else if p99 > LATE_MS.max(bin_ms / 4.0) {
        let remedy = "end what keeps the processor's cores busy (`top` names it); on a laptop plug in the charger and choose \
                      the power profile for performance; ask for real-time priority under [realtime].";
        Finding::bad(NAME, Status::Warning, found, remedy)
    } else {
        Finding::ok(NAME, found)
    };
    finding
        .with("late_ms_p50", median)
        .with("late_ms_p99", p99)
        .with("late_ms_max", worst)
        .with("resolution_ns", resolution_ms * 1e6)
}

/// How late one wait ends, in milliseconds.
fn late_ms() -> f64 {
    let until = clock::now().0 + WAIT.as_secs_f64();
    loop {
        let left = until - clock::now().0;
        if left <= 0.0 {
            return -left * 1e3;
        }
        thread::park_timeout(Duration::from_secs_f64(left));
    }
}
