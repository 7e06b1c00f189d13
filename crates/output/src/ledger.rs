//! The latency ledger: how long every tick took in each stage, in HDR histograms.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hdrhistogram::{CreationError, Histogram};
use kalmind_types::{LslTime, Seconds, TickPublication};
use serde::Serialize;

/// The longest latency told apart; longer ones are counted there.
const LONGEST_NS: u64 = 60_000_000_000;
/// Significant decimal digits of a histogram.
const DIGITS: u8 = 3;
/// Stamps further ahead of now than this are the sender's doing, not the uncertainty of its clock's measured offset.
const AHEAD: Seconds = Seconds(0.005);
/// Ticks that the writer keeps while somebody reads the ledger.
const KEPT: usize = 1024;
/// Milliseconds per unit of `/proc/stat`: the kernel always shows hundredths of a second there.
const STAT_UNIT_MS: u64 = 10;

/// A stage of a tick's way, in order; `total` is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Stamp of the newest sample used -> the pull that closed the bin returned.
    Receive,
    /// Received -> the tick thread began with the bin.
    Close,
    /// Begun -> the engine was done.
    Decode,
    /// Done -> the push into the LSL outlets returned.
    Publish,
    /// Stamp of the newest sample used -> published.
    Total,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 5] = [Self::Receive, Self::Close, Self::Decode, Self::Publish, Self::Total];

    /// The name by which messages and metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Close => "close",
            Self::Decode => "decode",
            Self::Publish => "publish",
            Self::Total => "total",
        }
    }
}

/// Latencies of every tick since the start, per stage, and what may explain the bad ones.
///
/// One thread writes, through a [`LedgerWriter`]; any other may read a [`LedgerSnapshot`] meanwhile. Memory is claimed
/// at the start; recording allocates nothing and never waits for a reader.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    steal_at_start: Option<u64>,
}

#[derive(Debug)]
struct Inner {
    stages: [Histogram<u64>; 5],
    ticks: u64,
    late_ticks: u64,
    incomplete_ticks: u64,
}

/// One tick's entry, in nanoseconds; without a sample there is nothing to measure from.
#[derive(Clone, Copy, Debug)]
struct Entry {
    stages: [Option<u64>; 5],
    late: bool,
    incomplete: bool,
}

/// A [`Ledger`] at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerSnapshot {
    /// Ticks recorded.
    pub ticks: u64,
    /// Ticks that began more than a bin width late.
    pub late_ticks: u64,
    /// Ticks without a full bin.
    pub incomplete_ticks: u64,
    /// Processor time that the hypervisor gave to others since the start, over all processors, in milliseconds; none
    /// where the system does not say.
    pub steal_ms: Option<u64>,
    /// Per stage, in the order of [`Stage::ALL`].
    pub stages: [StageSummary; 5],
}

/// One stage's latencies, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageSummary {
    /// Which.
    pub stage: Stage,
    /// Ticks measured: those with a sample whose stamp is not ahead of now, for what begins at the stamp.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Longest.
    pub max: f64,
    /// Sum, for a mean over any period.
    pub sum: f64,
}

impl Ledger {
    /// An empty ledger.
    ///
    /// # Errors
    /// Never with the bounds built in; they are checked where the histograms are made.
    pub fn new() -> Result<Self, CreationError> {
        let histogram = || Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        let stages = [histogram()?, histogram()?, histogram()?, histogram()?, histogram()?];
        let inner = Inner { stages, ticks: 0, late_ticks: 0, incomplete_ticks: 0 };
        Ok(Self { inner: Mutex::new(inner), steal_at_start: steal() })
    }

    /// Everything so far. Takes some 0.1 ms; not for the tick thread.
    #[must_use]
    pub fn snapshot(&self) -> LedgerSnapshot {
        let steal_ms = self
            .steal_at_start
            .zip(steal())
            .map(|(start, now)| now.saturating_sub(start).saturating_mul(STAT_UNIT_MS));
        let inner = self.lock();
        let summary = |stage: Stage| {
            let histogram = &inner.stages[stage as usize];
            let micros = |nanos: u64| nanos as f64 / 1e3;
            StageSummary {
                stage,
                count: histogram.len(),
                p50: micros(histogram.value_at_quantile(0.5)),
                p99: micros(histogram.value_at_quantile(0.99)),
                max: micros(histogram.max()),
                sum: histogram.mean() * histogram.len() as f64 / 1e3,
            }
        };
        LedgerSnapshot {
            ticks: inner.ticks,
            late_ticks: inner.late_ticks,
            incomplete_ticks: inner.incomplete_ticks,
            steal_ms,
            stages: Stage::ALL.map(summary),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn record(&mut self, entry: &Entry) {
        self.ticks += 1;
        self.late_ticks += u64::from(entry.late);
        self.incomplete_ticks += u64::from(entry.incomplete);
        for (histogram, latency) in self.stages.iter_mut().zip(entry.stages) {
            if let Some(latency) = latency {
                histogram.saturating_record(latency.min(LONGEST_NS));
            }
        }
    }
}

/// The one writer of a [`Ledger`]. Recording allocates nothing; while a reader holds the ledger, up to 1024 ticks wait
/// here, and only after that does it wait for the reader.
#[derive(Debug)]
pub struct LedgerWriter<'a> {
    ledger: &'a Ledger,
    kept: Vec<Entry>,
}

impl<'a> LedgerWriter<'a> {
    /// The writer of `ledger`.
    #[must_use]
    pub fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, kept: Vec::with_capacity(KEPT) }
    }

    /// Records a tick that was published at `published`.
    pub fn record(&mut self, tick: &TickPublication, published: LslTime) {
        let nanos = |from: LslTime, to: LslTime| nanoseconds(to - from);
        // a stamp ahead of now says nothing about how long anything took
        let since = |newest: Option<LslTime>, to: LslTime| {
            newest.filter(|newest| (to - *newest).0 > -AHEAD.0).map(|newest| nanos(newest, to))
        };
        let newest = tick.output.newest;
        self.kept.push(Entry {
            stages: [
                since(newest, tick.times.received),
                Some(nanos(tick.times.received, tick.times.closed)),
                Some(nanos(tick.times.closed, tick.times.decoded)),
                Some(nanos(tick.times.decoded, published)),
                since(newest, published),
            ],
            late: tick.late,
            incomplete: tick.output.incomplete,
        });
        let mut inner = match self.ledger.inner.try_lock() {
            Ok(inner) => inner,
            Err(_) if self.kept.len() < KEPT => return,
            Err(_) => self.ledger.lock(),
        };
        for entry in self.kept.drain(..) {
            inner.record(&entry);
        }
    }
}

impl Drop for LedgerWriter<'_> {
    fn drop(&mut self) {
        let mut inner = self.ledger.lock();
        for entry in self.kept.drain(..) {
            inner.record(&entry);
        }
    }
}

/// In nanoseconds; a stamp ahead of the clock (its offset is only known to some accuracy) counts as zero.
fn nanoseconds(duration: Seconds) -> u64 {
    (duration.0 * 1e9).max(0.0) as u64
}

/// Processor time stolen so far, in the units of `/proc/stat`.
fn steal() -> Option<u64> {
    parse_steal(&fs::read_to_string("/proc/stat").ok()?)
}

/// The eighth number of the line `cpu` (proc(5)).
fn parse_steal(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use kalmind_types::{OutputState, StageTimes, TickOutput};

    use super::*;

    fn tick(newest: Option<f64>, received: f64, closed: f64, decoded: f64) -> TickPublication {
        TickPublication {
            output: TickOutput {
                newest: newest.map(LslTime),
                incomplete: newest.is_none(),
                state: OutputState::Control,
                ..TickOutput::neutral(0, LslTime(received))
            },
            times: StageTimes {
                received: LslTime(received),
                closed: LslTime(closed),
                decoded: LslTime(decoded),
            },
            age: Seconds(0.0),
            late: newest.is_none(),
        }
    }

    fn near(found: f64, expected: f64) -> bool {
        // three significant digits of the histogram
        (found - expected).abs() <= expected * 2e-3
    }

    #[test]
    fn stages_are_told_apart() {
        let ledger = Ledger::new().unwrap();
        LedgerWriter::new(&ledger).record(&tick(Some(10.0), 10.001, 10.0015, 10.0018), LslTime(10.002));
        let found = ledger.snapshot();
        let expected = [1000.0, 500.0, 300.0, 200.0, 2000.0];
        for (summary, expected) in found.stages.iter().zip(expected) {
            assert_eq!(summary.count, 1);
            assert!(near(summary.max, expected), "{summary:?}, expected {expected}");
            assert!(near(summary.sum, expected), "{summary:?}, expected {expected}");
        }
    }

    #[test]
    fn percentiles_match_a_sorted_list() {
        let ledger = Ledger::new().unwrap();
        let mut writer = LedgerWriter::new(&ledger);
        // decode takes 1..=1000 microseconds, shuffled by a step that is prime to 1000
        for index in 0..1000_u32 {
            let micros = f64::from(index * 377 % 1000 + 1);
            writer.record(&tick(Some(10.0), 10.0, 10.0, 10.0 + micros * 1e-6), LslTime(11.0));
        }
        drop(writer);
        let decode = ledger.snapshot().stages[Stage::Decode as usize];
        assert_eq!(decode.count, 1000);
        assert!(near(decode.p50, 500.0) && near(decode.p99, 990.0) && near(decode.max, 1000.0), "{decode:?}");
    }

    #[test]
    fn ticks_without_samples_count_and_measure_no_age() {
        let ledger = Ledger::new().unwrap();
        LedgerWriter::new(&ledger).record(&tick(None, 10.0, 10.1, 10.2), LslTime(10.3));
        let found = ledger.snapshot();
        assert_eq!((found.ticks, found.late_ticks, found.incomplete_ticks), (1, 1, 1));
        assert_eq!(found.stages.map(|stage| stage.count), [0, 1, 1, 1, 0]);
    }

    #[test]
    fn stamps_ahead_of_now_are_no_latency_of_zero() {
        let ledger = Ledger::new().unwrap();
        let mut writer = LedgerWriter::new(&ledger);
        // 120 ms ahead, and ahead by less than a clock's offset is known to
        writer.record(&tick(Some(10.12), 10.0, 10.001, 10.002), LslTime(10.003));
        writer.record(&tick(Some(10.001), 10.0, 10.001, 10.002), LslTime(10.003));
        drop(writer);
        assert_eq!(ledger.snapshot().stages.map(|stage| stage.count), [1, 2, 2, 2, 1]);
    }

    #[test]
    fn impossible_latencies_stay_within_bounds() {
        let ledger = Ledger::new().unwrap();
        let mut writer = LedgerWriter::new(&ledger);
        writer.record(&tick(Some(20.0), 10.0, f64::NAN, 1e12), LslTime(f64::INFINITY));
        drop(writer);
        for stage in ledger.snapshot().stages {
            assert!(stage.max <= LONGEST_NS as f64 / 1e3 * 1.001, "{stage:?}");
        }
    }

    #[test]
    fn a_reader_never_makes_the_writer_wait_and_nothing_is_lost() {
        let ledger = Ledger::new().unwrap();
        let mut writer = LedgerWriter::new(&ledger);
        let reading = ledger.lock();
        for _ in 0..KEPT - 1 {
            writer.record(&tick(Some(10.0), 10.0, 10.0, 10.0), LslTime(10.0));
        }
        drop(reading);
        writer.record(&tick(Some(10.0), 10.0, 10.0, 10.0), LslTime(10.0));
        assert_eq!(ledger.snapshot().ticks, KEPT as u64);
    }

    #[test]
    fn steal_is_the_eighth_number() {
        let stat =
            "cpu  10132153 290696 3084719 46828483 16683 0 25195 4711 175628 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(parse_steal(stat), Some(4711));
        assert_eq!(parse_steal("cpu 1 2 3"), None);
        assert_eq!(parse_steal(""), None);
    }
}
