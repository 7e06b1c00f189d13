//! The LSL publisher: the thread that owns the outlets and pushes every tick and event.

use core::time::Duration;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle, Thread},
};

use crossbeam_channel::Receiver;
use kalmind_types::{LslTime, Position, Publication, RenderedEvent, Seconds, TickPublication};
use lsl::{ChannelFormat, ExPushable as _, IRREGULAR_RATE, StreamInfo, StreamOutlet};

use crate::{
    Clock, CursorLayout, CursorOutletConfig, Ledger, LedgerWriter, LslError, PublicationSource,
    cursor_heartbeat::CursorHeartbeats,
    outlet::{CursorOutlet, describe_session},
};

/// How long an event may wait when nobody unparks the thread for it.
const LONGEST_PARK: Duration = Duration::from_millis(20);
/// How many samples (in hundreds) the events outlet keeps for a reader that is slow.
const KEPT_EVENTS: i32 = 360;
/// How long the outlets stay after their last sample where somebody reads them: liblsl sends in threads of its own, and what
/// they have not sent ends with the outlet.
const LINGER: Seconds = Seconds(0.05);

/// The outlet with the events, as JSON strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsOutletConfig {
    /// Stream name.
    pub name: String,
    /// Content type.
    pub content_type: String,
    /// The identity by which readers find it again after a restart; must not be empty.
    pub source_id: String,
}

impl Default for EventsOutletConfig {
    fn default() -> Self {
        Self {
            name: String::from("Kalmind-Events"),
            content_type: String::from("Markers"),
            source_id: String::from("kalmind-events"),
        }
    }
}

/// What the publisher counts. Any thread may read.
#[derive(Debug, Default)]
struct Counts {
    ticks: AtomicU64,
    heartbeats: AtomicU64,
    missed: AtomicU64,
    events: AtomicU64,
    refused: AtomicU64,
}

/// What the publisher counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LslCounts {
    /// Ticks pushed.
    pub ticks: u64,
    /// Samples without a tick pushed: the cursor stands still.
    pub heartbeats: u64,
    /// Publications that the full queue refused.
    pub missed: u64,
    /// Events pushed.
    pub events: u64,
    /// Pushes that liblsl refused.
    pub refused: u64,
}

/// The thread that owns the LSL outlets. Dropping it stops the thread; the outlets end with it.
#[derive(Debug)]
pub struct LslPublisher {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    handle: Option<JoinHandle<()>>,
}

/// Makes the outlets and starts the thread that pushes every tick of `source` and every event of `events`.
///
/// The outlets exist when this returns, so readers can connect before the first tick. The thread parks while there is
/// nothing to do: unpark [`LslPublisher::thread`] after filling `source` or `events` (an event is noticed within 20 ms
/// even so). Each tick is one sample, stamped with the tick's time; pushing never waits for a reader. Latencies go into
/// `ledger`, whose only writer this thread is.
///
/// Without ticks, and at once when a state comes into force in which nothing moves, a sample says that the cursor stands
/// still, then one every 100 ms, and a last one before the outlets end: velocity 0, no intent, the state, `incomplete` 1,
/// stamped with the present time, `seq` that of the newest tick ([`NO_SEQ`](crate::NO_SEQ) before the first). Such a sample
/// is no tick: it is neither in the ledger nor in a recording by Kalmind.
///
/// `on_start` is run by the thread on itself before it makes the outlets: what it does to its own scheduling, the
/// threads that liblsl starts for the outlets inherit.
///
/// # Errors
/// See [`LslError`].
#[expect(
    clippy::too_many_arguments,
    reason = "the one call that wires the publisher; a struct would only rename them"
)]
pub fn spawn_lsl_publisher(
    outlets: Vec<CursorOutletConfig>,
    events_outlet: EventsOutletConfig,
    layout: CursorLayout,
    source: Box<dyn PublicationSource>,
    events: Receiver<RenderedEvent>,
    ledger: Arc<Ledger>,
    clock: Clock,
    on_start: Option<Box<dyn FnOnce() + Send>>,
) -> Result<LslPublisher, LslError> {
    let stop = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(Counts::default());
    // liblsl's objects stay in the thread that made them
    let (ready, made) = mpsc::sync_channel(1);
    let handle = thread::Builder::new().name(String::from("kalmind-lsl")).spawn({
        let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
        move || {
            if let Some(on_start) = on_start {
                on_start();
            }
            let outlets = match Outlets::new(&outlets, &events_outlet, &layout) {
                Ok(outlets) => outlets,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(())).is_ok() {
                let bin = Seconds::from_millis(layout.bin_ms);
                let centre = Position([0.5, layout.height / 2.0]);
                let heartbeats = CursorHeartbeats::new(bin, centre, clock.lsl());
                Pusher { outlets, source, events, counts: &counts, clock, heartbeats }.run(&ledger, &stop);
            }
        }
    })?;
    let publisher = LslPublisher { stop, counts, handle: Some(handle) };
    made.recv().map_err(|mpsc::RecvError| LslError::Ended)??;
    Ok(publisher)
}

impl LslPublisher {
    /// The thread to unpark when there is something to push. `None` only while it is being stopped.
    #[must_use]
    pub fn thread(&self) -> Option<&Thread> {
        self.handle.as_ref().map(JoinHandle::thread)
    }

    /// What it counted so far.
    #[must_use]
    pub fn counts(&self) -> LslCounts {
        LslCounts {
            ticks: self.counts.ticks.load(Ordering::Relaxed),
            heartbeats: self.counts.heartbeats.load(Ordering::Relaxed),
            missed: self.counts.missed.load(Ordering::Relaxed),
            events: self.counts.events.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        }
    }

    /// Pushes what waits, then ends the thread and the outlets. Gives the final counts.
    #[must_use]
    pub fn stop(mut self) -> LslCounts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(handle) = self.handle.take() {
            handle.thread().unpark();
            if handle.join().is_err() {
                tracing::error!("the LSL publisher's thread panicked");
            }
        }
    }
}

impl Drop for LslPublisher {
    fn drop(&mut self) {
        self.end();
    }
}

/// All outlets of a run.
struct Outlets {
    cursors: Vec<CursorOutlet>,
    events: StreamOutlet,
}

impl Outlets {
    fn new(
        cursors: &[CursorOutletConfig],
        events: &EventsOutletConfig,
        layout: &CursorLayout,
    ) -> Result<Self, LslError> {
        let cursors =
            cursors.iter().map(|config| CursorOutlet::new(config, layout)).collect::<Result<_, _>>()?;
        let created = |source| LslError::Create { outlet: events.name.clone(), source };
        let mut info = StreamInfo::new(
            &events.name,
            &events.content_type,
            1,
            IRREGULAR_RATE,
            ChannelFormat::String,
            &events.source_id,
        )
        .map_err(created)?;
        describe_session(&mut info, layout);
        let events = StreamOutlet::new(&info, 0, KEPT_EVENTS).map_err(created)?;
        Ok(Self { cursors, events })
    }
}

/// The thread's own state.
struct Pusher<'a> {
    outlets: Outlets,
    source: Box<dyn PublicationSource>,
    events: Receiver<RenderedEvent>,
    counts: &'a Counts,
    clock: Clock,
    heartbeats: CursorHeartbeats,
}

impl Pusher<'_> {
    fn run(mut self, ledger: &Ledger, stop: &AtomicBool) {
        let mut writer = LedgerWriter::new(ledger);
        loop {
            let last_round = stop.load(Ordering::Acquire);
            while let Some(publication) = self.source.next() {
                match publication {
                    Publication::Tick(tick) => {
                        self.push_tick(&tick);
                        let now = self.clock.lsl();
                        writer.record(&tick, now);
                        self.heartbeats.tick(&tick.output, now);
                    }
                    Publication::Heartbeat(heartbeat) => {
                        let now = self.clock.lsl();
                        if self.heartbeats.heartbeat(&heartbeat, now) {
                            self.push_heartbeat(now);
                        }
                    }
                }
            }
            while let Ok(event) = self.events.try_recv() {
                self.push_event(&event);
            }
            self.counts.missed.store(self.source.missed(), Ordering::Relaxed);
            let now = self.clock.lsl();
            if last_round || self.heartbeats.due(now) {
                self.push_heartbeat(now);
            }
            if last_round {
                return self.linger(now);
            }
            thread::park_timeout(self.heartbeats.wait(now).min(LONGEST_PARK));
        }
    }

    /// Lets liblsl send what was pushed last.
    fn linger(&self, since: LslTime) {
        let read =
            self.outlets.cursors.iter().any(CursorOutlet::is_read) || self.outlets.events.have_consumers();
        let mut left = LINGER.0;
        while read && left > 0.0 {
            thread::park_timeout(Duration::from_secs_f64(left));
            left = LINGER.0 - (self.clock.lsl() - since).0;
        }
    }

    fn push_heartbeat(&mut self, now: LslTime) {
        let heartbeat = self.heartbeats.take(now);
        for outlet in &mut self.outlets.cursors {
            if let Err(error) = outlet.push_heartbeat(&heartbeat) {
                note_refusal(self.counts, error);
            }
        }
        self.counts.heartbeats.fetch_add(1, Ordering::Relaxed);
    }

    fn push_tick(&mut self, tick: &TickPublication) {
        for outlet in &mut self.outlets.cursors {
            if let Err(error) = outlet.push(&tick.output, tick.age.as_millis()) {
                note_refusal(self.counts, error);
            }
        }
        self.counts.ticks.fetch_add(1, Ordering::Relaxed);
    }

    fn push_event(&self, RenderedEvent { event, text }: &RenderedEvent) {
        let text = vec![text.to_string()];
        // an event's own time, unless it is one that LSL reads as "now" or "deduced"
        let stamp = if event.time.0 > 0.0 { event.time.0 } else { self.clock.lsl().0 };
        if let Err(error) = self.outlets.events.push_sample_ex(&text, stamp, true) {
            note_refusal(self.counts, error);
        }
        self.counts.events.fetch_add(1, Ordering::Relaxed);
    }
}

fn note_refusal(counts: &Counts, error: lsl::Error) {
    if counts.refused.fetch_add(1, Ordering::Relaxed) == 0 {
        tracing::error!(%error, "liblsl refused a push; further refusals are counted only");
    }
}
