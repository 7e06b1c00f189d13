//! One WebSocket client: what it is sent, and what it may ask.
//!
//! Reading and writing go on side by side, so a client that does not read can still stop.

use core::pin::pin;
use std::sync::{Arc, atomic::Ordering};

use futures_util::{SinkExt as _, StreamExt as _, stream::SplitStream};
use kalmind_types::LslTime;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::CapacityError,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    ControlRefused, Credentials, access,
    admission::Admission,
    app::App,
    closing::{End, close, end},
    counters::count,
    flow::Flow,
    limits::GOODBYE_WITHIN,
    messages::{Accepted, AcceptedEvent, ErrorCode, ErrorMessage, Pong, to_json},
    placed::Placed,
    places::Place,
    rate::RateLimit,
    refusal::TOO_FREQUENT,
    request::{ClientMessage, is_stop},
    session_feed,
    writer::{Reading, Writer},
};

/// Answers that may wait for a client that asks and does not read.
const REPLIES: usize = 32;

/// Bytes that are read from a client in one go; there is one such buffer a client, cleared before each read, and most of
/// what clients say is a pong.
const READ_BUFFER: usize = 512;
/// How long a client may take to answer the server's goodbye.
const FAREWELL_WITHIN: time::Duration = time::Duration::from_millis(800);

/// Serves the WebSocket clients until the server ends.
pub(crate) async fn serve_clients(mut admissions: mpsc::Receiver<Admission>, app: &Arc<App>) {
    let mut ending = app.ending.clone();
    let mut clients = JoinSet::new();
    let mut relaying = pin!(app.relay.clone().run(&app.hub));
    let mut feeding = pin!(session_feed::run(app));
    loop {
        tokio::select! {
            biased;
            () = &mut relaying => break,
            () = &mut feeding => break,
            Some(admission) = admissions.recv() => {
                let app = Arc::clone(app);
                clients.spawn(async move {
                    count(&app.counters.websockets);
                    app.open_websockets.fetch_add(1, Ordering::Relaxed);
                    talk(admission, &app).await;
                    app.open_websockets.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Some(_) = clients.join_next() => {}
            _ = ending.changed() => break,
        }
    }
    drop(time::timeout(GOODBYE_WITHIN, async { while clients.join_next().await.is_some() {} }).await);
}

/// Serves one client until either side ends the connection.
async fn talk(admission: Admission, app: &Arc<App>) {
    let Admission { stream, said, wishes, credentials, reads_freely } = admission;
    let place = stream.place();
    place.becomes_websocket();
    let Ok(stream) = stream.moved_here() else { return };
    let limit = app.limits.message_bytes;
    let config = WebSocketConfig::default()
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit))
        .read_buffer_size(READ_BUFFER);
    let socket = WebSocketStream::from_partially_read(stream, said.into(), Role::Server, Some(config)).await;
    if credentials == Credentials::Wrong {
        return turn_away(socket, app).await;
    }
    let (mut sink, mut stream) = socket.split();

    let authorised = credentials == Credentials::Right;
    let (replies, inbox) = mpsc::channel(REPLIES);
    // who need not show a token gets `hello` before any answer
    let may_read = authorised || reads_freely;
    let (allow, token) = watch::channel(may_read);
    let awaited = (!may_read).then_some(token);
    let reading = Reading::new(Flow::new(&app.limits, wishes.acknowledges, app.hub.clock().lsl()));
    let console = wishes.console.clone();
    let reader =
        Reader { app, place: &place, replies, allow, authorised, reading: &reading, console, watched: true };
    let mut ending = app.ending.clone();
    let farewell = {
        let hearing = pin!(reader.run(&mut stream));
        let mut writer = Writer::new(app, &mut sink, inbox, &reading, wishes);
        let writing = pin!(writer.run(awaited));
        tokio::select! {
            end = hearing => end,
            end = writing => end,
            () = place.displaced() => end(close::TRY_AGAIN, "the place was needed for a client that reads"),
            _ = ending.wait_for(|ending| *ending) => end(close::GOING_AWAY, "the daemon is ending"),
        }
    };
    if let Ok(socket) = sink.reunite(stream) {
        // a client that does not read does not hold up anything
        drop(time::timeout(FAREWELL_WITHIN, say_goodbye(socket, farewell)).await);
    }
}

/// Ends the connection in order: the close frame, or the answer to the client's; then waits for the client to have read
/// it, since closing a connection with something unread in it would take the frame from the client again.
async fn say_goodbye(mut socket: WebSocketStream<Placed>, frame: End) -> Result<(), Error> {
    if let Some(frame) = frame {
        match socket.close(Some(frame)).await {
            // after a frame that breaks the protocol nothing can be said any more, and the client is to see why it ended
            Ok(()) | Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Capacity(_)) => {}
            Err(error) => return Err(error),
        }
    }
    // sends the answer to the client's goodbye, too
    while let Some(Ok(_left_unread)) = socket.next().await {}
    let stream = socket.get_mut();
    stream.shutdown().await?;
    let mut scrap = [0_u8; 1024];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(())
}

/// Tells a page that it connected with a token that is not the run's, and closes. A STOP that it has sent by then counts.
async fn turn_away(mut socket: WebSocketStream<Placed>, app: &App) {
    count(&app.counters.unauthorized);
    let error = ErrorMessage { code: ErrorCode::WrongToken, message: access::WRONG_TOKEN };
    let farewell = async {
        socket.send(Message::Text(to_json(&error).into())).await?;
        if let Some(frame) = end(close::WRONG_TOKEN, "the token is not this run's") {
            socket.close(Some(frame)).await?;
        }
        // until the page has closed too
        while let Some(message) = socket.next().await.transpose()? {
            if let Message::Text(text) = message
                && matches!(serde_json::from_str(&text), Ok(ClientMessage::Stop {}))
            {
                app.stop(false);
            }
        }
        Ok::<(), Error>(())
    };
    drop(time::timeout(FAREWELL_WITHIN, farewell).await);
}

/// The side that listens to the client.
struct Reader<'a> {
    app: &'a App,
    place: &'a Place,
    replies: mpsc::Sender<Utf8Bytes>,
    allow: watch::Sender<bool>,
    authorised: bool,
    reading: &'a Reading,
    /// The console that the client belongs to.
    console: Option<String>,
    /// Whether that one is watched over, as far as the client knows.
    watched: bool,
}

impl Reader<'_> {
    async fn run(mut self, stream: &mut SplitStream<WebSocketStream<Placed>>) -> End {
        let limits = &self.app.limits;
        let rate = limits.messages_per_second;
        let mut rate = RateLimit::new(rate, rate, self.app.hub.clock().lsl());
        while let Some(message) = stream.next().await {
            let received = self.app.hub.clock().lsl();
            let message = match message {
                Ok(message) => message,
                Err(error) => return self.broken(&error),
            };
            self.place.heard(received);
            let mut asks_for_stop = false;
            let parsed = match message {
                Message::Close(_) => return None,
                Message::Text(text) => {
                    let parsed = serde_json::from_str::<ClientMessage>(&text);
                    asks_for_stop = matches!(parsed, Ok(ClientMessage::Stop {}));
                    if parsed.is_err() && is_stop(&text) {
                        // with something beside it that nobody knows it is still a stop
                        asks_for_stop = true;
                        self.app.stop(self.authorised);
                    }
                    Some(parsed)
                }
                Message::Pong(number) if self.answers_ping(&number, received) => {
                    self.lives(received);
                    continue;
                }
                Message::Binary(_) => {
                    self.malformed("messages are JSON text, not binary");
                    None
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
            };
            // what the server has asked for costs the client nothing
            if let Some(Ok(ClientMessage::Ack { seq })) = parsed
                && self.reading.acknowledge(seq, received)
            {
                self.lives(received);
                continue;
            }
            // STOP counts against the limit, and is carried out before the limit is enforced
            let within_rate = rate.take(received);
            if let Some(parsed) = parsed
                && (within_rate || asks_for_stop)
            {
                self.answer(parsed, received);
            }
            if !within_rate {
                count(&self.app.counters.too_frequent);
                return end(close::POLICY, "too many messages a second");
            }
        }
        None
    }

    /// Whether a pong answers a ping of the server's.
    fn answers_ping(&self, number: &[u8], received: LslTime) -> bool {
        let number = number.try_into().map(u64::from_be_bytes);
        number.is_ok_and(|number| self.reading.pong(number, received))
    }

    /// A sign of life of the console that the client belongs to, and has shown the token for.
    fn lives(&mut self, now: LslTime) {
        if let Some(console) = &self.console
            && self.authorised
        {
            let until = self.reading.answered_until(now);
            self.watched = session_feed::heard(self.app, console, until, self.watched);
        }
    }

    /// What a frame that could not be read means.
    fn broken(&self, error: &Error) -> End {
        if let Error::Capacity(CapacityError::MessageTooLong { .. }) = error {
            count(&self.app.counters.oversized);
            return end(close::TOO_BIG, "a message is larger than the limit");
        }
        tracing::debug!(%error, "a WebSocket client's connection broke");
        end(close::PROTOCOL, "not a WebSocket frame")
    }

    fn answer(&mut self, parsed: Result<ClientMessage, serde_json::Error>, received: LslTime) {
        match parsed {
            Ok(ClientMessage::Stop {}) => {
                self.app.stop(self.authorised);
                self.reply(&Accepted { request: "stop" });
            }
            Ok(ClientMessage::Ping { t }) => {
                self.reply(&Pong { t, received, sent: self.app.hub.clock().lsl() });
            }
            // of a state that was not sent, or acknowledged before; harmless, and counted against the rate
            Ok(ClientMessage::Ack { .. }) => {}
            Ok(ClientMessage::Auth { token }) => {
                if self.is_token(&token) {
                    // the answer first: `hello` follows at once where the token was waited for
                    self.reply(&Accepted { request: "auth" });
                    self.authorise();
                }
            }
            Ok(ClientMessage::Control { state, token, confirm, model }) => {
                if self.may_steer(token.as_deref()) {
                    let done = self.app.control(state, &confirm.0, model, self.console.as_deref());
                    self.outcome(done.map(|()| Accepted { request: "control" }));
                }
            }
            Ok(ClientMessage::Event { kind, time, data, token, .. }) => {
                if self.may_steer(token.as_deref()) {
                    self.outcome(self.app.event(kind, time, data).map(AcceptedEvent::new));
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
            self.reply(&ErrorMessage { code: ErrorCode::TooFrequent, message: TOO_FREQUENT });
        }
        within
    }

    fn outcome(&self, outcome: Result<impl Serialize, ControlRefused>) {
        match outcome {
            Ok(accepted) => self.reply(&accepted),
            Err(refused) => {
                self.reply(&ErrorMessage { code: refused.code(), message: &refused.to_string() });
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
        self.reply(&ErrorMessage { code, message });
    }

    fn malformed(&self, message: &str) {
        count(&self.app.counters.malformed);
        self.reply(&ErrorMessage { code: ErrorCode::Malformed, message });
    }

    fn reply(&self, reply: &impl Serialize) {
        if self.replies.try_send(to_json(reply).into()).is_err() {
            count(&self.app.counters.replies_dropped);
        }
    }
}
