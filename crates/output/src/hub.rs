//! The hub: the newest state, and every message to every client, serialised once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use kalmind_types::{
    Component, Event, EventKind, Heartbeat, LslTime, OutputState, Position, Publication, Reason, StateChange,
    TickPublication,
};
use tokio::sync::broadcast;

use crate::{
    Clock,
    message::{HeartbeatMessage, State, Workspace, to_json},
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
/// to the same hub. A subscriber that is more than 256 messages behind loses the oldest and is told how many.
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
}

/// A serialised message and what a client's session needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) kind: Kind,
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

/// A place in the stream of messages, with what was known when it was taken: every message after that comes out of
/// the receiver, none twice.
pub(crate) struct Subscription {
    pub(crate) newest: Newest,
    pub(crate) receiver: broadcast::Receiver<Outgoing>,
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
        Self { shared: Arc::new(Shared { info, clock, sender, newest: Mutex::new(newest) }) }
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
    pub fn publish_event(&self, event: &Event) {
        let outgoing =
            Outgoing { kind: Kind::Event { event_seq: event.event_seq }, text: to_json(event).into() };
        let mut newest = self.lock();
        newest.event_seq = newest.event_seq.max(Some(event.event_seq));
        if event.kind == EventKind::Target {
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

    /// A place in the stream of messages from now on.
    pub(crate) fn subscribe(&self) -> Subscription {
        let newest = self.lock();
        let receiver = self.shared.sender.subscribe();
        Subscription { newest: newest.clone(), receiver }
    }

    /// What is known at this moment.
    pub(crate) fn newest(&self) -> Newest {
        self.lock().clone()
    }

    fn publish_tick(&self, tick: &TickPublication) -> Option<StateChange> {
        let output = &tick.output;
        let shown = Shown { state: output.state, reason: output.reason };
        let message = State::new(&self.shared.info.session, tick, self.shared.clock.lsl());
        let outgoing =
            Outgoing { kind: Kind::State { seq: output.seq, shown }, text: to_json(&message).into() };
        let mut newest = self.lock();
        let expected = newest.last_seq.map_or(output.seq, |last| last + 1);
        newest.ticks += 1;
        newest.ticks_missed += output.seq.saturating_sub(expected);
        newest.last_seq = Some(output.seq);
        let change = newest.show(shown, tick.times.decoded);
        newest.position = output.position;
        newest.state = Some(outgoing.clone());
        newest.heartbeat = None;
        self.send(outgoing);
        change
    }

    fn publish_heartbeat(&self, heartbeat: &Heartbeat) -> Option<StateChange> {
        let shown = Shown { state: heartbeat.state, reason: heartbeat.reason };
        let message = HeartbeatMessage::new(&self.shared.info.session, heartbeat, self.shared.clock.lsl());
        let outgoing = Outgoing { kind: Kind::Heartbeat { shown }, text: to_json(&message).into() };
        let mut newest = self.lock();
        let change = newest.show(shown, heartbeat.time);
        newest.position = heartbeat.position;
        newest.heartbeat = Some(outgoing.clone());
        self.send(outgoing);
        change
    }

    /// Broadcasts; called under the lock, so that subscribers' snapshots and receivers agree.
    fn send(&self, outgoing: Outgoing) {
        // an error only says that nobody listens
        drop(self.shared.sender.send(outgoing));
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::{Actor, Cause, Seconds, StageTimes, TickOutput, Velocity};

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
                seq,
                epoch: 0,
                time,
                newest: None,
                incomplete: false,
                state,
                reason: cause.map(reason),
                position: Position([0.5, 0.5]),
                velocity: Velocity([0.0, 0.0]),
                intent: None,
                click: None,
                masked_features: 0,
                nonfinite_values: 0,
                row_one: false,
                fallback: false,
                guarded_channels: 0,
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
}
