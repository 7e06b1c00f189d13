//! String streams: one thread per stream, texts out through a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError};
use kalmind_types::{LslTime, Seconds, StreamDescription, StreamHealth, StreamTime};
use lsl::Pullable;

use crate::clock::Deadline;
use crate::companion::Companion;
use crate::inlet::SpawnError;
use crate::monitor::StreamMonitor;
use crate::resolve::{checked_predicate, open, phrase, search, short_description, this_host};
use crate::selector::StreamSelector;

const PATIENCE: f64 = 0.05;
/// Long enough for outlets that LSL's own settings ask only after half a second; an answer ends it at once.
const SEARCH: f64 = 0.8;
const OPEN: f64 = 2.0;
/// How long the clock of another machine may take to be measured before its markers are passed on as they are.
const MEASURE: Seconds = Seconds(3.0);

/// One text of a marker stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Its stamp, on this machine's LSL clock.
    pub time: LslTime,
    /// The text. A stream of several channels gives one marker for each channel that is not empty.
    pub text: String,
    /// The name by which the configuration knows the stream.
    pub stream: Arc<str>,
}

/// Which marker stream to receive.
#[derive(Clone, Debug)]
pub struct MarkerConfig {
    /// The name by which the configuration knows the stream.
    pub key: String,
    /// What it is searched by.
    pub selector: StreamSelector,
}

/// A running marker inlet. Dropping it ends its threads.
#[derive(Debug)]
pub struct MarkerInlet {
    /// What is known of the stream. `dropped` counts texts that the sink had no room for.
    pub status: Arc<StreamMonitor>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MarkerInlet {
    /// Starts receiving. The stream may appear at any time and come back after it was gone; silence is no fault of it.
    /// Returns at once. Ends by itself when the other end of `sink` is dropped.
    ///
    /// # Errors
    /// [`SpawnError::Selector`] and [`SpawnError::Thread`].
    pub fn spawn(config: MarkerConfig, sink: Sender<Marker>) -> Result<Self, SpawnError> {
        // numbers under the same name are another stream
        let predicate = format!("channel_format='string' and ({})", checked_predicate(&config.selector)?);
        let status = Arc::new(StreamMonitor::new(config.key.clone()));
        let companion = Companion::spawn(&config.key, predicate.clone(), Arc::clone(&status))?;
        let stop = Arc::new(AtomicBool::new(false));
        let receiver = Receiver {
            key: Arc::from(config.key.as_str()),
            selector: config.selector,
            predicate,
            monitor: Arc::clone(&status),
            companion,
            stop: Arc::clone(&stop),
            sink,
            was_connected: false,
        };
        let thread = std::thread::Builder::new()
            .name(format!("lsl {}", receiver.key))
            .spawn(move || receiver.run())?;
        Ok(Self { status, stop, thread: Some(thread) })
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
    sink: Sender<Marker>,
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
                    std::thread::park_timeout(core::time::Duration::from_secs_f64(SEARCH));
                }
            }
        }
    }

    fn searching(&self, detail: Option<String>) {
        let health = if self.was_connected { StreamHealth::Lost } else { StreamHealth::Waiting };
        let detail = detail.unwrap_or_else(|| format!("searching for {}", self.selector));
        self.monitor.set_health(health, Some(detail));
    }

    /// Passes texts on until the stream ends (`true`) or the inlet is to end (`false`).
    fn receive(&mut self, inlet: &lsl::StreamInlet, description: StreamDescription) -> bool {
        if inlet.open_stream(OPEN).is_err() {
            return true;
        }
        let here = this_host().is_some_and(|host| host == description.hostname);
        self.monitor.set_description(description);
        self.monitor.count_connection();
        self.was_connected = true;
        self.monitor.set_health(StreamHealth::Live, None);
        let mut texts = Vec::<String>::new();
        let mut measured = None;
        let unmeasured_until = Deadline::after(if here { Seconds(0.0) } else { MEASURE });
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            self.companion.watch().offset.refresh(&mut measured);
            if measured.is_none() && !unmeasured_until.passed() {
                // LSL keeps the texts meanwhile
                std::thread::park_timeout(core::time::Duration::from_secs_f64(PATIENCE));
                continue;
            }
            match inlet.pull_sample_buf(&mut texts, PATIENCE) {
                Ok(0.0) => {}
                Ok(stamp) => {
                    let time = StreamTime(stamp).corrected(measured.unwrap_or_default().offset);
                    self.monitor.set_newest(time);
                    if !self.pass_on(&mut texts, time) {
                        return false;
                    }
                }
                Err(_gone) => return true,
            }
        }
    }

    /// `false` when nobody listens any more.
    fn pass_on(&self, texts: &mut [String], time: LslTime) -> bool {
        let mut dropped = 0;
        for text in texts.iter_mut().map(core::mem::take).filter(|text| !text.is_empty()) {
            match self.sink.try_send(Marker { time, text, stream: Arc::clone(&self.key) }) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => dropped = 1,
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        self.monitor.count_received(1, dropped, 0);
        true
    }
}
