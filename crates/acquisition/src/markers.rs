//! String streams: one thread per stream, texts out through a channel.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{SendTimeoutError, Sender};
use kalmind_types::{ClockOffset, LslTime, Seconds, StreamDescription, StreamHealth, StreamTime};
use lsl::Pullable;

use crate::clock;
use crate::companion::{Companion, Watch};
use crate::inlet::SpawnError;
use crate::monitor::StreamMonitor;
use crate::queue::QueueWatch;
use crate::resolve::{checked_predicate, open, phrase, search, short_description, this_host};
use crate::selector::StreamSelector;

const PATIENCE: f64 = 0.05;
/// Long enough for outlets that LSL's own settings ask only after half a second; an answer ends it at once.
const SEARCH: f64 = 0.8;
const OPEN: f64 = 2.0;
/// Texts are rare, so silence is no fault; but a machine that died says nothing either. After so long without a text the
/// outlet is asked whether it is still there.
const SEARCH_AFTER: Seconds = Seconds(3.0);
/// How long a text waits for room in the sink or at the recorder before it is dropped and counted. After one that found none
/// the next do not wait until there is room again: LSL's queue would run over meanwhile.
const ROOM_WITHIN: Duration = Duration::from_millis(100);

/// One text of a marker stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Its stamp, on this machine's LSL clock; the time of its arrival as long as the clock of the machine that sent it
    /// has not been measured.
    pub time: LslTime,
    /// The text. A stream of several channels gives one marker for each channel that is not empty.
    pub text: String,
    /// The name by which the configuration knows the stream.
    pub stream: Arc<str>,
}

/// One sample of a string stream as it was received, for a recorder.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample {
    /// Its raw stamp.
    pub stamp: StreamTime,
    /// The measured offset of the sender's clock; none where it has not been measured.
    pub clock: Option<ClockOffset>,
    /// One text a channel.
    pub texts: Vec<String>,
}

/// Which marker stream to receive.
#[derive(Clone, Debug)]
pub struct MarkerConfig {
    /// The name by which the configuration knows the stream.
    pub key: String,
    /// What it is searched by.
    pub selector: StreamSelector,
    /// Where set, every sample also goes there as it was received; where that has no room within 100 ms it is dropped, and
    /// [`MarkerInlet::unrecorded`] counts it.
    pub recorded: Option<Sender<TextSample>>,
    /// Shown every text as soon as it is received, before it waits in any queue: for what must not wait, like a stop.
    pub at_once: Option<AtOnce>,
}

/// Something that is shown every text at once, on the inlet's thread. Must not block.
#[derive(Clone)]
pub struct AtOnce(pub Arc<dyn Fn(&str) + Send + Sync>);

impl core::fmt::Debug for AtOnce {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("AtOnce")
    }
}

/// A running marker inlet. Dropping it ends its threads.
#[derive(Debug)]
pub struct MarkerInlet {
    /// What is known of the stream. `dropped` counts samples with a text that the sink had no room for within 100 ms.
    pub status: Arc<StreamMonitor>,
    /// Samples that the recorder had no room for.
    pub unrecorded: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MarkerInlet {
    /// Starts receiving. The stream may appear at any time and come back after it was gone; silence is no fault of it.
    /// Returns at once. Ends by itself when the other end of `sink` is dropped; without a sink texts are recorded only.
    ///
    /// # Errors
    /// [`SpawnError::Selector`] and [`SpawnError::Thread`].
    pub fn spawn(config: MarkerConfig, sink: impl Into<Option<Sender<Marker>>>) -> Result<Self, SpawnError> {
        // numbers under the same name are another stream
        let predicate = format!("channel_format='string' and ({})", checked_predicate(&config.selector)?);
        let status = Arc::new(StreamMonitor::new(config.key.clone()));
        let companion = Companion::spawn(&config.key, predicate.clone(), Arc::clone(&status))?;
        let stop = Arc::new(AtomicBool::new(false));
        let unrecorded = Arc::new(AtomicU64::new(0));
        let receiver = Receiver {
            key: Arc::from(config.key.as_str()),
            selector: config.selector,
            predicate,
            monitor: Arc::clone(&status),
            companion,
            stop: Arc::clone(&stop),
            sink: sink.into(),
            recorded: config.recorded,
            at_once: config.at_once,
            unrecorded: Arc::clone(&unrecorded),
            sink_is_full: false,
            recorder_is_full: false,
            was_connected: false,
        };
        let thread = std::thread::Builder::new()
            .name(format!("lsl {}", receiver.key))
            .spawn(move || receiver.run())?;
        Ok(Self { status, unrecorded, stop, thread: Some(thread) })
    }
}

impl Drop for MarkerInlet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a marker thread panicked");
        }
    }
}

struct Receiver {
    key: Arc<str>,
    selector: StreamSelector,
    predicate: String,
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
}

impl Receiver {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            match search(&self.predicate, SEARCH) {
                Ok(found) if found.len() == 1 => {
                    if let Some((inlet, description)) = open(&found[0]) {
                        self.companion.follow(&found[0], Vec::new());
                        let goes_on = self.receive(&inlet, description);
                        self.companion.forget();
                        if !goes_on {
                            return;
                        }
                    }
                    self.searching(None);
                }
                Ok(found) if found.is_empty() => self.searching(None),
                Ok(found) => {
                    let names: Vec<_> = found.iter().map(|info| phrase(&short_description(info))).collect();
                    self.searching(Some(format!(
                        "{} streams match {}: {}; make the selector narrower",
                        names.len(),
                        self.selector,
                        names.join(", ")
                    )));
                }
                Err(error) => {
                    self.searching(Some(error.to_string()));
                    std::thread::park_timeout(Duration::from_secs_f64(SEARCH));
                }
            }
        }
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

    /// Passes texts on until the stream ends (`true`) or the inlet is to end (`false`).
    fn receive(&mut self, inlet: &lsl::StreamInlet, description: StreamDescription) -> bool {
        if inlet.open_stream(OPEN).is_err() {
            return true;
        }
        let here = this_host().is_some_and(|host| host == description.hostname);
        let mut queue = QueueWatch::new(description.nominal_rate_hz, None);
        self.monitor.set_description(description);
        self.monitor.count_connection();
        self.was_connected = true;
        self.monitor.set_health(StreamHealth::Live, None);
        let mut texts = Vec::<String>::new();
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
            match inlet.pull_sample_buf(&mut texts, PATIENCE) {
                Ok(0.0) => {
                    if is_gone(self.companion.watch(), clock::now() - heard) {
                        return true;
                    }
                }
                Ok(stamp) => {
                    heard = clock::now();
                    self.companion.watch().search_wanted.store(false, Ordering::Relaxed);
                    let time = time_of(StreamTime(stamp), heard, here, measured);
                    self.monitor.set_newest(time);
                    if let Some(at_once) = &self.at_once {
                        texts.iter().filter(|text| !text.is_empty()).for_each(|text| (at_once.0)(text));
                    }
                    self.record(StreamTime(stamp), measured, &texts);
                    if !self.pass_on(&mut texts, time) {
                        return false;
                    }
                }
                Err(_gone) => return true,
            }
        }
    }

    fn record(&mut self, stamp: StreamTime, clock: Option<ClockOffset>, texts: &[String]) {
        let Some(recorded) = &self.recorded else { return };
        let sample = TextSample { stamp, clock, texts: texts.to_vec() };
        let sent = recorded.send_timeout(sample, room_within(self.recorder_is_full));
        self.recorder_is_full = sent.is_err();
        if self.recorder_is_full {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `false` when nobody listens any more.
    fn pass_on(&mut self, texts: &mut [String], time: LslTime) -> bool {
        let mut dropped = 0;
        let Some(sink) = &self.sink else {
            self.monitor.count_received(1, 0, 0);
            return true;
        };
        for text in texts.iter_mut().map(core::mem::take).filter(|text| !text.is_empty()) {
            let marker = Marker { time, text, stream: Arc::clone(&self.key) };
            match sink.send_timeout(marker, room_within(self.sink_is_full)) {
                Ok(()) => self.sink_is_full = false,
                Err(SendTimeoutError::Timeout(_)) => {
                    if !self.sink_is_full {
                        tracing::error!(stream = %self.key, "markers are dropped: whoever reads them is too slow");
                    }
                    self.sink_is_full = true;
                    dropped = 1;
                }
                Err(SendTimeoutError::Disconnected(_)) => return false,
            }
        }
        self.monitor.count_received(1, dropped, 0);
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
        watch.unanswered.store(false, Ordering::Relaxed);
        watch.replacement_seen.store(false, Ordering::Relaxed);
        return false;
    }
    let replaced = watch.replacement_seen.swap(false, Ordering::Acquire);
    watch.unanswered.load(Ordering::Relaxed) || (replaced && !watch.answering.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        watch.answering.store(answering, Ordering::Relaxed);
        watch.replacement_seen.store(replaced, Ordering::Relaxed);
        watch.unanswered.store(unanswered, Ordering::Relaxed);
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
        watch.unanswered.store(true, Ordering::Relaxed);
        assert!(!is_gone(&watch, Seconds(2.9)));
        assert!(!watch.search_wanted.load(Ordering::Relaxed));
        assert!(!is_gone(&watch, Seconds(3.1)));
        assert!(!is_gone(&watch, Seconds(3.2)), "what the earlier silence's searches found is forgotten");
    }
}
