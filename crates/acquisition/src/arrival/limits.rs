//! The limits of a stream that follow from how its samples arrive, and what has to be said of them. Pure.

use kalmind_types::{Arrival, Seconds};

use crate::health::MonitorLimits;

/// Limits are this much longer than what was measured.
const MARGIN: f64 = 1.5;
/// What waits for samples waits so much longer, but no longer than it takes for them anyway: a busy machine holds a sender up
/// by more than half a short chunk.
const HELD_UP_MS: f64 = 50.0;
/// What is measured of a stream, and which of its limits follow from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArrivalSettings {
    /// How long its arrival is measured; zero leaves the limits as they are.
    pub measure: Seconds,
    /// Whether `stall_ms` follows from it.
    pub sets_stall: bool,
    /// Whether `backlog_ms` follows from it.
    pub sets_backlog: bool,
}

impl Default for ArrivalSettings {
    /// Nothing is measured.
    fn default() -> Self {
        Self { measure: Seconds(0.0), sets_stall: true, sets_backlog: true }
    }
}

/// A limit that follows from what was measured, in milliseconds: longer than it by half, but no shorter than `least`.
#[must_use]
pub fn limit_ms(measured_ms: f64, least: f64) -> f64 {
    // whole milliseconds, for people
    (MARGIN * measured_ms).ceil().max(least)
}

/// A time to wait for samples that follows from what was measured, in milliseconds, but no shorter than `least`.
#[must_use]
pub fn wait_ms(measured_ms: f64, least: f64) -> f64 {
    (MARGIN * measured_ms + measured_ms.min(HELD_UP_MS)).ceil().max(least)
}

/// The limits of a stream that arrives like this.
#[must_use]
pub(crate) fn limits_for(
    arrival: &Arrival,
    settings: &ArrivalSettings,
    configured: MonitorLimits,
) -> MonitorLimits {
    let mut limits = configured;
    if settings.sets_stall {
        limits.stall_ms = limit_ms(arrival.longest_interval_ms, configured.stall_ms);
    }
    if settings.sets_backlog {
        limits.backlog_ms = wait_ms(arrival.longest_wait_ms, configured.backlog_ms);
    }
    limits
}

/// What has to be said of a stream's arrival.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remark {
    /// For people.
    pub(crate) text: String,
    /// How far it goes, in milliseconds, of each thing that may be said: intervals, ages, stamps ahead. Zero where it is not said.
    pub(crate) sizes: [f64; 3],
}

/// What has to be said of a stream that arrives like this under these limits; nothing where all is well.
#[must_use]
pub(crate) fn remark(
    arrival: &Arrival,
    settings: &ArrivalSettings,
    limits: &MonitorLimits,
    nominal_rate_hz: f64,
) -> Option<Remark> {
    let (mut remarks, mut sizes) = (Vec::new(), [0.0; 3]);
    let measured = settings.measure.0 > 0.0;
    let stall_ms = limits.stall(nominal_rate_hz).as_millis();
    if arrival.longest_interval_ms > stall_ms {
        sizes[0] = arrival.longest_interval_ms;
        remarks.push(too_short(
            &format!("samples arrive up to {:.0} ms apart", arrival.longest_interval_ms),
            ("stall_ms", stall_ms),
            limit_ms(arrival.longest_interval_ms, 0.0),
            settings.sets_stall && measured,
        ));
    }
    if arrival.longest_wait_ms > limits.backlog_ms {
        sizes[1] = arrival.longest_wait_ms;
        remarks.push(too_short(
            &format!("samples are up to {:.0} ms old when they arrive", arrival.longest_wait_ms),
            ("backlog_ms", limits.backlog_ms),
            wait_ms(arrival.longest_wait_ms, 0.0),
            settings.sets_backlog && measured,
        ));
    }
    if arrival.ahead_ms > 0.0 {
        sizes[2] = arrival.ahead_ms;
        remarks.push(format!(
            "stamps {:.0} ms ahead of now: the sender stamps samples before it sends them, so their age says nothing",
            arrival.ahead_ms
        ));
    }
    (!remarks.is_empty()).then(|| Remark { text: remarks.join("; "), sizes })
}

/// A limit that does not fit, and what to do.
fn too_short(what: &str, (key, limit_in_force): (&str, f64), better: f64, follows: bool) -> String {
    if follows {
        format!(
            "{what} now, but {key} is {limit_in_force:.0} ms as measured before: measure again, or set {key} = {better:.0}"
        )
    } else {
        format!(
            "{what}, and {key} = {limit_in_force:.0} is too short for that: set {key} = {better:.0}, or leave it out"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::meter::MEASURED_FOR;

    fn in_chunks_of(interval_ms: f64) -> Arrival {
        Arrival {
            interval_ms,
            longest_interval_ms: interval_ms,
            delay_ms: interval_ms,
            longest_wait_ms: interval_ms,
            ahead_ms: 0.0,
        }
    }

    #[test]
    fn limits_follow_and_never_fall_below_the_defaults() {
        let (follow, defaults) = (ArrivalSettings::default(), MonitorLimits::default());
        assert_eq!(limits_for(&in_chunks_of(4.0), &follow, defaults), defaults);
        let wide = limits_for(&in_chunks_of(500.0), &follow, defaults);
        assert!((wide.stall_ms - 750.0).abs() < 1e-9 && (wide.backlog_ms - 800.0).abs() < 1e-9);
        assert_eq!(remark(&in_chunks_of(500.0), &follow, &wide, 250.0), None);
    }

    #[test]
    fn configured_limits_stand_and_are_checked() {
        let fixed = ArrivalSettings { sets_stall: false, sets_backlog: false, ..ArrivalSettings::default() };
        let configured = MonitorLimits { stall_ms: 50.0, backlog_ms: 60.0, ..MonitorLimits::default() };
        let limits = limits_for(&in_chunks_of(100.0), &fixed, configured);
        assert_eq!(limits, configured);
        let remark = remark(&in_chunks_of(100.0), &fixed, &limits, 250.0).unwrap().text;
        assert!(remark.contains("stall_ms = 50 is too short for that: set stall_ms = 150"), "{remark}");
        assert!(remark.contains("backlog_ms = 60 is too short for that: set backlog_ms = 200"), "{remark}");
    }

    #[test]
    fn a_stream_that_arrives_otherwise_than_it_was_measured_is_told() {
        let follow = ArrivalSettings { measure: MEASURED_FOR, ..ArrivalSettings::default() };
        let defaults = MonitorLimits::default();
        let remark = remark(&in_chunks_of(400.0), &follow, &defaults, 250.0).unwrap().text;
        assert!(remark.contains("measure again"), "{remark}");
    }
}
