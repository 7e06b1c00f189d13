//! What is known about one stream, kept where every thread can read it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kalmind_types::{
    Arrival, ArrivalStatus, ChannelOut, ClockOffset, LslTime, Seconds, StreamCounts, StreamDescription,
    StreamHealth, StreamStatus,
};

/// A float that threads share; NaN stands for "not known".
#[derive(Debug)]
struct SharedFloat(AtomicU64);

impl SharedFloat {
    const fn unknown() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }

    fn set(&self, value: Option<f64>) {
        self.0.store(value.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> Option<f64> {
        Some(f64::from_bits(self.0.load(Ordering::Relaxed))).filter(|value| !value.is_nan())
    }
}

/// Counters and state of one stream. Written by its acquisition threads, by the tick thread through
/// [`count_late`](Self::count_late) and [`count_dropped`](Self::count_dropped), read by anyone through
/// [`status`](Self::status).
///
/// Numbers are atomics (one access each, fit for the tick thread); texts stand behind mutexes that only
/// acquisition and readers of [`status`](Self::status) take.
#[derive(Debug)]
pub struct StreamMonitor {
    key: String,
    health: AtomicU8,
    received: AtomicU64,
    missing: AtomicU64,
    dropped: AtomicU64,
    late: AtomicU64,
    overflows: AtomicU64,
    connections: AtomicU32,
    /// Measurements of its arrival that were asked for; the inlet begins with the first.
    wanted_measurements: AtomicU32,
    /// The newest of them that is done.
    done_measurements: AtomicU32,
    outdated: AtomicBool,
    /// One of its stages has failed since this was last asked.
    failed: AtomicBool,
    newest: SharedFloat,
    measured_rate_hz: SharedFloat,
    clock_offset: SharedFloat,
    clock_uncertainty: SharedFloat,
    settling: SharedFloat,
    /// How often the channels that are left out have changed.
    channel_changes: AtomicU64,
    texts: Mutex<Texts>,
}

#[derive(Clone, Debug, Default)]
struct Texts {
    description: Option<StreamDescription>,
    detail: Option<String>,
    arrival: Option<ArrivalStatus>,
    channels_out: Vec<ChannelOut>,
}

impl StreamMonitor {
    /// A stream that nothing is known of yet, under the name by which the configuration knows it.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            health: AtomicU8::new(StreamHealth::Waiting as u8),
            received: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            late: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            wanted_measurements: AtomicU32::new(1),
            done_measurements: AtomicU32::new(0),
            outdated: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            newest: SharedFloat::unknown(),
            measured_rate_hz: SharedFloat::unknown(),
            clock_offset: SharedFloat::unknown(),
            clock_uncertainty: SharedFloat::unknown(),
            settling: SharedFloat::unknown(),
            channel_changes: AtomicU64::new(0),
            texts: Mutex::default(),
        }
    }

    /// The name by which the configuration knows the stream.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The state now. Any thread, one atomic load.
    #[must_use]
    pub fn health(&self) -> StreamHealth {
        match self.health.load(Ordering::Relaxed) {
            1 => StreamHealth::Live,
            2 => StreamHealth::Stalled,
            3 => StreamHealth::Lost,
            4 => StreamHealth::Mismatch,
            5 => StreamHealth::Backlog,
            6 => StreamHealth::BadClock,
            7 => StreamHealth::Overloaded,
            8 => StreamHealth::Fault,
            _ => StreamHealth::Waiting,
        }
    }

    /// Whether one of the stream's stages has failed since this was last asked. For the tick thread: an atomic load, but
    /// where it has.
    pub fn take_fault(&self) -> bool {
        self.failed.load(Ordering::Relaxed) && self.failed.swap(false, Ordering::Relaxed)
    }

    /// Counts samples that came for a bin that was closed already. For the tick thread.
    pub fn count_late(&self, samples: u64) {
        self.late.fetch_add(samples, Ordering::Relaxed);
    }

    /// Counts samples that were received and then not used: in a block before the first bin, a text that nobody took. For
    /// the tick thread as well.
    pub fn count_dropped(&self, samples: u64) {
        self.dropped.fetch_add(samples, Ordering::Relaxed);
    }

    /// The counters now. Each is exact; together they may be a pull apart. Losses are counted before the samples of the same
    /// pull; of texts, which wait for room, afterwards.
    #[must_use]
    pub fn counts(&self) -> StreamCounts {
        let received = self.received.load(Ordering::Acquire);
        StreamCounts {
            received,
            dropped: self.dropped.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
            missing: self.missing.load(Ordering::Relaxed),
            reconnects: u64::from(self.connections.load(Ordering::Relaxed).saturating_sub(1)),
            overflows: self.overflows.load(Ordering::Relaxed),
        }
    }

    /// Everything at once, for status pages. Allocates, and takes a lock for a moment: not for the tick thread.
    #[must_use]
    pub fn status(&self, now: LslTime) -> StreamStatus {
        let health = self.health();
        let Texts { description, detail, arrival, channels_out } = self.texts().clone();
        StreamStatus {
            key: self.key.clone(),
            description,
            health,
            detail,
            counts: self.counts(),
            age_ms: self.newest.get().map(|newest| (now.0 - newest) * 1e3),
            measured_rate_hz: self.measured_rate_hz.get(),
            clock_offset_ms: self.clock_offset.get().map(|offset| offset * 1e3),
            clock_uncertainty_ms: self.clock_uncertainty.get().map(|uncertainty| uncertainty * 1e3),
            arrival,
            settling_ms: self.settling.get().map(|settling| settling * 1e3),
            channels_out,
        }
    }

    /// For how long the stages go on settling; none where they have.
    pub(crate) fn set_settling(&self, settling: Option<Seconds>) {
        self.settling.set(settling.map(|settling| settling.0));
    }

    /// Samples a second by its header; 0 where it is irregular or not found yet. Takes a lock for a moment.
    #[must_use]
    pub fn nominal_rate_hz(&self) -> f64 {
        self.texts().description.as_ref().map_or(0.0, |description| description.nominal_rate_hz)
    }

    /// How often the channels that are left out have changed. One atomic load.
    #[must_use]
    pub fn channel_changes(&self) -> u64 {
        self.channel_changes.load(Ordering::Acquire)
    }

    /// The channels that are left out. Takes a lock for a moment.
    #[must_use]
    pub fn channels_out(&self) -> Vec<ChannelOut> {
        self.texts().channels_out.clone()
    }

    /// Says of a stream that is not there yet what is known: that it is awaited, and what is there instead.
    pub fn set_awaited(&self, detail: String) {
        self.set_health(StreamHealth::Waiting, Some(detail));
    }

    /// Has the stream's arrival measured anew: from now on [`measured`](Self::measured) is `None` until that is done. Any
    /// thread.
    pub fn measure_arrival(&self) {
        self.wanted_measurements.fetch_add(1, Ordering::AcqRel);
    }

    /// How the stream arrives, and the limits that follow; `None` while it is being measured, or before. Takes a lock
    /// for a moment.
    #[must_use]
    pub fn measured(&self) -> Option<(Arrival, ArrivalStatus)> {
        let wanted = self.wanted_measurements.load(Ordering::Acquire);
        if self.done_measurements.load(Ordering::Acquire) != wanted {
            return None;
        }
        let status = self.texts().arrival.clone()?;
        Some((status.measured?, status))
    }

    /// Whether the stream comes from another sender, or otherwise, than when its arrival was measured, so that it is time
    /// to measure it anew. One atomic load.
    #[must_use]
    pub fn arrival_is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }

    /// Which measurement is wanted now.
    pub(crate) fn wanted_measurement(&self) -> u32 {
        self.wanted_measurements.load(Ordering::Acquire)
    }

    pub(crate) fn set_measurement_done(&self, number: u32) {
        self.done_measurements.store(number, Ordering::Release);
    }

    pub(crate) fn set_arrival(&self, arrival: ArrivalStatus) {
        self.texts().arrival = Some(arrival);
    }

    pub(crate) fn set_outdated(&self, outdated: bool) {
        self.outdated.store(outdated, Ordering::Relaxed);
    }

    /// The queue in front of us was found full.
    pub(crate) fn count_overflow(&self) {
        self.overflows.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_health(&self, health: StreamHealth, detail: Option<String>) {
        let mut texts = self.texts();
        let before = self.health.swap(health as u8, Ordering::Relaxed);
        if health == StreamHealth::Fault && before != health as u8 {
            self.failed.store(true, Ordering::Relaxed);
        }
        texts.detail = detail;
    }

    pub(crate) fn set_channels_out(&self, channels: Vec<ChannelOut>) {
        self.texts().channels_out = channels;
        self.channel_changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn set_description(&self, description: StreamDescription) {
        self.texts().description = Some(description);
    }

    pub(crate) fn count_received(&self, samples: u64, dropped: u64, missing: u64) {
        if dropped > 0 {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        if missing > 0 {
            self.missing.fetch_add(missing, Ordering::Relaxed);
        }
        self.received.fetch_add(samples, Ordering::Release);
    }

    /// Counts a connection; how often the stream was connected *anew* before.
    pub(crate) fn count_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn set_newest(&self, newest: LslTime) {
        self.newest.set(Some(newest.0));
    }

    pub(crate) fn set_measured_rate(&self, rate_hz: Option<f64>) {
        self.measured_rate_hz.set(rate_hz);
    }

    pub(crate) fn set_clock(&self, clock: Option<ClockOffset>) {
        self.clock_offset.set(clock.map(|clock| clock.offset.0));
        self.clock_uncertainty.set(clock.map(|clock| clock.uncertainty.0));
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_can_be_read_back() {
        let monitor = StreamMonitor::new("array");
        for health in [
            StreamHealth::Waiting,
            StreamHealth::Live,
            StreamHealth::Stalled,
            StreamHealth::Lost,
            StreamHealth::Mismatch,
            StreamHealth::Backlog,
            StreamHealth::BadClock,
            StreamHealth::Overloaded,
            StreamHealth::Fault,
        ] {
            monitor.set_health(health, None);
            assert_eq!(monitor.health(), health);
        }
        monitor.set_health(StreamHealth::Fault, None);
        assert_eq!([monitor.take_fault(), monitor.take_fault()], [true, false], "told once");
    }

    #[test]
    fn a_new_stream_knows_nothing() {
        let status = StreamMonitor::new("array").status(LslTime(100.0));
        assert_eq!((status.key.as_str(), status.health), ("array", StreamHealth::Waiting));
        assert_eq!(status.counts, StreamCounts::default());
        assert_eq!((status.age_ms, status.measured_rate_hz, status.clock_offset_ms), (None, None, None));
    }

    #[test]
    fn status_is_in_milliseconds() {
        let monitor = StreamMonitor::new("array");
        monitor.set_newest(LslTime(99.75));
        monitor.set_clock(Some(ClockOffset { offset: Seconds(-1.5), uncertainty: Seconds(0.0005) }));
        let status = monitor.status(LslTime(100.0));
        assert_eq!((status.age_ms, status.clock_offset_ms), (Some(250.0), Some(-1500.0)));
        assert_eq!(status.clock_uncertainty_ms, Some(0.5));
    }

    #[test]
    fn the_first_connection_is_no_reconnect() {
        let monitor = StreamMonitor::new("array");
        assert_eq!(monitor.count_connection(), 0);
        assert_eq!(monitor.counts().reconnects, 0);
        assert_eq!(monitor.count_connection(), 1);
        assert_eq!(monitor.counts().reconnects, 1);
    }

    #[test]
    fn all_threads_count_into_the_same_numbers() {
        let monitor = StreamMonitor::new("array");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        monitor.count_received(3, 2, 1);
                        monitor.count_late(1);
                        monitor.count_dropped(1);
                    }
                });
            }
        });
        let counts = monitor.counts();
        assert_eq!(
            (counts.received, counts.dropped, counts.missing, counts.late),
            (12_000, 12_000, 4000, 4000)
        );
    }
}
