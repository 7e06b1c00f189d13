//! How a stream's samples arrive: one by one or in chunks, how far apart and how old. Measured over a stream's first
//! seconds, for the limits that follow from it. Pure: times come from the caller.
//!
//! A sender that pushes a chunk every 100 ms is as regular as one that pushes every sample, but its samples are up to 100 ms
//! old when they come and nothing comes in between. Limits made for single samples would call it stalled and behind, and
//! would close bins before their samples are there.

use kalmind_types::{Arrival, LslTime, Seconds};

/// How long a stream is measured where nothing else is configured.
pub const MEASURED_FOR: Seconds = Seconds(3.0);
/// While a stream is being measured nothing is decoded for control, so its limits may be wide, in milliseconds.
pub(crate) const WHILE_MEASURING_MS: f64 = 2000.0;
/// A silence this long, or of three sample periods where those are longer, is a pause: measuring begins again after it.
const PAUSE: Seconds = Seconds(1.5);
/// Pauses are alike where the shorter one is at least this part of the longer one: then that is how the stream arrives.
const ALIKE: f64 = 0.5;
/// So many pauses say how it arrives, alike or not.
const MOST_PAUSES: usize = 4;
/// Nothing is concluded from fewer intervals.
const FEWEST: usize = 2;
/// Arrivals closer than this are one.
const TOGETHER: f64 = 1e-3;
/// Arrivals that are kept, and so what a measurement costs in memory.
const KEPT: usize = 4096;
/// Stamps that are less than this ahead of this machine's clock are so by the uncertainty of its measurement.
const AHEAD_MS: f64 = 5.0;

/// A stretch of time without an arrival, and what ended it.
#[derive(Clone, Copy, Debug)]
struct Interval {
    /// How long.
    length: f64,
    /// From the newest stamp known until then to the arrival that ended it.
    wait: f64,
}

/// Measures one stream. One thread; allocates at construction only.
#[derive(Clone, Debug)]
pub struct ArrivalMeter {
    measure: f64,
    /// Of a sample; 0 where it is not known.
    period: f64,
    pause: f64,
    begun: Option<LslTime>,
    /// When the newest samples arrived, and the newest stamp until then.
    last: Option<(LslTime, LslTime)>,
    intervals: Vec<Interval>,
    /// Those since it began that measuring began again after.
    pauses: Vec<Interval>,
    /// Whether it pauses again and again, and so is not measured for longer.
    is_halting: bool,
    /// The least age of a sample as it arrived; negative where stamps are ahead.
    least_age: f64,
}

impl ArrivalMeter {
    /// A meter of a stream of this nominal rate (0: irregular) that measures for `measure` from the first sample on.
    #[must_use]
    pub fn new(measure: Seconds, nominal_rate_hz: f64) -> Self {
        // nothing says of an irregular stream that a silence is a pause
        let (period, pause) = if nominal_rate_hz > 0.0 {
            (nominal_rate_hz.recip(), PAUSE.0.max(3.0 / nominal_rate_hz))
        } else {
            (0.0, f64::INFINITY)
        };
        Self {
            measure: measure.0,
            period,
            pause,
            begun: None,
            last: None,
            intervals: Vec::with_capacity(KEPT),
            pauses: Vec::with_capacity(MOST_PAUSES),
            is_halting: false,
            least_age: f64::INFINITY,
        }
    }

    /// Samples arrived at `arrival`, the newest stamped `newest` (corrected).
    pub fn observe(&mut self, arrival: LslTime, newest: LslTime) {
        if let Some((last, known)) = self.last
            && (arrival - last).0 > self.pause
        {
            self.paused(Interval { length: (arrival - last).0, wait: (arrival - known).0 });
        }
        self.begun.get_or_insert(arrival);
        self.least_age = self.least_age.min((arrival - newest).0);
        if let Some((last, known)) = self.last {
            let length = (arrival - last).0;
            if length >= TOGETHER && self.intervals.len() < KEPT {
                self.intervals.push(Interval { length, wait: (arrival - known).0 });
            }
        }
        let known = self.last.map_or(newest, |(_, known)| if newest > known { newest } else { known });
        self.last = Some((arrival, known));
    }

    /// Begins again with the next sample.
    pub fn restart(&mut self) {
        self.begin_again();
        self.pauses.clear();
        self.is_halting = false;
    }

    fn begin_again(&mut self) {
        self.begun = None;
        self.last = None;
        self.intervals.clear();
        self.least_age = f64::INFINITY;
    }

    /// One pause is an accident, and measuring begins again after it. One that was there before is how the stream arrives:
    /// it would be measured for ever otherwise.
    fn paused(&mut self, pause: Interval) {
        if self.is_halting {
            return;
        }
        let alike =
            |other: &Interval| other.length.min(pause.length) >= ALIKE * other.length.max(pause.length);
        self.is_halting = self.pauses.iter().any(alike) || self.pauses.len() + 1 >= MOST_PAUSES;
        if self.is_halting {
            // the one that ends now is noted like every interval
            self.intervals.truncate(KEPT - MOST_PAUSES);
            self.intervals.append(&mut self.pauses);
        } else {
            self.begin_again();
            self.pauses.push(pause);
        }
    }

    /// What was measured, once that was for long enough: from the first arrival to the last one, for a silence after it
    /// says nothing yet.
    pub fn measured(&mut self, now: LslTime) -> Option<Arrival> {
        let (begun, (last, _)) = self.begun.zip(self.last)?;
        if self.is_halting {
            return Some(self.conclude());
        }
        let is_enough = (last - begun).0 >= self.measure && self.intervals.len() >= FEWEST;
        (is_enough && (now - last).0 <= self.pause).then(|| self.conclude())
    }

    fn conclude(&mut self) -> Arrival {
        // reached twice: a single hold-up of this machine or the sender's says nothing about how the stream arrives
        let second = |mut values: Vec<f64>| {
            values.sort_by(|a, b| b.total_cmp(a));
            values.get(1).or(values.first()).copied().unwrap_or(0.0)
        };
        let longest = second(self.intervals.iter().map(|interval| interval.length).collect());
        let ends = self.intervals.iter().filter(|interval| interval.length >= longest / 2.0);
        let wait = second(ends.map(|interval| interval.wait).collect());
        // at half of all moments the interval that one is in is shorter: many small ones do not outweigh what lasts
        let total: f64 = self.intervals.iter().map(|interval| interval.length).sum();
        let middle = |value: fn(&Interval) -> f64, intervals: &mut [Interval]| {
            intervals.sort_by(|a, b| value(a).total_cmp(&value(b)));
            let mut before = 0.0;
            intervals
                .iter()
                .find(|interval| {
                    before += interval.length;
                    before >= total / 2.0
                })
                .map_or(0.0, value)
        };
        let ahead_ms = -self.least_age * 1e3;
        Arrival {
            interval_ms: middle(|interval| interval.length, &mut self.intervals) * 1e3,
            longest_interval_ms: longest * 1e3,
            delay_ms: ((middle(|interval| interval.wait, &mut self.intervals) - self.period) * 1e3).max(0.0),
            longest_wait_ms: (wait * 1e3).max(0.0),
            ahead_ms: if ahead_ms > AHEAD_MS && ahead_ms.is_finite() { ahead_ms } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::limits::{ArrivalSettings, remark};
    use crate::health::MonitorLimits;

    /// A sender of `rate_hz` that pushes chunks of `chunk_s`, 3 ms under way, for `seconds`.
    fn measured(rate_hz: f64, chunk_s: f64, seconds: f64) -> Option<Arrival> {
        let mut meter = ArrivalMeter::new(MEASURED_FOR, rate_hz);
        feed(&mut meter, rate_hz, chunk_s, 50.0, seconds);
        meter.measured(LslTime(50.0 + seconds + 0.05))
    }

    fn feed(meter: &mut ArrivalMeter, rate_hz: f64, chunk_s: f64, from: f64, seconds: f64) {
        let per_chunk = (rate_hz * chunk_s).round().max(1.0);
        let chunks = (seconds * rate_hz / per_chunk).floor() as u32;
        for chunk in 0..chunks {
            let newest = from + (f64::from(chunk + 1) * per_chunk - 1.0) / rate_hz;
            meter.observe(LslTime(newest + 0.003), LslTime(newest));
        }
    }

    #[test]
    fn chunks_are_measured_at_every_rate_and_length() {
        for rate_hz in [10.0_f64, 50.0, 250.0, 1000.0, 30_000.0] {
            for chunk_s in [0.01_f64, 0.02, 0.04, 0.1, 0.2, 0.5] {
                // whole samples
                let interval = (rate_hz * chunk_s).round().max(1.0) / rate_hz * 1e3;
                let arrival = measured(rate_hz, chunk_s, 4.0).expect("long enough");
                for (value, expected) in [
                    (arrival.interval_ms, interval),
                    (arrival.longest_interval_ms, interval),
                    (arrival.delay_ms, interval + 3.0 - 1e3 / rate_hz),
                    (arrival.longest_wait_ms, interval + 3.0),
                    (arrival.ahead_ms, 0.0),
                ] {
                    assert!(
                        (value - expected).abs() < 0.2 * interval,
                        "{rate_hz} Hz, {chunk_s} s: {arrival:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_known_before_the_time_is_over() {
        assert_eq!(measured(250.0, 0.1, 2.5), None);
        assert_eq!(ArrivalMeter::new(MEASURED_FOR, 50.0).measured(LslTime(1e6)), None, "there was no sample");
    }

    #[test]
    fn a_large_chunk_that_is_received_in_pieces_is_one() {
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 30_000.0);
        for chunk in 0..8 {
            let pushed = 10.0 + f64::from(chunk) * 0.5;
            for piece in 0..235 {
                let newest = pushed - 0.5 + f64::from(piece + 1) * 64.0 / 30_000.0;
                meter.observe(LslTime(pushed + f64::from(piece) * 5e-5), LslTime(newest));
            }
        }
        let arrival = meter.measured(LslTime(13.6)).expect("long enough");
        assert!((480.0..501.0).contains(&arrival.longest_interval_ms), "{arrival:?}");
        assert!((480.0..501.0).contains(&arrival.interval_ms), "{arrival:?}");
        assert!((490.0..510.0).contains(&arrival.delay_ms), "{arrival:?}");
    }

    #[test]
    fn one_hold_up_says_nothing_and_two_do() {
        let stream = |hold_ups: &[u32]| {
            let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
            for index in 0..200 {
                let stamp = 10.0 + f64::from(index) * 0.02;
                // what is held up comes with the first one after it
                let held = hold_ups.iter().find(|from| (**from..**from + 15).contains(&index));
                let arrival = held.map_or(stamp, |from| 10.0 + f64::from(from + 15) * 0.02);
                meter.observe(LslTime(arrival + 0.001), LslTime(stamp));
            }
            meter.measured(LslTime(14.0)).expect("long enough")
        };
        assert!(stream(&[40]).longest_interval_ms < 25.0, "{:?}", stream(&[40]));
        let twice = stream(&[40, 100]);
        assert!(twice.longest_interval_ms > 290.0 && twice.longest_wait_ms > 290.0, "{twice:?}");
        assert!(twice.interval_ms < 25.0 && twice.delay_ms < 25.0, "most of the time it is quick: {twice:?}");
    }

    #[test]
    fn a_pause_begins_it_anew() {
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
        feed(&mut meter, 50.0, 0.02, 10.0, 2.0);
        feed(&mut meter, 50.0, 0.02, 20.0, 2.0);
        assert_eq!(meter.measured(LslTime(22.0)), None, "two seconds since the pause");
        feed(&mut meter, 50.0, 0.02, 22.0, 2.0);
        let arrival = meter.measured(LslTime(24.0)).expect("long enough");
        assert!(arrival.longest_interval_ms < 25.0, "the pause is no interval: {arrival:?}");
    }

    #[test]
    fn silence_after_the_first_chunk_says_nothing() {
        for rate_hz in [50.0, 0.0] {
            let mut meter = ArrivalMeter::new(MEASURED_FOR, rate_hz);
            meter.observe(LslTime(10.0), LslTime(9.99));
            for tenth in 0..30 {
                let now = LslTime(10.0 + f64::from(tenth) * 0.1);
                assert_eq!(meter.measured(now), None, "one arrival, at {rate_hz} Hz");
            }
            assert_eq!(meter.measured(LslTime(1e3)), None, "one arrival, at {rate_hz} Hz");
        }
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
        meter.observe(LslTime(10.0), LslTime(9.99));
        feed(&mut meter, 50.0, 0.2, 13.0, 2.0);
        assert_eq!(meter.measured(LslTime(15.0)), None, "two seconds since the pause");
        feed(&mut meter, 50.0, 0.2, 15.0, 2.0);
        let arrival = meter.measured(LslTime(17.0)).expect("long enough");
        assert!((arrival.longest_interval_ms - 200.0).abs() < 1.0, "{arrival:?}");
        assert!((arrival.delay_ms - 183.0).abs() < 1.0, "{arrival:?}");
    }

    #[test]
    fn nothing_is_concluded_within_a_pause() {
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
        feed(&mut meter, 50.0, 0.02, 10.0, 4.0);
        assert_eq!(meter.measured(LslTime(16.0)), None);
    }

    #[test]
    fn pauses_that_come_again_are_how_it_arrives() {
        // in chunks
        for chunk_s in [1.6, 2.0, 10.0] {
            let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
            feed(&mut meter, 50.0, chunk_s, 10.0, 3.0 * chunk_s);
            let arrival = meter.measured(LslTime(10.0 + 3.0 * chunk_s)).expect("after two pauses");
            assert!((arrival.longest_interval_ms - 1e3 * chunk_s).abs() < 1.0, "{arrival:?}");
            assert!((arrival.delay_ms - 1e3 * chunk_s).abs() < 50.0, "{arrival:?}");
        }
        // with samples in between
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
        for from in [10.0, 13.0, 16.0] {
            assert_eq!(meter.measured(LslTime(from)), None);
            feed(&mut meter, 50.0, 0.02, from, 1.0);
        }
        let arrival = meter.measured(LslTime(17.0)).expect("after two pauses");
        assert!(arrival.longest_interval_ms > 1900.0 && arrival.delay_ms > 1900.0, "{arrival:?}");
        // it is measured anew like any other
        meter.restart();
        feed(&mut meter, 50.0, 0.02, 20.0, 4.0);
        let arrival = meter.measured(LslTime(24.0)).expect("long enough");
        assert!(arrival.longest_interval_ms < 25.0, "{arrival:?}");
    }

    #[test]
    fn pauses_of_any_length_do_not_keep_it_measuring() {
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
        let mut at = 10.0;
        for pause in [2.0, 5.0, 12.0, 30.0] {
            meter.observe(LslTime(at), LslTime(at - 0.01));
            assert_eq!(meter.measured(LslTime(at)), None);
            at += pause;
        }
        meter.observe(LslTime(at), LslTime(at - 0.01));
        let arrival = meter.measured(LslTime(at)).expect("after four pauses");
        assert!(arrival.delay_ms > 5000.0, "{arrival:?}");
    }

    #[test]
    fn a_sample_a_second_is_no_pause() {
        let arrival = measured(1.0, 0.001, 5.0).expect("long enough");
        assert!((arrival.longest_interval_ms - 1000.0).abs() < 1.0, "{arrival:?}");
    }

    #[test]
    fn stamps_ahead_of_now_are_told() {
        let mut meter = ArrivalMeter::new(MEASURED_FOR, 50.0);
        for index in 0..200 {
            let now = 10.0 + f64::from(index) * 0.02;
            meter.observe(LslTime(now), LslTime(now + 0.12));
        }
        let arrival = meter.measured(LslTime(14.0)).expect("long enough");
        assert!((arrival.ahead_ms - 120.0).abs() < 1.0 && arrival.delay_ms.abs() < 1e-9, "{arrival:?}");
        let remark =
            remark(&arrival, &ArrivalSettings::default(), &MonitorLimits::default(), 50.0).unwrap().text;
        assert!(remark.starts_with("stamps 120 ms ahead of now"), "{remark}");
    }
}
