//! The hub: the newest state, and every message to every client, serialised once.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use kalmind_types::{
    Component, Event, EventKind, Heartbeat, LslTime, OutputState, Position, Publication, Reason,
    RenderedEvent, StateChange, TickPublication,
};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    Clock,
    messages::{HeartbeatMessage, State, Workspace, to_json},
    state_times::StateTimes,
};

/// Messages that a client may fall behind before it is sent the newest instead.
const QUEUE: usize = 256;

/// What stays the same for a whole session and is told to every client in `hello`.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The session's UUID.
    pub session: String,
    /// Start of the run, in Unix seconds.
    pub run: u64,
    /// Instance name.
    pub instance: String,
    /// Participant code; never a name.
    pub participant: String,
    /// Kalmind's version.
    pub version: String,
    /// Bin width in milliseconds.
    pub bin_ms: f64,
    /// Components of the intent.
    pub components: Vec<Component>,
    /// Sides of the workspace.
    pub workspace: Workspace,
}

/// The newest state and every message to every client, serialised once and broadcast.
///
/// Any thread but the tick thread may use it (it takes a lock for the length of a copy); cloning gives another handle
/// to the same hub. A subscriber that is more than 256 messages behind loses the oldest and is told how many. The message
/// by which the cursor is halted passes every state before it.
#[derive(Clone, Debug)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    info: SessionInfo,
    clock: Clock,
    sender: broadcast::Sender<Outgoing>,
    newest: Mutex<Newest>,
    /// Number of the newest message by which the cursor was halted.
    halted: AtomicU64,
}

/// A serialised message and what a client's session needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) kind: Kind,
    /// Rises from message to message.
    pub(crate) number: u64,
    /// When it was handed to the clients.
    pub(crate) sent: LslTime,
    pub(crate) text: Utf8Bytes,
}

/// What an [`Outgoing`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    State { seq: u64, shown: Shown },
    Heartbeat { shown: Shown },
    Event { event_seq: u64 },
}

/// State and reason, as a client shows them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) state: OutputState,
    pub(crate) reason: Option<Reason>,
}

/// What is known at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    /// Messages so far.
    pub(crate) messages: u64,
    /// State and reason.
    pub(crate) shown: Shown,
    /// Since when, and how long each state was shown before.
    pub(crate) times: StateTimes,
    /// The newest tick's message.
    pub(crate) state: Option<Outgoing>,
    /// The newest heartbeat's message, where it is newer than the tick's.
    pub(crate) heartbeat: Option<Outgoing>,
    /// `seq` of the newest tick.
    pub(crate) last_seq: Option<u64>,
    /// Where the cursor is.
    pub(crate) position: Position,
    /// The newest target event.
    pub(crate) target: Option<Event>,
    /// `event_seq` of the newest event.
    pub(crate) event_seq: Option<u64>,
    /// Ticks published.
    pub(crate) ticks: u64,
    /// Ticks that never came through the queue, by the holes in `seq`.
    pub(crate) ticks_missed: u64,
}

impl Newest {
    /// Takes what is shown from `time` on; what that changes.
    fn show(&mut self, shown: Shown, time: LslTime) -> Option<StateChange> {
        let before = core::mem::replace(&mut self.shown, shown);
        if before == shown {
            return None;
        }
        let (since, time) = self.times.change(before.state, time);
        Some(StateChange {
            time,
            state: shown.state,
            reason: shown.reason,
            previous: before.state,
            previous_reason: before.reason,
            since,
            seq: self.last_seq,
        })
    }
}

impl Hub {
    /// A hub that knows no tick yet; `start` is the state until the first publication says otherwise.
    #[must_use]
    pub fn new(info: SessionInfo, start: OutputState, clock: Clock) -> Self {
        let newest = Newest {
            messages: 0,
            shown: Shown { state: start, reason: None },
            times: StateTimes::new(clock.lsl()),
            state: None,
            heartbeat: None,
            last_seq: None,
            position: Position([info.workspace.width / 2.0, info.workspace.height / 2.0]),
            target: None,
            event_seq: None,
            ticks: 0,
            ticks_missed: 0,
        };
        let (sender, _) = broadcast::channel(QUEUE);
        let (newest, halted) = (Mutex::new(newest), AtomicU64::new(0));
        Self { shared: Arc::new(Shared { info, clock, sender, newest, halted }) }
    }

    /// What stays the same for the session.
    #[must_use]
    pub fn info(&self) -> &SessionInfo {
        &self.shared.info
    }

    /// The clocks it stamps with.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Sends a publication to every client, and says what it changed of what they are shown. One thread (the bridge) calls
    /// this, in order.
    #[must_use]
    pub fn publish(&self, publication: &Publication) -> Option<StateChange> {
        match publication {
            Publication::Tick(tick) => self.publish_tick(tick),
            Publication::Heartbeat(heartbeat) => self.publish_heartbeat(heartbeat),
        }
    }

    /// Sends an event to every client, at once. Callers see to it that `event_seq` rises.
    pub fn publish_event(&self, RenderedEvent { event, text }: &RenderedEvent) {
        let text = (&**text).into();
        let mut newest = self.lock();
        let kind = Kind::Event { event_seq: event.event_seq };
        let outgoing = newest.outgoing(kind, self.shared.clock.lsl(), text);
        newest.event_seq = newest.event_seq.max(Some(event.event_seq));
        if event.body.kind() == EventKind::Target {
            newest.target = Some(event.clone());
        }
        self.send(outgoing);
    }

    /// The newest state and its reason.
    #[must_use]
    pub fn state(&self) -> (OutputState, Option<Reason>) {
        let shown = self.lock().shown;
        (shown.state, shown.reason)
    }

    /// How long each state was shown so far, in seconds on the local clock, by code.
    #[must_use]
    pub fn state_seconds(&self) -> [(OutputState, f64); OutputState::ALL.len()] {
        let now = self.shared.clock.lsl();
        let newest = self.lock();
        let seconds = newest.times.seconds(newest.shown.state, now);
        OutputState::ALL.map(|state| (state, seconds[usize::from(state.code())]))
    }

    /// Every message from now on. Each receiver costs whoever publishes a wake-up, so there is one for all clients
    /// together (the [`Relay`]).
    fn messages(&self) -> broadcast::Receiver<Outgoing> {
        self.shared.sender.subscribe()
    }

    /// What is known at this moment.
    pub(crate) fn newest(&self) -> Newest {
        self.lock().clone()
    }

    fn publish_tick(&self, tick: &TickPublication) -> Option<StateChange> {
        let output = &tick.output;
        let shown = Shown { state: output.state, reason: output.reason };
        let sent = self.shared.clock.lsl();
        let text = to_json(&State::new(&self.shared.info.session, tick, sent)).into();
        let mut newest = self.lock();
        let outgoing = newest.outgoing(Kind::State { seq: output.seq, shown }, sent, text);
        let expected = newest.last_seq.map_or(output.seq, |last| last + 1);
        newest.ticks += 1;
        newest.ticks_missed += output.seq.saturating_sub(expected);
        newest.last_seq = Some(output.seq);
        let change = self.show(&mut newest, shown, tick.times.decoded);
        newest.position = output.position;
        newest.state = Some(outgoing.clone());
        newest.heartbeat = None;
        self.send(outgoing);
        change
    }

    fn publish_heartbeat(&self, heartbeat: &Heartbeat) -> Option<StateChange> {
        let shown = Shown { state: heartbeat.state, reason: heartbeat.reason };
        let sent = self.shared.clock.lsl();
        let text = to_json(&HeartbeatMessage::new(&self.shared.info.session, heartbeat, sent)).into();
        let mut newest = self.lock();
        let outgoing = newest.outgoing(Kind::Heartbeat { shown }, sent, text);
        let change = self.show(&mut newest, shown, heartbeat.time);
        newest.position = heartbeat.position;
        newest.heartbeat = Some(outgoing.clone());
        self.send(outgoing);
        change
    }

    /// Number of the newest message by which the cursor was halted: what is older than that shows a cursor that moves,
    /// and must not keep a client from hearing of it.
    pub(crate) fn halted(&self) -> u64 {
        self.shared.halted.load(Ordering::Relaxed)
    }

    /// The newest tick's message, and the newest heartbeat's where it is newer.
    pub(crate) fn freshest(&self) -> [Option<Outgoing>; 2] {
        let newest = self.lock();
        [newest.state.clone(), newest.heartbeat.clone()]
    }

    /// Takes note of the state that the message just made shows.
    fn show(&self, newest: &mut Newest, shown: Shown, time: LslTime) -> Option<StateChange> {
        if newest.shown.state.moves() && !shown.state.moves() {
            self.shared.halted.store(newest.messages, Ordering::Relaxed);
        }
        newest.show(shown, time)
    }

    /// Broadcasts; called under the lock, so that messages go out in the order of their numbers.
    fn send(&self, outgoing: Outgoing) {
        // an error only says that nobody listens
        drop(self.shared.sender.send(outgoing));
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    fn outgoing(&mut self, kind: Kind, sent: LslTime, text: Utf8Bytes) -> Outgoing {
        self.messages += 1;
        Outgoing { kind, number: self.messages, sent, text }
    }
}

/// The messages of a hub as the clients' own thread hands them to each client: whoever publishes wakes one task, however
/// many clients there are, and so does not wait for them.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    clients: broadcast::Sender<Outgoing>,
}

/// A place in the stream of messages, with what was known when it was taken. Every message whose number is above
/// `newest.messages` comes out of the receiver, and some of those before may.
pub(crate) struct Subscription {
    pub(crate) newest: Newest,
    pub(crate) receiver: broadcast::Receiver<Outgoing>,
}

impl Relay {
    /// A relay that nothing goes through yet.
    pub(crate) fn new() -> Self {
        Self { clients: broadcast::channel(QUEUE).0 }
    }

    /// Hands on what `hub` publishes until it is gone. What is lost on the way when the thread falls behind, clients see
    /// by the numbers and are told of.
    pub(crate) async fn run(self, hub: &Hub) {
        let mut messages = hub.messages();
        loop {
            match messages.recv().await {
                // an error only says that nobody listens
                Ok(message) => drop(self.clients.send(message)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// A place in the stream of `hub`'s messages from now on.
    pub(crate) fn subscribe(&self, hub: &Hub) -> Subscription {
        let receiver = self.clients.subscribe();
        Subscription { newest: hub.newest(), receiver }
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::{Actor, Cause, Seconds, StageTimes, TickOutput};

    use super::*;

    fn hub() -> Hub {
        let info = SessionInfo {
            session: String::new(),
            run: 0,
            instance: String::new(),
            participant: String::new(),
            version: String::new(),
            bin_ms: 20.0,
            components: Vec::new(),
            workspace: Workspace { width: 1.0, height: 1.0 },
        };
        Hub::new(info, OutputState::Control, Clock::new(|| LslTime(10.0), || 0.0))
    }

    fn reason(cause: Cause) -> Reason {
        Reason { cause, by: Actor::Daemon }
    }

    fn tick(seq: u64, time: f64, state: OutputState, cause: Option<Cause>) -> Publication {
        let time = LslTime(time);
        Publication::Tick(TickPublication {
            output: TickOutput {
                state,
                reason: cause.map(reason),
                position: Position([0.5, 0.5]),
                ..TickOutput::neutral(seq, time)
            },
            times: StageTimes { received: time, closed: time, decoded: time },
            age: Seconds(0.0),
            late: false,
        })
    }

    fn heartbeat(time: f64, state: OutputState, cause: Option<Cause>) -> Publication {
        Publication::Heartbeat(Heartbeat {
            time: LslTime(time),
            state,
            reason: cause.map(reason),
            last_seq: Some(1),
            position: Position([0.5, 0.5]),
        })
    }

    #[test]
    fn every_change_is_told_once_in_order_whether_a_tick_or_a_heartbeat_brings_it() {
        use OutputState::{Control, Fault, Stale};
        let hub = hub();
        let course = [
            (tick(0, 11.0, Control, None), false),
            (heartbeat(11.1, Control, None), false),
            (heartbeat(11.12, Stale, Some(Cause::InputNotFresh)), true),
            (heartbeat(11.22, Stale, Some(Cause::InputNotFresh)), false),
            // a tick says the same again, then a flicker
            (tick(1, 15.0, Stale, Some(Cause::InputNotFresh)), false),
            (tick(2, 15.02, Control, None), true),
            (heartbeat(15.03, Stale, Some(Cause::InputNotFresh)), true),
            (tick(3, 15.04, Control, None), true),
            // the reason alone, and a change that is told late
            (tick(4, 15.06, Stale, Some(Cause::InputNotFresh)), true),
            (tick(5, 15.08, Stale, Some(Cause::AwaitsResume)), true),
            (heartbeat(15.07, Fault, Some(Cause::TickSilent)), true),
        ];
        let mut changes: Vec<StateChange> = Vec::new();
        for (publication, changes_it) in course {
            let change = hub.publish(&publication);
            assert_eq!(change.is_some(), changes_it, "{publication:?}");
            changes.extend(change);
        }
        assert_eq!((changes[0].time, changes[0].since), (LslTime(11.12), LslTime(10.0)));
        assert_eq!((changes[0].previous, changes[0].seq), (Control, Some(0)));
        for pair in changes.windows(2) {
            assert_eq!((pair[1].previous, pair[1].previous_reason), (pair[0].state, pair[0].reason));
            assert_eq!(pair[1].since, pair[0].time);
            assert!(pair[1].time >= pair[0].time);
        }
    }

    #[test]
    fn the_message_that_halts_the_cursor_is_marked_and_passes_what_is_older() {
        let hub = hub();
        let mut messages = hub.messages();
        let mut next = || messages.try_recv().unwrap().number;
        let _change = hub.publish(&heartbeat(1.0, OutputState::Control, None));
        assert_eq!((next(), hub.halted()), (1, 0));
        let _change = hub.publish(&heartbeat(1.1, OutputState::Hold, None));
        assert_eq!((next(), hub.halted()), (2, 2));
        // it stays the newest that halted anything while the cursor stands
        let _change = hub.publish(&heartbeat(1.2, OutputState::Fault, None));
        assert_eq!((next(), hub.halted()), (3, 2));
        let _change = hub.publish(&heartbeat(1.3, OutputState::Calibrating, None));
        let _change = hub.publish(&heartbeat(1.4, OutputState::Stale, None));
        assert_eq!(hub.halted(), 5);
    }
}
