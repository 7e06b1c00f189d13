//! The side of a WebSocket client's session that speaks: what it is sent, and what is left out when it reads too slowly.

use core::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering};

use futures_util::{SinkExt as _, stream::SplitSink};
use kalmind_types::LslTime;
use tokio::{
    sync::{
        Notify,
        broadcast::{
            Receiver,
            error::{RecvError, TryRecvError},
        },
        mpsc, watch,
    },
    time::{self, error::Elapsed},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, Utf8Bytes},
};

use crate::{
    admission::Wishes,
    app::App,
    closing::{End, close, end},
    continuity::Continuity,
    counters::count,
    flow::Flow,
    hub::{Kind, Newest, Outgoing},
    messages::{ClockPair, FlowControl, Gap, Hello, PROTOCOL, ReasonText, to_json},
    placed::{Placed, took_nothing},
    session_feed,
};

/// What a client's two sides share: how far it has read.
#[derive(Debug)]
pub(crate) struct Reading {
    flow: Mutex<Flow>,
    /// Rings when the client has answered something.
    answered: Notify,
}

impl Reading {
    pub(crate) fn new(flow: Flow) -> Self {
        Self { flow: Mutex::new(flow), answered: Notify::new() }
    }

    /// Takes note of a pong; `false` when it answers nothing.
    pub(crate) fn pong(&self, number: u64, now: LslTime) -> bool {
        self.note(self.flow().pong(number, now))
    }

    /// Takes note of an acknowledgement; `false` when it acknowledges nothing.
    pub(crate) fn acknowledge(&self, seq: u64, now: LslTime) -> bool {
        self.note(self.flow().acknowledge(seq, now))
    }

    /// Until when the client has answered everything.
    pub(crate) fn answered_until(&self, now: LslTime) -> LslTime {
        self.flow().answered_until(now)
    }

    fn note(&self, answered: bool) -> bool {
        if answered {
            self.answered.notify_one();
        }
        answered
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side that speaks to the client.
pub(crate) struct Writer<'a> {
    app: &'a App,
    sink: &'a mut SplitSink<WebSocketStream<Placed>, Message>,
    inbox: mpsc::Receiver<Utf8Bytes>,
    reading: &'a Reading,
    wishes: Wishes,
    /// Number of the newest message from before its time.
    since: u64,
    /// Number of the newest state or heartbeat that the client was sent or has no use for any more.
    shown: u64,
    /// Whether states were left out since the last one that was sent.
    behind: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        app: &'a App,
        sink: &'a mut SplitSink<WebSocketStream<Placed>, Message>,
        inbox: mpsc::Receiver<Utf8Bytes>,
        reading: &'a Reading,
        wishes: Wishes,
    ) -> Self {
        Self { app, sink, inbox, reading, wishes, since: 0, shown: 0, behind: false }
    }

    /// Speaks until the connection has to end; waits for `awaited`, the token, before anything but answers.
    pub(crate) async fn run(&mut self, awaited: Option<watch::Receiver<bool>>) -> End {
        if let Some(token) = awaited
            && let Err(end) = self.wait_for_token(token).await
        {
            return end;
        }
        self.stream_states().await.err().flatten()
    }

    /// Answers, and nothing else, until the client may read; then what is left to answer, so that the answer to `auth`
    /// comes before `hello`.
    async fn wait_for_token(&mut self, mut may_read: watch::Receiver<bool>) -> Result<(), End> {
        let mut too_late = pin!(time::sleep(self.app.limits.request_within));
        while !*may_read.borrow_and_update() {
            tokio::select! {
                biased;
                Some(reply) = self.inbox.recv() => {
                    self.send(reply).await?;
                    self.flush().await?;
                }
                changed = may_read.changed() => if changed.is_err() { return Err(None) },
                () = too_late.as_mut() => {
                    count(&self.app.counters.unauthorized);
                    return Err(end(close::UNAUTHORIZED, "the token did not come in time"));
                }
            }
        }
        while let Ok(reply) = self.inbox.try_recv() {
            self.send(reply).await?;
        }
        Ok(())
    }

    async fn stream_states(&mut self) -> Result<(), End> {
        let subscription = self.app.relay.subscribe(&self.app.hub);
        let (newest, mut receiver) = (subscription.newest, subscription.receiver);
        let mut continuity =
            Continuity::new(self.wishes.every, newest.last_seq, newest.event_seq, newest.shown);
        (self.shown, self.since) = (newest.messages, newest.messages);
        let hello = self.hello(&newest);
        self.send(hello.into()).await?;
        let mut session = self.wishes.session.then(|| self.app.session.subscribe());
        if session.is_some()
            && let Some(shown) = session_feed::message(self.app)
        {
            self.send(shown).await?;
        }
        self.flush().await?;
        let mut pings = time::interval(self.app.limits.ping_every);
        pings.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(reply) = self.inbox.recv() => self.send(reply).await?,
                _ = pings.tick() => self.ping().await?,
                // what the session shows waits for a client that reads; what it missed meanwhile, the newest makes up for
                shown = session_feed::changed(&mut session), if self.wishes.session && self.reading.flow().open(self.now()) => {
                    if let Some(shown) = shown {
                        self.send(shown).await?;
                    }
                }
                () = self.reading.answered.notified(), if self.behind => self.catch_up(&mut continuity).await?,
                message = receiver.recv() => {
                    let mut next = Some(message);
                    while let Some(message) = next {
                        self.take(&mut continuity, &mut receiver, message).await?;
                        next = match receiver.try_recv() {
                            Ok(message) => Some(Ok(message)),
                            Err(TryRecvError::Lagged(missed)) => Some(Err(RecvError::Lagged(missed))),
                            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
                        };
                    }
                }
            }
            self.flush().await?;
        }
    }

    /// Takes what the relay gave: a message, or that some were overwritten before they could be read.
    async fn take(
        &mut self,
        continuity: &mut Continuity,
        receiver: &mut Receiver<Outgoing>,
        message: Result<Outgoing, RecvError>,
    ) -> Result<(), End> {
        match message {
            Ok(message) => self.forward(continuity, message).await,
            Err(RecvError::Lagged(_)) => {
                let caught_up = self.app.relay.subscribe(&self.app.hub);
                *receiver = caught_up.receiver;
                self.since = caught_up.newest.messages;
                let missed_events = continuity.skip_events(caught_up.newest.event_seq);
                if missed_events > 0 {
                    self.gap(0, missed_events).await?;
                }
                self.catch_up(continuity).await
            }
            Err(RecvError::Closed) => Err(end(close::GOING_AWAY, "the daemon is ending")),
        }
    }

    /// Sends a message on, after a word about those that are missing before it; a state that is old already or that the
    /// client would not read now is left out, and the newest follows as soon as it may.
    async fn forward(&mut self, continuity: &mut Continuity, message: Outgoing) -> Result<(), End> {
        if message.number <= self.since {
            return Ok(());
        }
        if matches!(message.kind, Kind::Event { .. }) {
            let step = continuity.step(message.kind);
            if step.missed_events > 0 {
                self.gap(0, step.missed_events).await?;
            }
            return self.send(message.text).await;
        }
        if message.number <= self.shown {
            return Ok(());
        }
        let now = self.now();
        let waited = (now - message.sent).0 > self.app.limits.oldest_state.as_secs_f64();
        let old = waited || message.number < self.app.hub.halted();
        if self.behind || old || !self.reading.flow().open(now) {
            return self.catch_up(continuity).await;
        }
        self.show(continuity, message).await
    }

    /// Sends the newest that is known, after a word about what was left out, if the client reads; otherwise this is to be
    /// done when it does.
    async fn catch_up(&mut self, continuity: &mut Continuity) -> Result<(), End> {
        self.behind = true;
        for newest in self.app.hub.freshest().into_iter().flatten() {
            if !self.reading.flow().open(self.now()) {
                return Ok(());
            }
            if newest.number > self.shown {
                self.show(continuity, newest).await?;
            }
        }
        self.behind = false;
        Ok(())
    }

    /// Sends a state or a heartbeat, after a word about the states that are missing before it, and a ping behind it where
    /// one is due, all in one write.
    async fn show(&mut self, continuity: &mut Continuity, message: Outgoing) -> Result<(), End> {
        self.shown = message.number;
        let step = continuity.step(message.kind);
        let gap = (step.missed > 0).then(|| self.gap_text(step.missed, 0));
        if !step.send {
            return Ok(());
        }
        let ping_behind = match message.kind {
            Kind::State { seq, .. } => self.reading.flow().state_sent(seq, self.now()).map(ping),
            Kind::Heartbeat { .. } | Kind::Event { .. } => None,
        };
        let sent = 1 + u64::from(gap.is_some());
        self.put([gap.map(Message::Text), Some(Message::Text(message.text)), ping_behind]).await?;
        self.app.counters.messages_sent.fetch_add(sent, Ordering::Relaxed);
        Ok(())
    }

    async fn gap(&mut self, missed: u64, missed_events: u64) -> Result<(), End> {
        let text = self.gap_text(missed, missed_events);
        self.send(text).await
    }

    /// What a client is told of what it missed, which is counted.
    fn gap_text(&self, missed: u64, missed_events: u64) -> Utf8Bytes {
        count(&self.app.counters.gaps);
        self.app.counters.states_missed.fetch_add(missed, Ordering::Relaxed);
        self.app.counters.events_missed.fetch_add(missed_events, Ordering::Relaxed);
        to_json(&Gap { missed, missed_events }).into()
    }

    /// Pings, unless a state took the ping along, or the client has been silent for so long that it counts as gone.
    async fn ping(&mut self) -> Result<(), End> {
        let now = self.now();
        let (gone, due) = {
            let mut flow = self.reading.flow();
            (flow.gone(now), flow.ping_due(now))
        };
        if gone {
            return Err(self.silent());
        }
        let Some(number) = due else { return Ok(()) };
        self.put([Some(ping(number))]).await
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.put([Some(Message::Text(text))]).await?;
        count(&self.app.counters.messages_sent);
        Ok(())
    }

    /// Makes messages ready to be written with the next [`flush`](Self::flush).
    async fn put<const N: usize>(&mut self, messages: [Option<Message>; N]) -> Result<(), End> {
        let feeding = async {
            for message in messages.into_iter().flatten() {
                self.sink.feed(message).await?;
            }
            Ok(())
        };
        let fed = time::timeout(self.app.limits.pong_within, feeding).await;
        self.written(fed)
    }

    /// Writes what is ready, all of it at once: one write costs far more than a message in it. A client that takes nothing
    /// for as long as it may owe a pong counts as gone.
    async fn flush(&mut self) -> Result<(), End> {
        let flushed = time::timeout(self.app.limits.pong_within, self.sink.flush()).await;
        self.written(flushed)
    }

    fn written(&self, result: Result<Result<(), Error>, Elapsed>) -> Result<(), End> {
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if took_nothing(&error) => Err(self.silent()),
            Ok(Err(_left)) => Err(None),
            Err(_elapsed) => Err(self.silent()),
        }
    }

    fn silent(&self) -> End {
        count(&self.app.counters.silent_disconnected);
        end(close::SILENT, "no pong or acknowledgement in time")
    }

    fn now(&self) -> LslTime {
        self.app.hub.clock().lsl()
    }

    fn hello(&self, newest: &Newest) -> String {
        let (info, clock) = (self.app.hub.info(), self.app.hub.clock());
        to_json(&Hello {
            protocol: PROTOCOL,
            session: &info.session,
            run: info.run,
            instance: &info.instance,
            participant: &info.participant,
            version: &info.version,
            bin_ms: info.bin_ms,
            decoder: self.app.controls.decoder(),
            intent: &info.components,
            workspace: info.workspace,
            streams: self.app.controls.streams(),
            clock: ClockPair { lsl: clock.lsl(), unix: clock.unix() },
            target: newest.target.as_ref(),
            event_seq: newest.event_seq,
            state: newest.shown.state,
            reason: newest.shown.reason.map(ReasonText),
            flow: FlowControl::new(&self.app.limits, self.wishes.acknowledges),
            sent: clock.lsl(),
        })
    }
}

/// A ping that carries its number, which the pong brings back.
fn ping(number: u64) -> Message {
    Message::Ping(number.to_be_bytes().to_vec().into())
}
