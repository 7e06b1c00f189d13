//! One WebSocket client: what it is sent, and what it may ask.
//!
//! Reading and writing go on side by side, so a client that does not read can still stop.

use core::pin::pin;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time,
};

use crate::{
    ControlRefused, Credentials, access,
    connection::took_nothing,
    continuity::Continuity,
    counters::count,
    hub::{Newest, Outgoing},
    message::{ClockPair, ErrorCode, Hello, PROTOCOL, Reply, to_json},
    rate::RateLimit,
    request::ClientMessage,
    server::App,
    steering,
};

/// Answers that may wait for a client that asks and does not read.
const REPLIES: usize = 32;

/// Why the server ends a connection, by the code in the close frame.
mod close {
    /// The daemon is ending.
    pub(super) const GOING_AWAY: u16 = 1001;
    /// A frame that breaks the WebSocket protocol.
    pub(super) const PROTOCOL: u16 = 1002;
    /// Too many messages.
    pub(super) const POLICY: u16 = 1008;
    /// A message over the size limit.
    pub(super) const TOO_BIG: u16 = 1009;
    /// The token did not come in time.
    pub(super) const UNAUTHORIZED: u16 = 4401;
    /// The token shown is not the run's.
    pub(super) const WRONG_TOKEN: u16 = 4403;
    /// No pong in time.
    pub(super) const SILENT: u16 = 4408;
}

/// How a connection ends: with a close frame, or without a word because the client has left.
type End = Option<CloseFrame>;

#[expect(clippy::unnecessary_wraps, reason = "one of the two ways a connection ends")]
fn end(code: u16, reason: &'static str) -> End {
    Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
}

/// Serves one client until either side ends the connection.
///
/// `credentials` are what it showed when it connected; `reads_freely` says whether it may read without the token.
pub(crate) async fn talk(
    socket: WebSocket,
    app: &Arc<App>,
    every: u64,
    credentials: Credentials,
    reads_freely: bool,
) {
    let authorised = credentials == Credentials::Right;
    let (mut sink, stream) = socket.split();
    let (replies, inbox) = mpsc::channel(REPLIES);
    // who need not show a token gets `hello` before any answer
    let may_read = authorised || reads_freely;
    let (allow, token) = watch::channel(may_read);
    let awaited = (!may_read).then_some(token);
    let unanswered = AtomicU32::new(0);
    let reader = Reader { app, replies, allow, authorised, unanswered: &unanswered };
    let mut ending = app.ending.clone();
    let farewell = {
        let reading = pin!(reader.run(stream));
        let mut writer = Writer { app, sink: &mut sink, inbox, unanswered: &unanswered };
        let writing = pin!(writer.run(awaited, every));
        tokio::select! {
            end = reading => end,
            end = writing => end,
            _ = ending.wait_for(|ending| *ending) => end(close::GOING_AWAY, "the daemon is ending"),
        }
    };
    if let Some(frame) = farewell {
        // a client that does not read does not hold up anything
        drop(time::timeout(app.limits.ping_every, sink.send(Message::Close(Some(frame)))).await);
    }
}

/// Tells a page that it connected with a token that is not the run's, and closes. A STOP that it has sent by then counts.
pub(crate) async fn turn_away(mut socket: WebSocket, app: &App) {
    count(&app.counters.unauthorized);
    let error = Reply::Error { code: ErrorCode::WrongToken, message: access::WRONG_TOKEN };
    let farewell = async {
        socket.send(Message::Text(to_json(&error).into())).await?;
        socket.send(Message::Close(end(close::WRONG_TOKEN, "the token is not this run's"))).await?;
        // until the page has closed too
        while let Some(message) = socket.recv().await.transpose()? {
            if let Message::Text(text) = message
                && matches!(serde_json::from_str(&text), Ok(ClientMessage::Stop {}))
            {
                app.stop(false);
            }
        }
        Ok::<(), axum::Error>(())
    };
    drop(time::timeout(app.limits.ping_every, farewell).await);
}

/// The side that listens to the client.
struct Reader<'a> {
    app: &'a App,
    replies: mpsc::Sender<Utf8Bytes>,
    allow: watch::Sender<bool>,
    authorised: bool,
    unanswered: &'a AtomicU32,
}

impl Reader<'_> {
    async fn run(mut self, mut stream: SplitStream<WebSocket>) -> End {
        let limits = &self.app.limits;
        let rate = limits.messages_per_second;
        let mut rate = RateLimit::new(rate, rate, self.app.hub.clock().lsl());
        while let Some(message) = stream.next().await {
            let received = self.app.hub.clock().lsl();
            let message = match message {
                Ok(message) => message,
                Err(error) => return self.broken(&error),
            };
            if matches!(message, Message::Close(_)) {
                return None;
            }
            let within_rate = rate.take(received);
            match message {
                Message::Text(text) => {
                    // STOP counts against the limit, and is carried out before the limit is enforced
                    let parsed = serde_json::from_str::<ClientMessage>(&text);
                    if within_rate || matches!(parsed, Ok(ClientMessage::Stop {})) {
                        self.answer(parsed, received);
                    }
                }
                Message::Binary(_) => {
                    self.malformed("messages are JSON text, not binary");
                }
                Message::Pong(_) => self.unanswered.store(0, Ordering::Relaxed),
                Message::Ping(_) | Message::Close(_) => {}
            }
            if !within_rate {
                count(&self.app.counters.too_frequent);
                return end(close::POLICY, "too many messages a second");
            }
        }
        None
    }

    /// What a frame that could not be read means.
    fn broken(&self, error: &axum::Error) -> End {
        let text = error.to_string();
        if text.contains("too long") || text.contains("too big") {
            count(&self.app.counters.oversized);
            return end(close::TOO_BIG, "a message is larger than the limit");
        }
        tracing::debug!(%text, "a WebSocket client's connection broke");
        end(close::PROTOCOL, "not a WebSocket frame")
    }

    fn answer(&mut self, parsed: Result<ClientMessage, serde_json::Error>, received: kalmind_types::LslTime) {
        match parsed {
            Ok(ClientMessage::Stop {}) => {
                self.app.stop(self.authorised);
                self.reply(&Reply::accepted("stop"));
            }
            Ok(ClientMessage::Ping { t }) => {
                self.reply(&Reply::Pong { t, received, sent: self.app.hub.clock().lsl() });
            }
            Ok(ClientMessage::Auth { token }) => {
                if self.is_token(&token) {
                    // the answer first: `hello` follows at once where the token was waited for
                    self.reply(&Reply::accepted("auth"));
                    self.authorise();
                }
            }
            Ok(ClientMessage::Control { state, token }) => {
                if self.may_steer(token.as_deref()) {
                    self.outcome("control", self.app.control(state).map(|()| None));
                }
            }
            Ok(ClientMessage::Event { kind, time, data, token, .. }) => {
                if self.may_steer(token.as_deref()) {
                    self.outcome("events", self.app.event(kind, time, data).map(Some));
                }
            }
            Err(problem) => self.malformed(&format!("not a message that the server knows: {problem}")),
        }
    }

    /// Token and rate of a message that steers, judged as those of a request are.
    fn may_steer(&mut self, token: Option<&str>) -> bool {
        if let Some(token) = token {
            if !self.is_token(token) {
                return false;
            }
            self.authorise();
        }
        if !self.authorised {
            self.unauthorized(
                ErrorCode::Unauthorized,
                "this needs the run's token: send {\"type\":\"auth\",\"token\":\"..\"} first",
            );
            return false;
        }
        let within = self.app.within(&self.app.requests);
        if !within {
            self.reply(&Reply::Error { code: ErrorCode::TooFrequent, message: steering::TOO_FREQUENT });
        }
        within
    }

    fn outcome(&self, request: &str, outcome: Result<Option<u64>, ControlRefused>) {
        match outcome {
            Ok(event_seq) => self.reply(&Reply::Accepted { request, event_seq }),
            Err(refused) => {
                self.reply(&Reply::Error { code: refused.code(), message: &refused.to_string() });
            }
        }
    }

    fn is_token(&self, token: &str) -> bool {
        let right = self.app.access.is_token(token);
        if !right {
            self.unauthorized(ErrorCode::WrongToken, access::WRONG_TOKEN);
        }
        right
    }

    fn authorise(&mut self) {
        self.authorised = true;
        self.allow.send_replace(true);
    }

    fn unauthorized(&self, code: ErrorCode, message: &str) {
        count(&self.app.counters.unauthorized);
        self.reply(&Reply::Error { code, message });
    }

    fn malformed(&self, message: &str) {
        count(&self.app.counters.malformed);
        self.reply(&Reply::Error { code: ErrorCode::Malformed, message });
    }

    fn reply(&self, reply: &Reply<'_>) {
        if self.replies.try_send(to_json(reply).into()).is_err() {
            count(&self.app.counters.replies_dropped);
        }
    }
}

/// The side that speaks to the client.
struct Writer<'a> {
    app: &'a App,
    sink: &'a mut SplitSink<WebSocket, Message>,
    inbox: mpsc::Receiver<Utf8Bytes>,
    unanswered: &'a AtomicU32,
}

impl Writer<'_> {
    async fn run(&mut self, awaited: Option<watch::Receiver<bool>>, every: u64) -> End {
        if let Some(token) = awaited
            && let Err(end) = self.wait_for_token(token).await
        {
            return end;
        }
        self.stream_states(every).await.err().flatten()
    }

    /// Answers, and nothing else, until the client may read; then what is left to answer, so that the answer to `auth`
    /// comes before `hello`.
    async fn wait_for_token(&mut self, mut may_read: watch::Receiver<bool>) -> Result<(), End> {
        let mut too_late = pin!(time::sleep(self.app.limits.request_within));
        while !*may_read.borrow_and_update() {
            tokio::select! {
                biased;
                Some(reply) = self.inbox.recv() => self.send(reply).await?,
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

    async fn stream_states(&mut self, every: u64) -> Result<(), End> {
        let subscription = self.app.hub.subscribe();
        let (newest, mut receiver) = (subscription.newest, subscription.receiver);
        let mut continuity = Continuity::new(every, newest.last_seq, newest.event_seq, newest.shown);
        let hello = self.hello(&newest);
        self.send(hello.into()).await?;
        let mut pings = time::interval(self.app.limits.ping_every);
        pings.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(reply) = self.inbox.recv() => self.send(reply).await?,
                message = receiver.recv() => match message {
                    Ok(message) => self.forward(&mut continuity, message).await?,
                    Err(RecvError::Lagged(_)) => {
                        let caught_up = self.app.hub.subscribe();
                        receiver = caught_up.receiver;
                        self.catch_up(&mut continuity, caught_up.newest).await?;
                    }
                    Err(RecvError::Closed) => return Err(end(close::GOING_AWAY, "the daemon is ending")),
                },
                _ = pings.tick() => self.ping().await?,
            }
        }
    }

    /// Sends a message on, after a word about those that are missing before it.
    async fn forward(&mut self, continuity: &mut Continuity, message: Outgoing) -> Result<(), End> {
        let step = continuity.step(message.kind);
        if step.missed > 0 || step.missed_events > 0 {
            self.gap(step.missed, step.missed_events).await?;
        }
        if step.send { self.send(message.text).await } else { Ok(()) }
    }

    /// Tells a client that fell behind what it missed, and sends it the newest.
    async fn catch_up(&mut self, continuity: &mut Continuity, newest: Newest) -> Result<(), End> {
        let missed_events = continuity.skip_events(newest.event_seq);
        let step = newest.state.as_ref().map(|state| continuity.step(state.kind)).unwrap_or_default();
        if step.missed > 0 || missed_events > 0 {
            self.gap(step.missed, missed_events).await?;
        }
        if let Some(state) = newest.state
            && step.send
        {
            self.send(state.text).await?;
        }
        if let Some(heartbeat) = newest.heartbeat {
            self.forward(continuity, heartbeat).await?;
        }
        Ok(())
    }

    async fn gap(&mut self, missed: u64, missed_events: u64) -> Result<(), End> {
        count(&self.app.counters.gaps);
        self.app.counters.states_missed.fetch_add(missed, Ordering::Relaxed);
        self.app.counters.events_missed.fetch_add(missed_events, Ordering::Relaxed);
        self.send(to_json(&Reply::Gap { missed, missed_events }).into()).await
    }

    /// Pings, unless so many pings are unanswered that the client counts as gone.
    async fn ping(&mut self) -> Result<(), End> {
        let limits = &self.app.limits;
        let waited = limits.ping_every * self.unanswered.fetch_add(1, Ordering::Relaxed);
        if waited >= limits.pong_within {
            return Err(self.silent());
        }
        self.put(Message::Ping(axum::body::Bytes::new())).await
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.put(Message::Text(text)).await?;
        count(&self.app.counters.messages_sent);
        Ok(())
    }

    /// Writes to the socket; a client that takes nothing for as long as it may owe a pong counts as gone.
    async fn put(&mut self, message: Message) -> Result<(), End> {
        match time::timeout(self.app.limits.pong_within, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if took_nothing(&error) => Err(self.silent()),
            Ok(Err(_left)) => Err(None),
            Err(_elapsed) => Err(self.silent()),
        }
    }

    fn silent(&self) -> End {
        count(&self.app.counters.silent_disconnected);
        end(close::SILENT, "no pong in time")
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
            reason: newest.shown.reason.map(crate::message::ReasonText),
            sent: clock.lsl(),
        })
    }
}
