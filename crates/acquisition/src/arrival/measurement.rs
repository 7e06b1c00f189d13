//! The measurement of one stream's arrival: when it runs, which limits are in force, and what is shown of it.

use std::sync::Arc;

use kalmind_types::{Arrival, ArrivalStatus, LslTime};

use crate::arrival::limits::{ArrivalSettings, Remark, limits_for, remark};
use crate::arrival::meter::{ArrivalMeter, MEASURED_FOR, WHILE_MEASURING_MS};
use crate::health::MonitorLimits;
use crate::monitor::StreamMonitor;

/// Belongs to the data thread of a stream.
///
/// The first seconds set the limits. After that it goes on looking, and says where the stream no longer arrives as it
/// did; but limits change only when [`StreamMonitor::measure_arrival`] asks for it, for whoever decodes has to agree.
#[derive(Debug)]
pub(crate) struct Measurement {
    settings: ArrivalSettings,
    /// As configured; no measurement makes a limit shorter.
    configured: MonitorLimits,
    /// In force.
    limits: MonitorLimits,
    rate_hz: f64,
    meter: ArrivalMeter,
    monitor: Arc<StreamMonitor>,
    /// The newest measurement that was asked for and is done.
    done: u32,
    measured: Option<Arrival>,
    /// The host whose stream was measured, and the one that sends now.
    measured_host: Option<String>,
    host: Option<String>,
    /// Whether it was connected anew since it was measured.
    reconnected: bool,
    /// What was shown last.
    shown: Option<ArrivalStatus>,
    /// How far that went which was said in the log, as in [`Remark::sizes`]; zero where nothing was, or it has gone away since.
    said: [f64; 3],
    /// In how many measurements something had to be said.
    remarks: u64,
}

/// What was said is said again once it has grown by so much.
const GROWN: f64 = 1.5;

impl Measurement {
    /// Of a stream that sends `rate_hz` samples a second (0: irregular).
    pub(crate) fn new(
        settings: ArrivalSettings,
        configured: MonitorLimits,
        rate_hz: f64,
        monitor: Arc<StreamMonitor>,
    ) -> Self {
        let length = if settings.measure.0 > 0.0 { settings.measure } else { MEASURED_FOR };
        let mut this = Self {
            settings,
            configured,
            limits: configured,
            rate_hz,
            meter: ArrivalMeter::new(length, rate_hz),
            monitor,
            done: 0,
            measured: None,
            measured_host: None,
            host: None,
            reconnected: false,
            shown: None,
            said: [0.0; 3],
            remarks: 0,
        };
        this.set_limits();
        this
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> &MonitorLimits {
        &self.limits
    }

    /// An outlet of this host was connected.
    pub(crate) fn connected(&mut self, host: &str) {
        self.meter.restart();
        self.reconnected |= self.host.is_some();
        self.host = Some(host.to_owned());
    }

    /// Samples arrived at `arrival`, the newest stamped `newest` (corrected).
    pub(crate) fn observe(&mut self, arrival: LslTime, newest: LslTime) {
        self.meter.observe(arrival, newest);
    }

    /// Notes what was asked for and what the time has shown; whether other limits are in force from now on.
    pub(crate) fn look(&mut self, now: LslTime) -> bool {
        if self.is_measured() && self.is_measuring() {
            // asked for anew
            self.measured = None;
            self.meter.restart();
        }
        let before = self.limits;
        if let Some(arrival) = self.meter.measured(now) {
            self.meter.restart();
            self.conclude(&arrival);
        }
        self.set_limits();
        self.show();
        before != self.limits
    }

    fn is_measured(&self) -> bool {
        self.measured.is_some()
    }

    fn is_measuring(&self) -> bool {
        self.settings.measure.0 > 0.0 && self.done != self.monitor.wanted_measurement()
    }

    fn conclude(&mut self, arrival: &Arrival) {
        let wanted = self.monitor.wanted_measurement();
        if self.is_measuring() {
            self.limits = limits_for(arrival, &self.settings, self.configured);
            self.measured = Some(*arrival);
            self.measured_host.clone_from(&self.host);
            self.reconnected = false;
            self.done = wanted;
        }
        let remark = remark(arrival, &self.settings, &self.limits, self.rate_hz);
        let follows = self.settings.sets_stall || self.settings.sets_backlog;
        let outdated = self.measured_host != self.host || (self.reconnected && remark.is_some() && follows);
        self.monitor.set_outdated(outdated && self.settings.measure.0 > 0.0);
        self.say(remark.as_ref());
        let mut status = self.status();
        status.remark = remark.map(|remark| remark.text);
        self.publish(status);
        // only now, so that whoever sees it done finds what was measured
        self.monitor.set_measurement_done(self.done);
    }

    /// Counts what has to be said, and says it in the log where that is news.
    fn say(&mut self, remark: Option<&Remark>) {
        let sizes = remark.map_or([0.0; 3], |remark| remark.sizes);
        let mut is_news = false;
        for (said, size) in self.said.iter_mut().zip(sizes) {
            if size <= 0.0 || size > GROWN * *said {
                is_news |= size > 0.0;
                *said = size;
            }
        }
        if let Some(remark) = remark {
            self.remarks += 1;
            if is_news {
                tracing::warn!(stream = self.monitor.key(), "{}", remark.text);
            }
        }
    }

    fn set_limits(&mut self) {
        if self.is_measuring() {
            if self.settings.sets_stall {
                self.limits.stall_ms = self.configured.stall_ms.max(WHILE_MEASURING_MS);
            }
            if self.settings.sets_backlog {
                self.limits.backlog_ms = self.configured.backlog_ms.max(WHILE_MEASURING_MS);
            }
        }
    }

    fn status(&self) -> ArrivalStatus {
        ArrivalStatus {
            measuring: self.is_measuring(),
            measured: self.measured,
            stall_ms: self.limits.stall(self.rate_hz).as_millis(),
            backlog_ms: self.limits.backlog_ms,
            remark: self.shown.as_ref().and_then(|shown| shown.remark.clone()),
            remarks: self.remarks,
        }
    }

    fn show(&mut self) {
        let status = self.status();
        if self.shown.as_ref() != Some(&status) {
            self.publish(status);
        }
    }

    fn publish(&mut self, status: ArrivalStatus) {
        self.monitor.set_arrival(status.clone());
        self.shown = Some(status);
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::Seconds;

    use super::*;

    /// A measurement of 3 s that sees samples of 50 Hz in chunks of so many, from `from` on, for `seconds`.
    fn run(measurement: &mut Measurement, chunk: u32, from: f64, seconds: f64) {
        for index in 0..(seconds * 50.0) as u32 / chunk {
            let newest = from + f64::from((index + 1) * chunk - 1) * 0.02;
            measurement.observe(LslTime(newest + 0.001), LslTime(newest));
            measurement.look(LslTime(newest + 0.001));
        }
    }

    fn measurement() -> (Measurement, Arc<StreamMonitor>) {
        let monitor = Arc::new(StreamMonitor::new("array"));
        let settings = ArrivalSettings { measure: Seconds(3.0), ..ArrivalSettings::default() };
        let mut measurement =
            Measurement::new(settings, MonitorLimits::default(), 50.0, Arc::clone(&monitor));
        measurement.connected("lab");
        (measurement, monitor)
    }

    #[test]
    fn limits_are_wide_at_first_and_then_follow() {
        let (mut measurement, monitor) = measurement();
        assert!(measurement.limits().stall_ms >= WHILE_MEASURING_MS);
        run(&mut measurement, 10, 10.0, 2.0);
        assert_eq!(monitor.measured(), None);
        assert!(monitor.status(LslTime(12.0)).arrival.unwrap().measuring);
        run(&mut measurement, 10, 12.0, 2.0);
        let (arrival, status) = monitor.measured().expect("measured");
        assert!((arrival.interval_ms - 200.0).abs() < 1.0 && !status.measuring);
        assert!((measurement.limits().stall_ms - 300.0).abs() < 2.0, "{:?}", measurement.limits());
        assert!((measurement.limits().backlog_ms - 352.0).abs() < 2.0, "{:?}", measurement.limits());
    }

    #[test]
    fn a_pause_after_the_first_chunk_measures_nothing() {
        let (mut measurement, monitor) = measurement();
        run(&mut measurement, 10, 10.0, 0.2);
        for tenth in 3..30 {
            // a pull that brings nothing
            measurement.look(LslTime(10.0 + f64::from(tenth) * 0.1));
        }
        run(&mut measurement, 10, 13.2, 2.0);
        assert_eq!(monitor.measured(), None);
        run(&mut measurement, 10, 15.2, 2.0);
        let (arrival, _) = monitor.measured().expect("measured");
        assert!((arrival.interval_ms - 200.0).abs() < 1.0, "{arrival:?}");
    }

    #[test]
    fn limits_stay_until_somebody_asks() {
        let (mut measurement, monitor) = measurement();
        run(&mut measurement, 1, 10.0, 4.0);
        let limits = *measurement.limits();
        assert!((limits.stall_ms - 100.0).abs() < 1e-9);
        run(&mut measurement, 20, 14.0, 8.0);
        assert_eq!(*measurement.limits(), limits);
        assert!(monitor.measured().unwrap().1.remark.unwrap().contains("stall_ms"));
        assert!(!monitor.arrival_is_outdated(), "the same connection");
        monitor.measure_arrival();
        assert_eq!(monitor.measured(), None, "at once");
        run(&mut measurement, 20, 22.0, 8.0);
        let (arrival, status) = monitor.measured().expect("measured anew");
        assert!((arrival.interval_ms - 400.0).abs() < 1.0 && status.remark.is_none(), "{status:?}");
        assert!((measurement.limits().stall_ms - 600.0).abs() < 2.0);
    }

    #[test]
    fn what_has_to_be_said_is_news_once_and_again_when_it_has_grown_by_half_or_come_back() {
        let (mut measurement, monitor) = measurement();
        let mut news = |ahead_ms: f64| {
            let before = measurement.said;
            measurement.conclude(&Arrival { ahead_ms, ..Arrival::default() });
            measurement.said.map(f64::to_bits) != before.map(f64::to_bits) && ahead_ms > 0.0
        };
        let told = [49.0, 51.0, 47.0, 74.0, 80.0, 0.0, 20.0, 25.0].map(&mut news);
        assert_eq!(told, [true, false, false, true, false, false, true, false]);
        let status = monitor.status(LslTime(1.0)).arrival.expect("shown");
        assert_eq!((status.remarks, status.remark.is_some()), (7, true));
    }

    #[test]
    fn a_sender_that_returns_as_it_was_is_not_measured_anew_and_another_is_to_be() {
        let (mut measurement, monitor) = measurement();
        run(&mut measurement, 1, 10.0, 4.0);
        measurement.connected("lab");
        run(&mut measurement, 1, 20.0, 4.0);
        assert!(!monitor.arrival_is_outdated());
        measurement.connected("lab");
        run(&mut measurement, 20, 30.0, 8.0);
        assert!(monitor.arrival_is_outdated(), "it returned with longer chunks");
        measurement.connected("other");
        run(&mut measurement, 1, 40.0, 4.0);
        assert!(monitor.arrival_is_outdated(), "on another machine");
    }

    #[test]
    fn where_nothing_is_to_be_measured_the_limits_stand() {
        let monitor = Arc::new(StreamMonitor::new("array"));
        let settings = ArrivalSettings::default();
        let mut measurement =
            Measurement::new(settings, MonitorLimits::default(), 50.0, Arc::clone(&monitor));
        measurement.connected("lab");
        run(&mut measurement, 20, 10.0, 8.0);
        assert_eq!(*measurement.limits(), MonitorLimits::default());
        assert!(!monitor.arrival_is_outdated());
        assert!(!monitor.status(LslTime(18.0)).arrival.unwrap().measuring);
    }
}
