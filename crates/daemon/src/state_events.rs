//! Events of the output's state: every change that clients are shown becomes one event, when it happens.

use std::sync::Arc;

use kalmind_types::{
    Actor, Cause, EventBody, FeatureLayout, LslTime, OutputState, Seconds, StateCause, StateChange,
    StateEvent,
};

use crate::{event_bus::EventBus, tick::TickCounts};

/// Turns changes of the shown state into events. Lives on the hub's thread, which sees ticks and heartbeats in order.
#[derive(Debug)]
pub struct StateEvents {
    events: Arc<EventBus>,
    limits: SilenceLimits,
    /// Which features are under suspicion, and whose they are.
    counts: Arc<TickCounts>,
    layout: Arc<FeatureLayout>,
    /// What the streams are called.
    streams: Vec<String>,
    /// When the signal was last there, while it is away.
    signal_left: Option<LslTime>,
}

/// When silence counts, and who may end it: for what people are told.
#[derive(Clone, Copy, Debug)]
pub struct SilenceLimits {
    /// How long there is no complete bin before the state is `stale`.
    pub stale_after: Seconds,
    /// How long `stale` may last and still end by itself.
    pub auto_resume: Seconds,
    /// Whether a task may go on after a longer one.
    pub task_may_resume: bool,
}

impl StateEvents {
    /// Events that go to `events`.
    #[must_use]
    pub fn new(
        events: Arc<EventBus>,
        limits: SilenceLimits,
        counts: Arc<TickCounts>,
        layout: Arc<FeatureLayout>,
        streams: Vec<String>,
    ) -> Self {
        Self { events, limits, counts, layout, streams, signal_left: None }
    }

    /// Tells of a change: an event of kind `fault` where something broke, else of kind `state`; and a line in the log.
    pub fn tell(&mut self, change: &StateChange) {
        let event = self.event(change);
        let message = &event.message;
        match change.state {
            OutputState::Fault => tracing::error!("{message}"),
            OutputState::Stale => tracing::warn!("{message}"),
            _ => tracing::info!("{message}"),
        }
        self.events.publish(change.time, EventBody::State(Box::new(event)));
    }

    /// What the event says.
    fn event(&mut self, change: &StateChange) -> StateEvent {
        let StateChange { time, state, reason, previous, since, seq, .. } = *change;
        let cause_before = change.previous_reason.map(|reason| reason.cause);
        let was_back = matches!(cause_before, Some(Cause::AwaitsResume | Cause::StoppedAndAwaitsResume));
        // a signal that was back, and waits for the operator, may be lost again
        let settles = reason.is_some_and(|reason| reason.cause == Cause::StagesSettle);
        let settled = cause_before == Some(Cause::StagesSettle);
        if settles {
            self.signal_left.get_or_insert(time);
        } else if state == OutputState::Stale && (previous != OutputState::Stale && !settled || was_back) {
            self.signal_left = Some(time - self.limits.stale_after);
        }
        let message = self.message(change);
        if state != OutputState::Stale && !settles {
            self.signal_left = None;
        }
        let awaits = reason.filter(|reason| reason.awaits_resume()).map(|reason| match reason.cause {
            Cause::AwaitsResume if self.limits.task_may_resume => "operator or task",
            _ => "operator",
        });
        // the mode in force was asked for long ago; that it is back nobody asked for
        let by_itself = previous == OutputState::Stale
            && reason.is_some_and(|reason| reason.cause == Cause::Requested)
            && change.previous_reason.is_some_and(|before| before.cause != Cause::AwaitsResume);
        let cause = reason.map(|reason| StateCause::Cause(reason.cause));
        StateEvent {
            state,
            reason: reason.map(|reason| reason.to_string()),
            cause: if by_itself { Some(StateCause::Named("signal_back".to_owned())) } else { cause },
            by: if by_itself { Some(Actor::Daemon) } else { reason.map(|reason| reason.by) },
            previous,
            since,
            awaits: awaits.map(str::to_owned),
            seq,
            channels: self.channels(change),
            message,
        }
    }

    /// Names of the channels that look dead or unlike training, where that is why the state is what it is.
    fn channels(&self, change: &StateChange) -> Vec<String> {
        let concerned = change.reason.is_some_and(|reason| reason.cause.is_implausible_input());
        if concerned { self.counts.suspects_at_change.channel_names(&self.layout) } else { Vec::new() }
    }

    /// Whose filters settle, and for how long.
    fn settling(&self) -> String {
        let known = self.counts.settling_at_change.get();
        let known = known.and_then(|(stream, left)| self.streams.get(stream).zip(Some(left)));
        let (stream, left) = known.map_or_else(
            || ("a stream".to_owned(), String::new()),
            |(stream, left)| (format!("stream \"{stream}\""), format!(": {:.1} s to go", left.0)),
        );
        format!(
            "filters of {stream} settle{left}; at a start what was asked for begins by itself when they have, and a gap of more than \
             {:.1} s in all waits for Resume",
            self.limits.auto_resume.0
        )
    }

    /// What happened and what to do, with figures.
    fn message(&self, change: &StateChange) -> String {
        let StateChange { time, state, reason, previous, .. } = *change;
        let away = self.signal_left.map_or(0.0, |left| (time - left).0);
        let cause = reason.map(|reason| reason.cause);
        let SilenceLimits { auto_resume, task_may_resume, .. } = self.limits;
        let before = change.previous_reason.map(|reason| reason.cause);
        match (state, cause) {
            (OutputState::Stale, Some(Cause::InputNotFresh)) if before == Some(Cause::InputUnsteady) => {
                format!(
                    "no usable signal, after it has come and gone for {away:.1} s: the cursor stands still until it returns"
                )
            }
            (OutputState::Stale, Some(Cause::InputNotFresh)) => {
                format!("no usable signal for {away:.1} s: the cursor stands still until it returns")
            }
            (OutputState::Stale, Some(Cause::AwaitsResume)) => {
                let who = if task_may_resume { "the operator or the task" } else { "the operator" };
                let longer = if away > auto_resume.0 { "longer" } else { "and was away before for longer" };
                format!(
                    "the signal is back after {away:.1} s, {longer} than {:.1} s; it waits for {who}: press Resume",
                    auto_resume.0
                )
            }
            (OutputState::Idle, Some(Cause::StagesSettle)) => self.settling(),
            _ => {
                let why = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                let back = match before {
                    Some(Cause::StagesSettle) if state.moves() => "the filters have settled; ".to_owned(),
                    _ if previous != OutputState::Stale || state == OutputState::Stale => String::new(),
                    Some(Cause::AwaitsResume) => "resumed; ".to_owned(),
                    _ if state == OutputState::Fault => String::new(),
                    _ => format!("the signal is back after {away:.1} s; "),
                };
                format!("{back}{state}{why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::{Binning, EventKind, FeatureSet, Reason, RenderedEvent, StreamFeatures};
    use serde_json::{Value, json};

    use super::*;

    fn events(task_may_resume: bool) -> (StateEvents, crossbeam_channel::Receiver<RenderedEvent>) {
        let (events, received) = crate::event_bus::heard();
        let limits = SilenceLimits { stale_after: Seconds(0.1), auto_resume: Seconds(2.0), task_may_resume };
        let labels = ["u0", "u1"].map(str::to_owned).to_vec();
        let stream = StreamFeatures::of_channels(Binning::Sum, 2, Some(labels));
        let layout = Arc::new(FeatureLayout::new(&[stream]).expect("a layout"));
        (StateEvents::new(events, limits, Arc::default(), layout, vec!["array".to_owned()]), received)
    }

    #[test]
    fn dead_channels_are_named() {
        let (mut events, received) = events(false);
        let mut suspects = FeatureSet::none_of(2);
        suspects.insert(1);
        events.counts.suspects_at_change.show(&suspects);
        let mut change = StateChange {
            time: LslTime(2.0),
            state: OutputState::Stale,
            reason: Some(Reason { cause: Cause::ChannelsConstant, by: Actor::Daemon }),
            previous: OutputState::Control,
            previous_reason: None,
            since: LslTime(1.0),
            seq: Some(3),
        };
        events.tell(&change);
        change.reason = Some(Reason { cause: Cause::InputNotFresh, by: Actor::Daemon });
        events.tell(&change);
        let channels: Vec<Value> =
            received.try_iter().map(|told| told.event.body.data()["channels"].clone()).collect();
        assert_eq!(channels, [json!(["u1"]), json!([])]);
    }

    /// Time, kind and data of the events of these steps.
    fn told(task_may_resume: bool, steps: &[(f64, OutputState, Cause)]) -> Vec<(LslTime, EventKind, Value)> {
        let (mut events, received) = events(task_may_resume);
        let (mut previous, mut previous_reason, mut since) = (OutputState::Control, None, LslTime(1.0));
        for (time, state, cause) in steps {
            let reason = Some(Reason { cause: *cause, by: Actor::Daemon });
            let time = LslTime(*time);
            events.tell(&StateChange {
                time,
                state: *state,
                reason,
                previous,
                previous_reason,
                since,
                seq: Some(3),
            });
            (previous, previous_reason, since) = (*state, reason, time);
        }
        let told = received.try_iter().map(|told| told.event);
        told.map(|event| (event.time, event.body.kind(), event.body.data())).collect()
    }

    #[test]
    fn an_outage_is_told_with_figures_and_a_recovery_is_no_fault() {
        use OutputState::{Control, Stale};
        let told = told(false, &[(5.0, Stale, Cause::InputNotFresh), (5.5, Control, Cause::Requested)]);
        assert!(told.iter().all(|(_, kind, _)| *kind == EventKind::State));
        assert_eq!(told[0].0, LslTime(5.0));
        assert_eq!(told[0].2["state"], "stale");
        assert_eq!(told[0].2["previous"], "control");
        assert_eq!(told[0].2["since"], 1.0);
        assert_eq!(told[0].2["awaits"], Value::Null);
        assert_eq!(told[0].2["cause"], "input_not_fresh");
        assert_eq!(
            told[0].2["message"],
            "no usable signal for 0.1 s: the cursor stands still until it returns"
        );
        assert_eq!((&told[1].2["since"], &told[1].2["by"]), (&json!(5.0), &json!("daemon")));
        assert_eq!(told[1].2["cause"], "signal_back");
        assert_eq!(told[1].2["message"], "the signal is back after 0.6 s; control (requested by Kalmind)");
    }

    #[test]
    fn what_is_awaited_is_told_and_of_whom() {
        use OutputState::Stale;
        let steps = [(5.0, Stale, Cause::InputNotFresh), (9.0, Stale, Cause::AwaitsResume)];
        let operator = told(false, &steps);
        assert_eq!(operator[1].2["awaits"], "operator");
        assert_eq!(
            operator[1].2["message"],
            "the signal is back after 4.1 s, longer than 2.0 s; it waits for the operator: press Resume"
        );
        assert_eq!(told(true, &steps)[1].2["awaits"], "operator or task");
    }

    #[test]
    fn a_signal_that_is_lost_again_while_the_operator_is_awaited_is_counted_from_then_on() {
        use OutputState::Stale;
        let steps = [
            (5.0, Stale, Cause::InputNotFresh),
            (9.0, Stale, Cause::AwaitsResume),
            (129.0, Stale, Cause::InputNotFresh),
            (129.5, Stale, Cause::AwaitsResume),
            (140.0, Stale, Cause::InputUnsteady),
            (143.0, Stale, Cause::InputNotFresh),
        ];
        let told = told(false, &steps);
        let message = |at: usize| told[at].2["message"].as_str().unwrap_or_default().to_owned();
        assert!(message(2).starts_with("no usable signal for 0.1 s: "), "{}", message(2));
        let expected = "the signal is back after 0.6 s, and was away before for longer than 2.0 s";
        assert!(message(3).starts_with(expected), "{}", message(3));
        assert!(message(5).contains("come and gone for 3.1 s"), "{}", message(5));
    }

    #[test]
    fn filters_that_settled_for_too_long_are_told_with_how_long_it_took() {
        use OutputState::{Idle, Stale};
        let steps = [(5.0, Idle, Cause::StagesSettle), (8.4, Stale, Cause::AwaitsResume)];
        let expected =
            "the signal is back after 3.4 s, longer than 2.0 s; it waits for the operator: press Resume";
        assert_eq!(told(false, &steps)[1].2["message"], expected);
    }

    #[test]
    fn filters_that_settle_are_told_with_their_stream_and_what_is_left() {
        use OutputState::{Control, Idle};
        let (mut events, received) = events(false);
        let mut tell = |state, cause, previous, previous_cause| {
            let reason = |cause| Reason { cause, by: Actor::Daemon };
            let (reason, previous_reason) = (Some(reason(cause)), Some(reason(previous_cause)));
            let (time, since, seq) = (LslTime(2.0), LslTime(1.0), Some(3));
            events.tell(&StateChange { time, state, reason, previous, previous_reason, since, seq });
        };
        tell(Idle, Cause::StagesSettle, Control, Cause::Requested);
        tell(Control, Cause::Requested, Idle, Cause::StagesSettle);
        let messages: Vec<String> = received
            .try_iter()
            .map(|told| told.event.body.data()["message"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            messages,
            [
                "filters of a stream settle; at a start what was asked for begins by itself when they have, and a gap of more than \
                 2.0 s in all waits for Resume",
                "the filters have settled; control (requested by Kalmind)"
            ]
        );
    }

    #[test]
    fn what_broke_is_a_fault() {
        let told = told(true, &[(5.0, OutputState::Fault, Cause::NotFinite)]);
        assert_eq!(told[0].1, EventKind::Fault);
        assert_eq!(told[0].2["awaits"], "operator");
    }
}
