//! The data thread of a numeric stream: connects, pulls, sorts, counts and hands on samples, and connects anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kalmind_types::{ClockOffset, LslTime, NumberFormat, Samples, Seconds, StreamHealth, StreamTime};
use lsl::{ContinuousResolver, Pullable};

use crate::arrival::measurement::Measurement;
use crate::clock;
use crate::companion::Companion;
use crate::health::{Evidence, Fate, Link, judge};
use crate::monitor::StreamMonitor;
use crate::number::Number;
use crate::numeric::choice::{Choice, Chosen, choose};
use crate::numeric::config::InletConfig;
use crate::numeric::connection::{Batch, Connection, Last};
use crate::numeric::delivery::{PullContext, Senders};
use crate::numeric::derivation::Derivation;
use crate::numeric::sorting::Sorter;
use crate::queue::QueueWatch;
use crate::rate::RateMeter;
use crate::search::host::this_host;
use crate::search::resolve::{search, unique};
use crate::waker::Waker;

/// How long a pull waits for a sample before the thread looks at its surroundings. A sample that comes ends the wait at
/// once.
const PATIENCE: f64 = 0.02;
/// One search for a lost stream, and so how long the thread may take to end.
const SEARCH: f64 = 0.2;
/// An outlet that was heard of so long ago, in seconds, and not since, is gone.
const REMEMBERED: f64 = 2.5;
/// How long an outlet may take to accept a connection for data.
const OPEN: f64 = 2.0;
/// A stream that is silent for this long is searched for; a shorter pause is left alone.
const SEARCH_AFTER: Seconds = Seconds(1.0);

/// Why a connection ended.
enum Ended {
    Stopped,
    Lost,
    Replaced,
}

/// The data thread.
pub(crate) struct Receiver {
    config: InletConfig,
    predicate: String,
    monitor: Arc<StreamMonitor>,
    senders: Senders,
    derivation: Option<Derivation>,
    meter: RateMeter,
    measurement: Measurement,
    companion: Companion,
    waker: Waker,
    stop: Arc<AtomicBool>,
    was_connected: bool,
    last: Option<Last>,
}

impl Receiver {
    #[expect(clippy::too_many_arguments, reason = "what a thread is given when it starts")]
    pub(crate) fn new(
        config: InletConfig,
        predicate: String,
        senders: Senders,
        derivation: Option<Derivation>,
        monitor: Arc<StreamMonitor>,
        companion: Companion,
        waker: Waker,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let nominal = config.description.nominal_rate_hz;
        let rate_hz = if nominal > 0.0 { nominal } else { config.rate_hz.unwrap_or_default() };
        Self {
            meter: RateMeter::new(Seconds::from_millis(config.limits.rate_window_ms)),
            measurement: Measurement::new(config.arrival, config.limits, rate_hz, Arc::clone(&monitor)),
            senders,
            derivation,
            predicate,
            monitor,
            companion,
            waker,
            stop,
            was_connected: false,
            last: None,
            config,
        }
    }

    /// Receives until it is stopped.
    pub(crate) fn run(mut self) {
        while let Some(chosen) = self.choose() {
            self.companion.follow(&chosen.info, chosen.passed_over.clone());
            self.monitor.set_description(chosen.description.clone());
            if chosen.difference.is_none() && self.config.is_assumed {
                self.config.description = chosen.description.clone();
                self.config.is_assumed = false;
            }
            // what differs in nothing has the numbers that are expected
            let format = chosen.description.format.unwrap_or(NumberFormat::Double64);
            let ended = match (&chosen.difference, format) {
                (Some(_), _) => self.refuse(&chosen),
                (None, NumberFormat::Float32) => self.receive::<f32>(chosen),
                (None, NumberFormat::Double64) => self.receive::<f64>(chosen),
                (None, NumberFormat::Int8) => self.receive::<i8>(chosen),
                (None, NumberFormat::Int16) => self.receive::<i16>(chosen),
                (None, NumberFormat::Int32) => self.receive::<i32>(chosen),
                (None, NumberFormat::Int64) => self.receive::<i64>(chosen),
            };
            self.companion.forget();
            self.meter.reset();
            self.monitor.set_measured_rate(None);
            match ended {
                Ended::Stopped => break,
                Ended::Lost => self.searching(None),
                Ended::Replaced => {}
            }
        }
        if let Some(derivation) = &self.derivation {
            tracing::info!(stream = %self.config.key, counts = ?derivation.counts(), "its stages ended");
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Searches until there is an outlet to connect to; `None` when the inlet is to end.
    fn choose(&mut self) -> Option<Chosen> {
        // short searches reach whoever hears multicast; hosts that are asked by name hear of a longer one alone
        let longer = ContinuousResolver::new_with_pred(&self.predicate, REMEMBERED).ok();
        while !self.stopped() {
            let infos = match search(&self.predicate, SEARCH) {
                Ok(infos) if infos.is_empty() => {
                    longer.as_ref().and_then(|longer| longer.results().ok()).map(unique).unwrap_or_default()
                }
                Ok(infos) => infos,
                Err(error) => {
                    self.searching(Some(error.to_string()));
                    std::thread::park_timeout(core::time::Duration::from_secs_f64(SEARCH));
                    continue;
                }
            };
            let last = self.last.as_ref().map_or(&self.config.description.uid, |last| &last.uid);
            match choose(infos, &self.config, last) {
                Choice::One(chosen) => return Some(*chosen),
                Choice::Several(problem) => self.searching(Some(problem)),
                Choice::None => self.searching(None),
            }
        }
        None
    }

    /// Shows that no outlet is connected.
    fn searching(&self, detail: Option<String>) {
        let evidence = Evidence {
            link: Link::Searching,
            was_connected: self.was_connected,
            silent_for: Seconds(0.0),
            newest: None,
            measured_rate_hz: None,
            nominal_rate_hz: 0.0,
        };
        let health = judge(&evidence, self.measurement.limits());
        let detail = detail.unwrap_or_else(|| {
            let selector = &self.config.selector;
            match health {
                StreamHealth::Lost => format!("the outlet is gone; searching for {selector}"),
                _ => format!("searching for {selector}"),
            }
        });
        self.show(health, Some(detail));
    }

    fn show(&self, health: StreamHealth, detail: Option<String>) {
        let before = self.monitor.health();
        if before != health {
            let detail = detail.as_deref().unwrap_or_default();
            tracing::info!(stream = %self.config.key, %before, now = %health, detail, "stream state");
        }
        self.monitor.set_health(health, detail);
        if before != health {
            self.waker.wake();
        }
    }

    /// Pulls from the expected stream until it ends.
    fn receive<T: Number>(&mut self, chosen: Chosen) -> Ended {
        if chosen.inlet.open_stream(OPEN).is_err() {
            return Ended::Lost;
        }
        let number = self.monitor.count_connection();
        if let Some(derivation) = &mut self.derivation {
            derivation.reconnected();
        }
        let mut connection = Connection::new(&chosen.description, None, number, clock::now());
        self.was_connected = true;
        let same_machine = this_host().is_some_and(|host| host == chosen.description.hostname);
        self.measurement.connected(&chosen.description.hostname);
        let mut sorter = Sorter::new(
            self.measurement.limits(),
            chosen.description.nominal_rate_hz,
            self.config.clock,
            same_machine,
        );
        if let Some(last) = self.last.take()
            && last.uid == chosen.description.uid
        {
            sorter = sorter.continues(last.newest_stamp);
        }
        let ended = self.pull_all::<T>(&chosen, &mut connection, &mut sorter);
        self.flush(&connection, clock::now());
        self.last = Some(Last { uid: chosen.description.uid, newest_stamp: sorter.newest_stamp() });
        ended
    }

    fn pull_all<T: Number>(
        &mut self,
        chosen: &Chosen,
        connection: &mut Connection,
        sorter: &mut Sorter,
    ) -> Ended {
        let mut row = vec![T::default(); self.config.description.channels];
        let mut measured = None;
        let mut queue = QueueWatch::new(chosen.description.nominal_rate_hz, self.config.rate_hz);
        loop {
            if let Some(ended) = self.interrupted() {
                return ended;
            }
            if queue.overflowed(chosen.inlet.samples_available()) {
                self.monitor.count_overflow();
                tracing::error!(stream = %self.config.key, "{}", queue.sentence());
            }
            let wait = self.senders.tick.may_wait(clock::now()).0.min(PATIENCE);
            let stamp = match T::pull(&chosen.inlet, &mut row, wait) {
                Ok(0.0) => {
                    let now = clock::now();
                    self.flush(connection, now);
                    self.measure(sorter, now);
                    self.publish(connection, now);
                    continue;
                }
                Ok(stamp) => stamp,
                Err(_gone) => return Ended::Lost,
            };
            let arrival = clock::now();
            connection.heard = arrival;
            self.companion.watch().offset.refresh(&mut measured);
            let mut batch = Batch::default();
            let mut next = Ok(stamp);
            while let Ok(stamp) = next
                && stamp != 0.0
            {
                self.take::<T>(StreamTime(stamp), &row, arrival, measured, connection, sorter, &mut batch);
                if self.senders.is_full() || batch.received >= self.config.block_samples as u64 {
                    break;
                }
                next = T::pull(&chosen.inlet, &mut row, 0.0);
            }
            if let Some(newest) = batch.newest {
                self.measurement.observe(arrival, newest);
            }
            self.measure(sorter, arrival);
            self.derive(connection, arrival, &mut batch);
            self.finish(connection, &batch);
            if next.is_err() {
                return Ended::Lost;
            }
        }
    }

    /// Notes how the stream arrives, and puts the limits that follow into force.
    fn measure(&mut self, sorter: &mut Sorter, now: LslTime) {
        if self.measurement.look(now) {
            sorter.set_backlog(self.measurement.limits().backlog_ms);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the inner step of one loop, split off to be read")]
    fn take<T: Number>(
        &mut self,
        stamp: StreamTime,
        row: &[T],
        arrival: LslTime,
        measured: Option<ClockOffset>,
        connection: &mut Connection,
        sorter: &mut Sorter,
        batch: &mut Batch,
    ) {
        let sorted = sorter.sort(stamp, arrival, measured);
        batch.received += 1;
        batch.missing += sorted.missing;
        let append = |samples: &mut Samples| {
            let fits = T::append(row, samples);
            debug_assert!(fits, "blocks are built for the stream's format");
        };
        if let Some(recorder) = &mut self.senders.recorder {
            recorder.deliver(stamp, arrival, append);
        }
        let delivers = sorted.fate == Fate::Deliver;
        if let Some(derivation) = &mut self.derivation {
            let missing = derivation.missing_before((sorted.fate != Fate::BadClock).then_some(stamp));
            if missing > 0 || !delivers {
                self.derive(connection, arrival, batch);
            }
            match &mut self.derivation {
                Some(derivation) if delivers => derivation.take(stamp, missing, append),
                Some(derivation) => derivation.lose(missing),
                None => {}
            }
            batch.dropped += u64::from(!delivers);
        } else if delivers {
            batch.dropped += u64::from(!self.senders.tick.deliver(stamp, arrival, append));
        } else {
            // what was taken before is sent with what was known then
            if self.senders.tick.lose(self.context(connection, arrival)) {
                self.waker.wake();
            }
            batch.dropped += 1;
        }
        connection.saw(&sorted, arrival);
        if sorted.fate != Fate::BadClock {
            let newest = batch.newest.map_or(sorted.corrected.0, |newest| newest.0.max(sorted.corrected.0));
            batch.newest = Some(LslTime(newest));
        }
    }

    /// Runs the stages, where there are any, on the samples that wait for them.
    fn derive(&mut self, connection: &Connection, now: LslTime, batch: &mut Batch) {
        let context = self.context(connection, now);
        let Some(derivation) = &mut self.derivation else { return };
        let ran = derivation.run(&mut self.senders, context);
        derivation.show_channels(&self.monitor, now);
        batch.dropped += ran.lost;
        if ran.sent {
            self.waker.wake();
        }
    }

    /// Sends the block of a pull, unless blocks are scarce and it may wait for more, and publishes what it told of the
    /// stream.
    fn finish(&mut self, connection: &mut Connection, batch: &Batch) {
        let now = clock::now();
        connection.heard = now;
        // samples that none but the recorder gets wait for nothing
        if self.senders.tick.may_wait(now).0 <= 0.0 || batch.dropped > 0 {
            self.flush(connection, now);
        }
        self.meter.observe(now, batch.received);
        self.monitor.count_received(batch.received, batch.dropped, batch.missing);
        if let Some(newest) = batch.newest {
            self.monitor.set_newest(newest);
        }
        self.publish(connection, now);
    }

    fn flush(&mut self, connection: &Connection, now: LslTime) {
        if self.senders.flush(self.context(connection, now)) {
            self.waker.wake();
        }
    }

    fn context(&self, connection: &Connection, received: LslTime) -> PullContext {
        let health = judge(&self.evidence(connection, received), self.measurement.limits());
        let generation = self.derivation.as_ref().map_or(0, Derivation::generation);
        connection.context(received, health, generation)
    }

    fn evidence(&self, connection: &Connection, now: LslTime) -> Evidence {
        let unanswered =
            self.companion.watch().is_unanswered() && (now - connection.heard).0 > SEARCH_AFTER.0;
        connection.evidence(now, unanswered, self.meter.rate_hz())
    }

    /// Judges the stream and shows a state that has changed.
    fn publish(&mut self, connection: &mut Connection, now: LslTime) {
        let evidence = self.evidence(connection, now);
        let mut health = connection.to_show(judge(&evidence, self.measurement.limits()), now);
        let trouble = self.derivation.as_ref().and_then(Derivation::trouble);
        let trouble = trouble.filter(|_| matches!(health, StreamHealth::Live | StreamHealth::Mismatch));
        if let Some(trouble) = trouble {
            health = trouble.health();
        }
        // one that may be silent for long (events) is asked for as well: whether it is still there is all that can be known
        let bad = matches!(health, StreamHealth::Mismatch | StreamHealth::Backlog | StreamHealth::BadClock);
        let silent = !bad && evidence.silent_for.0 > SEARCH_AFTER.0;
        self.companion
            .watch()
            .search_wanted
            .store(silent || evidence.link == Link::Refused, Ordering::Relaxed);
        self.monitor.set_measured_rate(evidence.measured_rate_hz);
        if connection.shown != Some(health) {
            if !matches!(health, StreamHealth::Live | StreamHealth::Mismatch) {
                self.meter.reset();
            }
            connection.shown = Some(health);
            let sentence = || connection.sentence(health, &evidence, self.measurement.limits());
            let detail = trouble.map_or_else(sentence, |trouble| Some(trouble.sentence().to_owned()));
            self.show(health, detail);
        }
    }

    /// Counts the samples of an outlet that is not the stream expected, until it ends or another one is there.
    fn refuse(&mut self, chosen: &Chosen) -> Ended {
        let mut connection = Connection::new(&chosen.description, chosen.difference.clone(), 0, clock::now());
        self.publish(&mut connection, clock::now());
        if chosen.inlet.open_stream(OPEN).is_err() {
            return Ended::Lost;
        }
        let (mut numbers, mut texts) = (Vec::<f64>::new(), Vec::<String>::new());
        loop {
            if let Some(ended) = self.interrupted() {
                return ended;
            }
            // LSL converts between number types
            let pulled = match chosen.description.format {
                Some(_) => f64::pull(&chosen.inlet, &mut numbers, PATIENCE),
                None => chosen.inlet.pull_sample_buf(&mut texts, PATIENCE),
            };
            match pulled {
                Ok(0.0) => self.publish(&mut connection, clock::now()),
                Ok(_) => {
                    let context = self.context(&connection, clock::now());
                    match &mut self.derivation {
                        Some(derivation) => derivation.lose(0),
                        None => drop(self.senders.tick.lose(context)),
                    }
                    if let Some(recorder) = &mut self.senders.recorder {
                        // another shape than the recorded stream has
                        recorder.lose(context);
                    }
                    self.monitor.count_received(1, 1, 0);
                }
                Err(_gone) => return Ended::Lost,
            }
        }
    }

    fn interrupted(&self) -> Option<Ended> {
        if self.stopped() {
            Some(Ended::Stopped)
        } else if self.companion.watch().take_replacement() {
            Some(Ended::Replaced)
        } else {
            None
        }
    }
}
