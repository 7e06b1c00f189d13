//! The loop of the tick thread: take samples in, close bins, step the engine, hand the result over, park.
//!
//! *Invariant:* after start nothing here allocates, locks, logs or does I/O; waiting is `park_timeout`, waking others is
//! a futex. A panic of the engine is caught and becomes `fault`.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arrayvec::ArrayVec;
use kalmind_acquisition::{
    StreamMonitor, clock,
    pool::PoolReader,
    ring::{Consumer, Producer},
};
use kalmind_engine::{Binner, Engine, MAX_PENDING_WINDOWS, StagedModel};
use kalmind_types::{
    Cause, Command, EventMarker, EventWindow, Heartbeat, LslTime, MAX_STREAMS, Publication, SampleBlock,
    Seconds, StageTimes, TickPublication,
};

use super::{
    EngineView, Lane, RecordLane, StopLatch, TickCounts,
    round::{COMMANDS_PER_TICK, QueuedCommand, Round},
};

/// A heartbeat goes out when nothing else did for so long.
const HEARTBEAT: Seconds = Seconds(0.1);
/// The longest park: how often the thread looks at the clock when nothing wakes it.
const LONGEST_PARK: Seconds = Seconds(0.02);
/// The tick thread was silent for so long that clients were told of a fault; then it is one.
const SILENT: Seconds = Seconds(1.0);

/// One input stream, as the tick thread sees it.
#[derive(Debug)]
pub struct StreamInput {
    /// Its blocks.
    pub blocks: PoolReader<SampleBlock>,
    /// Where its counters are kept.
    pub monitor: Arc<StreamMonitor>,
}

/// The queues between the tick thread and the slow side.
#[derive(Debug)]
pub struct TickQueues {
    /// Commands from the desk.
    pub commands: Consumer<QueuedCommand>,
    /// Models built by the desk, each followed by the command that swaps it in.
    pub models: Consumer<Box<StagedModel>>,
    /// Models out of use, to be freed by the desk.
    pub retired: Producer<Box<StagedModel>>,
    /// Markers that windows are cut at, where any are.
    pub markers: Option<Consumer<EventMarker>>,
    /// Whole ticks, for the desk and for a recorder.
    pub records: ArrayVec<RecordLane, 2>,
    /// To the publishers.
    pub lanes: ArrayVec<Lane, 4>,
}

/// Everything the tick thread owns.
#[derive(Debug)]
pub struct TickThread {
    /// The pure step.
    pub engine: Engine,
    /// Samples into bins.
    pub binner: Binner,
    /// The streams, in the binner's order.
    pub streams: ArrayVec<StreamInput, MAX_STREAMS>,
    /// Queues to and from the slow side.
    pub queues: TickQueues,
    /// STOP.
    pub stop: Arc<StopLatch>,
    /// Counters.
    pub counts: Arc<TickCounts>,
    /// Width of a bin: a tick that starts later than this is a late one.
    pub width: Seconds,
    /// Set to end the thread.
    pub end: Arc<AtomicBool>,
}

impl TickThread {
    /// Runs until [`TickThread::end`] is set; gives the windows at events that wait for a tick then, as missing. The caller has
    /// attached the thread to the wakers of the streams.
    pub fn run(mut self) -> ArrayVec<EventWindow, MAX_PENDING_WINDOWS> {
        let mut round = Round::new(clock::now(), self.engine.states().shown());
        while !self.end.load(Ordering::Acquire) {
            if catch_unwind(AssertUnwindSafe(|| self.round(&mut round))).is_err() {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                // enters through the next tick's input like everything else
                round.notice(Command::Fault(Cause::Panicked));
            }
            std::thread::park_timeout(self.park_time(&round, clock::now()));
        }
        self.take_markers();
        let unread = self.binner.end_windows();
        self.counts.windows.count_missing(unread.iter().filter_map(|window| window.missing));
        unread
    }

    /// Everything that there is to do now.
    fn round(&mut self, round: &mut Round) {
        let mut now = clock::now();
        if (now - round.awake).0 > SILENT.0 {
            round.notice(Command::Fault(Cause::TickSilent));
        }
        round.awake = now;
        self.take_in(round);
        self.note_silence(round, now);
        while self.binner.close_next(now, &round.pending, &mut round.input) {
            round.pending.clear();
            self.tick(round, now);
            self.give_back_blocks();
            self.take_in(round);
            now = clock::now();
            round.awake = now;
        }
        self.give_back_blocks();
        self.note_counts(round);
        self.show_signs_of_life(round, now);
    }

    fn give_back_blocks(&mut self) {
        let TickThread { binner, streams, .. } = self;
        binner.release(|index, block| {
            if let Some(stream) = streams.get_mut(index) {
                stream.blocks.give_back(block);
            }
        });
    }

    /// A silence that is too long to end by itself goes into the input of the tick that ends it: stamps may not show it.
    fn note_silence(&self, round: &mut Round, now: LslTime) {
        let limit = self.engine.stale_after().0.max(round.silence.0) + self.engine.auto_resume().0;
        let long = round.last_heard.is_some_and(|last| (now - last).0 > limit);
        if long && !round.silence_noted {
            round.silence_noted = round.pending.try_push(Command::InputWasSilent).is_ok();
        }
    }

    /// Blocks, commands, models and stops that wait.
    fn take_in(&mut self, round: &mut Round) {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            while let Some(block) = stream.blocks.receive() {
                self.binner.accept(index, block);
            }
            self.binner.set_health(index, stream.monitor.health());
        }
        self.take_markers();
        while round.pending.len() < COMMANDS_PER_TICK {
            let Some(queued) = self.queues.commands.pop() else { break };
            if let Command::Arrival { max_wait, silence, .. } = queued.command {
                // on the local clock, so from now on; the tick that records it follows
                self.binner.set_max_wait(max_wait);
                round.silence = silence;
            }
            round.pend(queued, self.stop.stops());
        }
        // behind the commands that came before it: an older request to go on does not clear it
        for _failed in self.streams.iter().filter(|stream| stream.monitor.take_fault()) {
            round.notice(Command::Fault(Cause::Panicked));
        }
        if let Some(by) = self.stop.take() {
            round.stop(by);
        }
        while let Some(model) = self.queues.models.pop() {
            let unused = match self.engine.stage(model) {
                Ok(displaced) => displaced,
                Err((_, refused)) => {
                    self.counts.models_refused.fetch_add(1, Ordering::Relaxed);
                    Some(refused)
                }
            };
            self.retire(unused);
        }
    }

    fn take_markers(&mut self) {
        while let Some(marker) = self.queues.markers.as_mut().and_then(Consumer::pop) {
            let refused = !self.binner.mark(marker, clock::now());
            self.counts.windows.refused.fetch_add(u64::from(refused), Ordering::Relaxed);
        }
    }

    fn tick(&mut self, round: &mut Round, closed: LslTime) {
        let TickThread { engine, binner, .. } = self;
        let input = &round.input;
        let stepped = catch_unwind(AssertUnwindSafe(|| engine.step(input, binner)));
        let panicked = stepped.is_err();
        let output = match stepped {
            Ok(output) => output,
            Err(_panic) => {
                self.counts.panics.fetch_add(1, Ordering::Relaxed);
                self.engine.fault(input, Cause::Panicked)
            }
        };
        let decoded = clock::now();
        let ready = self.binner.ready();
        let late = (closed - ready).0 > self.width.0;
        let times = StageTimes { received: ready, closed, decoded };
        let age = decoded - output.newest.unwrap_or(output.time);
        let published = TickPublication { output, times, age, late };
        let changes = (output.state, output.reason) != round.shown;
        self.counts.note_causes(&self.engine, changes);
        for lane in &mut self.queues.lanes {
            lane.publish(Publication::Tick(published));
        }
        for lane in &mut self.queues.records {
            lane.record(input, published, panicked, &EngineView::of(&self.engine));
        }
        self.counts.states_turned.fetch_add(u64::from(self.engine.bin_facts().turned), Ordering::Relaxed);
        self.counts.windows.count(self.engine.windows());
        self.counts.count(&output, round.input.closed_by, late);
        self.counts.checks.store(self.engine.plausibility_checks().len() as u64, Ordering::Relaxed);
        if !output.incomplete || self.engine.settling().is_some() {
            round.last_heard = Some(decoded);
            round.silence_noted = false;
            round.silence_shown = false;
        }
        round.last_sent = decoded;
        round.last_seq = Some(output.seq);
        round.shown = (output.state, output.reason);

        while let Some(model) = self.engine.take_retired() {
            self.counts.models_late.fetch_add(u64::from(model.turned_away()), Ordering::Relaxed);
            self.retire(Some(model));
        }
    }

    fn note_counts(&self, round: &mut Round) {
        for (index, (stream, told)) in self.streams.iter().zip(&mut round.told).enumerate() {
            let counts = self.binner.counts(index);
            if counts.late > told.late {
                stream.monitor.count_late(counts.late.saturating_sub(told.late));
            }
            if counts.dropped > told.dropped {
                stream.monitor.count_dropped(counts.dropped.saturating_sub(told.dropped));
            }
            *told = counts;
        }
    }

    /// Frees nothing here: the desk does. Where its queue is full the box waits in no place but this, so it is leaked
    /// rather than freed on the tick; that takes more swaps than the queue holds without the desk running once.
    fn retire(&mut self, model: Option<Box<StagedModel>>) {
        if let Some(model) = model
            && let Err(full) = self.queues.retired.push(model)
        {
            let _leaked: &'static mut StagedModel = Box::leak(full.0);
        }
    }

    /// How long there may be no complete bin on the local clock before clients are shown `stale`.
    fn silence_limit(&self, round: &Round) -> f64 {
        self.engine.stale_after().0.max(round.silence.0) + self.width.0
    }

    /// Without ticks: the state as pending commands and silence would make it, at once when it changes.
    fn show_signs_of_life(&mut self, round: &mut Round, now: LslTime) {
        if round.last_heard.is_some_and(|last| (now - last).0 > self.silence_limit(round))
            && !round.silence_shown
        {
            // what clients are shown now enters the next tick, which would else know of it by its stamps only
            round.silence_shown = round.pending.try_push(Command::InputNotFresh).is_ok();
        }
        let states = self.engine.preview(&round.pending);
        let shown = states.shown();
        if shown == round.shown && (now - round.last_sent).0 < HEARTBEAT.0 {
            return;
        }
        self.counts.note_causes(&self.engine, shown != round.shown);
        round.shown = shown;
        round.last_sent = now;
        let heartbeat = Heartbeat {
            time: now,
            state: shown.0,
            reason: shown.1,
            last_seq: round.last_seq,
            position: self.engine.position(),
        };
        for lane in &mut self.queues.lanes {
            lane.publish(Publication::Heartbeat(heartbeat));
        }
    }

    fn park_time(&self, round: &Round, now: LslTime) -> Duration {
        let until_deadline =
            self.binner.next_deadline().map_or(LONGEST_PARK.0, |deadline| (deadline - now).0);
        // a little past it, so that the wake-up finds it passed
        let until_silent = round
            .last_heard
            .filter(|_| !round.silence_shown)
            .map_or(LONGEST_PARK.0, |last| self.silence_limit(round) + 0.000_5 - (now - last).0);
        Duration::from_secs_f64(until_deadline.min(until_silent.max(0.000_5)).clamp(0.0, LONGEST_PARK.0))
    }
}
