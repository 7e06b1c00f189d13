//! The thread of a marker stream: searches, pulls, shows, records and passes on texts.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{SendTimeoutError, Sender};
use kalmind_types::{
    ClockOffset, LslTime, NumberFormat, Seconds, StreamDescription, StreamHealth, StreamTime,
};
use lsl::{StreamInfo, StreamInlet};

use crate::clock;
use crate::companion::{Companion, Watch};
use crate::markers::config::{AtOnce, Marker, MarkerConfig, TextSample};
use crate::markers::row::{Numbers, Row, Texts, changes};
use crate::monitor::StreamMonitor;
use crate::number::number_format;
use crate::numeric::inlet::SpawnError;
use crate::queue::QueueWatch;
use crate::search::host::this_host;
use crate::search::resolve::{
    ResolveError, checked_predicate, open, search, short_description, visible_infos,
};
use crate::search::selector::StreamSelector;
use crate::search::wording::{Instead, List, Name, Streams, way_out};

const PATIENCE: f64 = 0.05;
/// Long enough for outlets that LSL's own settings ask only after half a second; an answer ends it at once.
const SEARCH: f64 = 0.8;
const OPEN: f64 = 2.0;
/// Texts are rare, so silence is no fault; but a machine that died says nothing either. After so long without a text the
/// outlet is asked whether it is still there.
const SEARCH_AFTER: Seconds = Seconds(3.0);
/// While nothing is found, every so many searches it is found out what is there instead.
const SURVEY_EVERY: u32 = 5;
/// Streams that can be markers: texts, what comes now and then, or a single line. Many numbers at a steady rate are
/// signals, whatever their name.
const CAN_BE_MARKERS: &str = "(channel_format='string' or nominal_srate=0 or channel_count=1)";
/// How long a text waits for room in the sink or at the recorder before it is dropped and counted. After one that found none
/// the next do not wait until there is room again: LSL's queue would run over meanwhile.
const ROOM_WITHIN: Duration = Duration::from_millis(100);

pub(super) struct Receiver {
    key: Arc<str>,
    selector: StreamSelector,
    predicate: String,
    /// The selector's own predicate, which signals may fit as well.
    own: String,
    monitor: Arc<StreamMonitor>,
    companion: Companion,
    stop: Arc<AtomicBool>,
    sink: Option<Sender<Marker>>,
    recorded: Option<Sender<TextSample>>,
    at_once: Option<AtOnce>,
    unrecorded: Arc<AtomicU64>,
    /// Whether the newest text found no room there.
    sink_is_full: bool,
    recorder_is_full: bool,
    was_connected: bool,
    /// In a row.
    empty_searches: u32,
}

/// The stream that is meant as markers among those that fit: texts before numbers, what comes now and then before a steady
/// line; an error where two are alike in that.
fn chosen(found: &[StreamInfo]) -> Result<&StreamInfo, &[StreamInfo]> {
    let rank = |info: &&StreamInfo| match number_format(info.channel_format()) {
        None => 0,
        Some(_) if info.nominal_srate() > 0.0 => 2,
        Some(_) => 1,
    };
    let best = found.iter().map(|info| rank(&info)).min();
    let mut alike = found.iter().filter(|info| Some(rank(info)) == best);
    match (alike.next(), alike.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(found),
    }
}

impl Receiver {
    pub(super) fn new(
        config: MarkerConfig,
        sink: Option<Sender<Marker>>,
        monitor: Arc<StreamMonitor>,
        unrecorded: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, SpawnError> {
        let own = checked_predicate(&config.selector)?;
        let predicate = format!("{CAN_BE_MARKERS} and ({own})");
        Ok(Self {
            companion: Companion::spawn(&config.key, predicate.clone(), Arc::clone(&monitor))?,
            key: Arc::from(config.key),
            selector: config.selector,
            predicate,
            own,
            monitor,
            stop,
            sink,
            recorded: config.recorded,
            at_once: config.at_once,
            unrecorded,
            sink_is_full: false,
            recorder_is_full: false,
            was_connected: false,
            empty_searches: 0,
        })
    }

    pub(super) fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let found = match search(&self.predicate, SEARCH) {
                Ok(found) => found,
                Err(error) => {
                    self.searching(Some(error.to_string()));
                    std::thread::park_timeout(Duration::from_secs_f64(SEARCH));
                    continue;
                }
            };
            if found.is_empty() {
                self.found_nothing();
                continue;
            }
            self.empty_searches = 0;
            match chosen(&found) {
                Ok(info) => {
                    if let Some((inlet, description)) = open(info) {
                        let others = found.iter().map(StreamInfo::uid).filter(|uid| *uid != description.uid);
                        self.companion.follow(info, others.collect());
                        let goes_on = self.receive_any(&inlet, description);
                        self.companion.forget();
                        if !goes_on {
                            return;
                        }
                    }
                    self.searching(None);
                }
                Err(found) => {
                    let found: Vec<_> = found.iter().map(short_description).collect();
                    let (count, selector) = (Streams(found.len()), &self.selector);
                    self.searching(Some(format!(
                        "{count} match {selector}: {}; {}",
                        List(&found),
                        way_out(&found)
                    )));
                }
            }
        }
    }

    /// Shows that nothing fits; now and then also what is there instead.
    fn found_nothing(&mut self) {
        self.empty_searches += 1;
        // what is shown already says more than that the search goes on
        if self.empty_searches % SURVEY_EVERY != 1 {
            return;
        }
        match self.instead() {
            Ok(detail) => {
                if self.empty_searches == 1 && !self.was_connected {
                    tracing::warn!(stream = %self.key, detail, "no stream to read markers from yet");
                }
                self.searching(Some(detail));
            }
            Err(error) => self.searching(Some(error.to_string())),
        }
    }

    /// Why nothing fits, in words.
    fn instead(&self) -> Result<String, ResolveError> {
        let infos = visible_infos(SEARCH)?;
        let signals: Vec<_> =
            infos.iter().filter(|info| info.matches_query(&self.own)).map(short_description).collect();
        let selector = &self.selector;
        if let Some(signals) = signals.first() {
            return Ok(format!(
                "searching for {selector}; {} fits, but many numbers at a steady rate are signals and no markers: name the                  stream that the markers are in",
                Name(signals)
            ));
        }
        let can_be_meant = |info: &&StreamInfo| !selector.excludes(info);
        let seen: Vec<_> = infos.iter().filter(can_be_meant).map(short_description).collect();
        Ok(format!("searching for {selector}; {}", Instead { selector, seen: &seen }))
    }

    fn searching(&self, detail: Option<String>) {
        let health = if self.was_connected { StreamHealth::Lost } else { StreamHealth::Waiting };
        let detail = detail.unwrap_or_else(|| match health {
            StreamHealth::Lost => format!("the outlet is gone; searching for {}", self.selector),
            _ => format!("searching for {}", self.selector),
        });
        let before = self.monitor.health();
        if before != health {
            tracing::info!(stream = %self.key, %before, now = %health, detail, "stream state");
        }
        self.monitor.set_health(health, Some(detail));
    }

    /// Passes markers on until the stream ends (`true`) or the inlet is to end (`false`).
    fn receive_any(&mut self, inlet: &StreamInlet, description: StreamDescription) -> bool {
        if inlet.open_stream(OPEN).is_err() {
            return true;
        }
        let channels = description.channels;
        match description.format {
            None => self.receive(inlet, description, Texts::default()),
            Some(NumberFormat::Float32) => self.receive(inlet, description, Numbers::<f32>::new(channels)),
            Some(NumberFormat::Double64) => self.receive(inlet, description, Numbers::<f64>::new(channels)),
            Some(NumberFormat::Int8) => self.receive(inlet, description, Numbers::<i8>::new(channels)),
            Some(NumberFormat::Int16) => self.receive(inlet, description, Numbers::<i16>::new(channels)),
            Some(NumberFormat::Int32) => self.receive(inlet, description, Numbers::<i32>::new(channels)),
            Some(NumberFormat::Int64) => self.receive(inlet, description, Numbers::<i64>::new(channels)),
        }
    }

    fn receive<R: Row>(&mut self, inlet: &StreamInlet, description: StreamDescription, mut row: R) -> bool {
        let here = this_host().is_some_and(|host| host == description.hostname);
        let format = description.format;
        let is_steady = format.is_some() && description.nominal_rate_hz > 0.0;
        let mut queue = QueueWatch::new(description.nominal_rate_hz, None);
        self.monitor.set_description(description);
        self.monitor.count_connection();
        self.was_connected = true;
        self.monitor.set_health(StreamHealth::Live, None);
        let mut previous: Option<Vec<String>> = None;
        let mut measured = None;
        let mut heard = clock::now();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            self.companion.watch().offset.refresh(&mut measured);
            if queue.overflowed(inlet.samples_available()) {
                self.monitor.count_overflow();
                tracing::error!(stream = %self.key, "{}", queue.sentence());
            }
            match row.pull(inlet, PATIENCE) {
                Ok(0.0) => {
                    if is_gone(self.companion.watch(), clock::now() - heard) {
                        return true;
                    }
                }
                Ok(stamp) => {
                    heard = clock::now();
                    // whoever has it, or sees what it did, finds it counted
                    self.monitor.count_received(1, 0, 0);
                    self.companion.watch().search_wanted.store(false, Ordering::Relaxed);
                    let time = time_of(StreamTime(stamp), heard, here, measured);
                    self.monitor.set_newest(time);
                    let texts = row.texts();
                    // what a steady line holds at first was there before, and may still be a stop
                    let is_first = previous.is_none();
                    let markers = if is_steady { changes(&texts, &mut previous) } else { texts.clone() };
                    if let Some(at_once) = &self.at_once {
                        let shown = if is_first { &texts } else { &markers };
                        shown.iter().filter(|text| !text.is_empty()).for_each(|text| (at_once.0)(text));
                    }
                    let numbers = format.and_then(|format| row.numbers(format));
                    self.record(TextSample { stamp: StreamTime(stamp), clock: measured, texts, numbers });
                    if !self.pass_on(markers, StreamTime(stamp), time, format.is_some()) {
                        return false;
                    }
                }
                Err(_gone) => return true,
            }
        }
    }

    fn record(&mut self, sample: TextSample) {
        let Some(recorded) = &self.recorded else { return };
        let sent = recorded.send_timeout(sample, room_within(self.recorder_is_full));
        self.recorder_is_full = sent.is_err();
        if self.recorder_is_full {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `false` when nobody listens any more.
    fn pass_on(&mut self, texts: Vec<String>, stamp: StreamTime, time: LslTime, is_number: bool) -> bool {
        let Some(sink) = &self.sink else { return true };
        let mut is_dropped = false;
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            let marker = Marker { time, stamp, text, is_number, stream: Arc::clone(&self.key) };
            match sink.send_timeout(marker, room_within(self.sink_is_full)) {
                Ok(()) => self.sink_is_full = false,
                Err(SendTimeoutError::Timeout(_)) => {
                    if !self.sink_is_full {
                        tracing::error!(stream = %self.key, "markers are dropped: they are not read fast enough");
                    }
                    self.sink_is_full = true;
                    is_dropped = true;
                }
                Err(SendTimeoutError::Disconnected(_)) => return false,
            }
        }
        self.monitor.count_dropped(u64::from(is_dropped));
        true
    }
}

/// How long a text waits for room.
fn room_within(was_full: bool) -> Duration {
    if was_full { Duration::ZERO } else { ROOM_WITHIN }
}

/// When a text was sent, on this machine's clock: by its stamp, where the clock of the machine that stamped it is known.
fn time_of(stamp: StreamTime, arrival: LslTime, here: bool, measured: Option<ClockOffset>) -> LslTime {
    match measured {
        Some(clock) => stamp.corrected(clock.offset),
        None if here => stamp.corrected(Seconds(0.0)),
        None => arrival,
    }
}

/// Whether an outlet that has been silent for so long is gone without having closed its connection: it answers no
/// search, or another one stands in for it. One that answers is kept, whatever else matches: to leave it would lose
/// texts. Asks the companion for a search where none is under way.
fn is_gone(watch: &Watch, silent_for: Seconds) -> bool {
    if silent_for.0 < SEARCH_AFTER.0 {
        return false;
    }
    if !watch.search_wanted.swap(true, Ordering::Relaxed) {
        // what searches of an earlier silence found is of no interest
        watch.forget_findings();
        return false;
    }
    let replaced = watch.take_replacement();
    watch.is_unanswered() || (replaced && !watch.is_answering())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_preferred_to_numbers_and_two_of_a_kind_are_too_many() {
        use lsl::ChannelFormat::{Float32, Int32, String};
        let info = |format, rate| StreamInfo::new("Task", "Markers", 1, rate, format, "task").unwrap();
        let (text, rare, line) = (info(String, 0.0), info(Int32, 0.0), info(Float32, 500.0));
        let format = |found: &[StreamInfo]| chosen(found).map(StreamInfo::channel_format).ok();
        assert_eq!(format(&[line.clone(), rare.clone(), text]), Some(String));
        assert_eq!(format(&[line, rare.clone()]), Some(Int32));
        assert_eq!(format(&[rare.clone(), rare]), None);
    }

    #[test]
    fn a_text_of_an_unmeasured_clock_happened_when_it_came() {
        let (stamp, arrival) = (StreamTime(5000.0), LslTime(12.0));
        assert_eq!(time_of(stamp, arrival, false, None), arrival);
        let measured = Some(ClockOffset { offset: Seconds(-4990.0), uncertainty: Seconds(0.001) });
        assert_eq!(time_of(stamp, arrival, false, measured), LslTime(10.0));
        assert_eq!(time_of(StreamTime(11.5), arrival, true, None), LslTime(11.5), "one machine, one clock");
    }

    /// Whether an outlet is given up after a silence in which the companion found this.
    fn given_up(answering: bool, replaced: bool, unanswered: bool) -> bool {
        let watch = Watch::default();
        assert!(!is_gone(&watch, Seconds(60.0)), "nothing is known before the first search");
        assert!(watch.search_wanted.load(Ordering::Relaxed));
        watch.found(0, answering, unanswered, replaced);
        is_gone(&watch, Seconds(61.0))
    }

    #[test]
    fn an_outlet_that_answers_is_kept_and_a_dead_one_left() {
        assert!(!given_up(true, false, false), "it is there");
        assert!(!given_up(true, true, false), "it is there, and so is another one");
        assert!(!given_up(false, false, false), "one search may go astray");
        assert!(given_up(false, true, false), "another one stands in for it");
        assert!(given_up(false, false, true), "it does not answer");
    }

    #[test]
    fn a_short_silence_says_nothing_and_an_earlier_one_does_not_count() {
        let watch = Watch::default();
        watch.found(0, false, true, false);
        assert!(!is_gone(&watch, Seconds(2.9)));
        assert!(!watch.search_wanted.load(Ordering::Relaxed));
        assert!(!is_gone(&watch, Seconds(3.1)));
        assert!(!is_gone(&watch, Seconds(3.2)), "what the earlier silence's searches found is forgotten");
    }
}
