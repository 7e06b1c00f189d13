//! The WebSocket, message by message, through an independent client library.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use core::time::Duration;

use fake::{FakeDaemon, TOKEN, config};
use futures_util::{SinkExt as _, StreamExt as _};
use kalmind_output::{Limits, ServerConfig};
use kalmind_types::{Actor, EventKind, Mode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::Request,
        protocol::{CloseFrame, Role},
    },
};

mod fake;

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

fn request(daemon: &FakeDaemon, query: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let url = format!("ws://{}/v1/state{query}", daemon.server.local_addr());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

impl Client {
    async fn connect(daemon: &FakeDaemon, query: &str) -> Self {
        Self::with_headers(daemon, query, &[]).await
    }

    async fn with_headers(daemon: &FakeDaemon, query: &str, headers: &[(&'static str, &str)]) -> Self {
        Self(connect_async(request(daemon, query, headers)).await.unwrap().0)
    }

    /// The next message of the server.
    async fn next(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a message: {other:?}"),
        }
    }

    /// The next frame that is not a ping.
    async fn frame(&mut self) -> Message {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Ping(_) => {}
                other => return other,
            }
        }
    }

    /// The next message of `kind`; others are skipped.
    async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    async fn send(&mut self, message: &Value) {
        self.send_text(message.to_string()).await;
    }

    async fn send_text(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Reads until the server closes.
    async fn closed(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = self.frame().await {
                return frame.unwrap();
            }
        }
    }
}

/// The HTTP status with which an upgrade is refused.
async fn refused(request: Request<()>) -> u16 {
    match connect_async(request).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the upgrade was not refused"),
    }
}

fn with_limits(limits: Limits) -> ServerConfig {
    ServerConfig { limits, ..config() }
}

#[tokio::test]
async fn hello_comes_first_and_says_everything() {
    let daemon = FakeDaemon::start(config()).unwrap();
    daemon.controls.emit(EventKind::Target, json!({"position": [0.25, 0.5], "radius": 0.06}));
    let hello = Client::connect(&daemon, "").await.next().await;
    assert_eq!(hello["type"], "hello");
    assert_eq!(hello["protocol"], 1);
    assert_eq!(hello["session"], fake::session().session);
    assert_eq!(hello["run"], 1_700_000_000);
    assert_eq!(hello["instance"], "fake");
    assert_eq!(hello["participant"], "P0");
    assert_eq!(hello["bin_ms"], 20.0);
    assert_eq!(hello["decoder"]["name"], "dkf-nw");
    assert_eq!(hello["intent"][1], json!({"name": "vy", "unit": "workspace widths/s"}));
    assert_eq!(hello["workspace"], json!({"width": 1.0, "height": 1.0}));
    assert_eq!(hello["streams"][0]["health"], "live");
    assert_eq!(hello["target"]["data"]["position"], json!([0.25, 0.5]));
    assert_eq!(hello["target"]["event_seq"], 0);
    assert_eq!(hello["state"], "control");
    assert!(hello["clock"]["lsl"].as_f64().unwrap() > 0.0);
    assert!(hello["clock"]["unix"].as_f64().unwrap() > 1.7e9);
}

#[tokio::test]
async fn hello_comes_before_the_answer_to_whatever_a_client_asks_as_it_connects() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for _ in 0..50 {
        // the upgrade and the first messages in one write, so that the server finds them together
        let address = daemon.server.local_addr();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut bytes = format!(
            "GET /v1/state HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into_bytes();
        for text in [r#"{"type":"stop"}"#, r#"{"type":"ping","t":1}"#] {
            // a text frame, masked by zeros
            bytes.extend([0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0]);
            bytes.extend(text.as_bytes());
        }
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let head = loop {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server hung up");
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break answer.drain(..end + 4).collect::<Vec<_>>();
            }
        };
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let socket =
            WebSocketStream::from_partially_read(MaybeTlsStream::Plain(stream), answer, Role::Client, None);
        let mut client = Client(socket.await);
        assert_eq!(client.next().await["type"], "hello");
        assert_eq!(client.next_of("accepted").await["request"], "stop");
        client.next_of("pong").await;
    }
}

#[tokio::test]
async fn an_allowed_page_that_is_not_our_own_shows_the_token_first() {
    let limits = Limits { request_within: Duration::from_millis(300), ..Limits::default() };
    let allowed_origins = vec![String::from("http://tasks.lab")];
    let daemon = FakeDaemon::start(ServerConfig { allowed_origins, ..with_limits(limits) }).unwrap();
    let foreign = ("origin", "http://tasks.lab");
    let mut client = Client::with_headers(&daemon, "", &[foreign]).await;
    assert_eq!(u16::from(client.closed().await.code), 4401);
    let mut client = Client::with_headers(&daemon, "", &[foreign]).await;
    client.send(&json!({"type": "auth", "token": TOKEN})).await;
    assert_eq!(client.next().await["type"], "accepted");
    assert_eq!(client.next().await["type"], "hello");
    let protocols = format!("kalmind.v1, kalmind.token.{TOKEN}");
    let shown = ("sec-websocket-protocol", protocols.as_str());
    let mut client = Client::with_headers(&daemon, "", &[foreign, shown]).await;
    assert_eq!(client.next().await["type"], "hello");
}

#[tokio::test]
async fn a_page_with_a_wrong_token_is_told_so() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let own = format!("http://{}", daemon.server.local_addr());
    let shown = ("sec-websocket-protocol", "kalmind.v1, kalmind.token.wrong");
    let mut client = Client::with_headers(&daemon, "", &[("origin", &own), shown]).await;
    // its STOP counts all the same
    client.send(&json!({"type": "stop"})).await;
    client.send(&json!({"type": "control", "state": "idle", "token": TOKEN})).await;
    assert_eq!(client.next().await["code"], "wrong_token");
    assert_eq!(u16::from(client.closed().await.code), 4403);
    while client.0.next().await.is_some_and(|frame| frame.is_ok()) {}
    assert_eq!(daemon.server.counts().unauthorized, 1);
    assert_eq!((daemon.controls.stopped_by(), daemon.controls.requested()), (vec![Actor::Client], vec![]));
}

#[tokio::test]
async fn an_event_needs_the_token_and_is_published_like_one_by_http() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    let data = json!({"position": [0.25, 0.5], "radius": 0.06});
    let event = json!({"type": "event", "kind": "target", "time": 12.5, "data": data});
    client.send(&event).await;
    assert_eq!(client.next_of("error").await["code"], "unauthorized");
    client.send(&json!({"type": "event", "kind": "target", "data": data, "token": "wrong"})).await;
    assert_eq!(client.next_of("error").await["code"], "wrong_token");
    // the token with the event counts for the rest of the connection; one that was received can be sent on as it is
    let mut sent = json!({"type": "event", "kind": "target", "data": data, "token": TOKEN});
    for event_seq in 0..2 {
        client.send(&sent).await;
        // the answer and the event itself come in either order
        let mut came = Vec::new();
        while came.len() < 2 {
            let message = client.next().await;
            if ["accepted", "event"].contains(&message["type"].as_str().unwrap()) {
                came.push(message);
            }
        }
        came.sort_by_key(|message| message["type"].to_string());
        assert_eq!(came[0], json!({"type": "accepted", "request": "events", "event_seq": event_seq}));
        let (event, kind) = (&came[1], &came[1]["kind"]);
        assert_eq!((&event["event_seq"], kind, &event["data"]), (&json!(event_seq), &json!("target"), &data));
        sent = came[1].clone();
    }
    client.send(&json!({"type": "event", "kind": "target", "data": {}})).await;
    let refused = client.next_of("error").await;
    assert_eq!(
        (&refused["code"], &refused["message"]),
        (&json!("invalid"), &json!("a target has a position: [x, y], or null"))
    );
    client.send(&json!({"type": "event", "kind": "fault", "data": {}})).await;
    assert!(client.next_of("error").await["message"].as_str().unwrap().contains("only the daemon"));
    let counts = daemon.server.counts();
    assert_eq!((counts.controls, counts.controls_refused, counts.unauthorized), (2, 2, 2));
}

#[tokio::test]
async fn events_and_controls_share_their_limit_with_http_and_stop_has_none() {
    let daemon =
        FakeDaemon::start(with_limits(Limits { requests_per_second: 3, ..Limits::default() })).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.send(&json!({"type": "auth", "token": TOKEN})).await;
    for number in 0..20 {
        let event = json!({"type": "event", "kind": "trial", "data": {"trial": number}});
        client.send(&if number % 2 == 0 { event } else { json!({"type": "control", "state": "idle"}) }).await;
    }
    assert_eq!(client.next_of("error").await["code"], "too_frequent");
    client.send(&json!({"type": "stop"})).await;
    while client.next_of("accepted").await["request"] != "stop" {}
    assert!(daemon.server.counts().too_frequent > 0);
}

#[tokio::test]
async fn a_tick_is_one_state_message() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    daemon.controls.tick();
    let state = client.next_of("state").await;
    let sent = fake::tick(0, kalmind_types::LslTime(0.0), kalmind_types::OutputState::Control, None);
    assert_eq!(state["session"], fake::session().session);
    assert_eq!((&state["seq"], &state["epoch"]), (&json!(0), &json!(0)));
    assert_eq!(state["state"], "control");
    assert_eq!(state["reason"], Value::Null);
    assert_eq!(state["incomplete"], false);
    assert_eq!(state["position"], json!(sent.output.position.0));
    assert_eq!(state["velocity"], json!(sent.output.velocity.0));
    let intent = sent.output.intent.unwrap();
    assert_eq!(state["intent"]["mean"], json!(intent.mean()));
    let triangle = intent.covariance();
    assert_eq!(
        state["intent"]["covariance"],
        json!([[triangle[0], triangle[1]], [triangle[1], triangle[2]]])
    );
    assert_eq!(
        state["click"],
        json!({"probability": 0.02, "pressed": false, "presses": 0, "releases": 0, "last_press_seq": null})
    );
    assert_eq!(state["age_ms"], 3.0);
    let (time, newest) = (state["time"].as_f64().unwrap(), state["newest"].as_f64().unwrap());
    assert!(newest < time && time < state["sent"].as_f64().unwrap());
    // from the clock readings that the tick carried: 2.7 ms, 0.1 ms and 0.2 ms
    for (stage, expected) in [("receive", 2700.0), ("close", 100.0), ("decode", 200.0)] {
        let found = state["latency_us"][stage].as_f64().unwrap();
        assert!((found - expected).abs() < 0.01, "{stage}: {found}");
    }
}

#[tokio::test]
async fn a_reader_that_keeps_up_sees_ten_thousand_fast_ticks_without_a_hole() {
    // on a busy machine a reader that keeps up may be kept from it for a while
    let patience = Duration::from_mins(10);
    let limits = Limits { silent_after: patience, oldest_state: patience, ..Limits::default() };
    let daemon = FakeDaemon::start(with_limits(limits)).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    // half the hub's queue is on its way at any time
    for _ in 0..128 {
        daemon.controls.tick();
    }
    for expected in 0..10_000_u64 {
        let message = loop {
            let message = client.next().await;
            if message["type"] != "heartbeat" {
                break message;
            }
        };
        assert_eq!(message["type"], "state", "{message}");
        assert_eq!(message["seq"], expected);
        if expected + 128 < 10_000 {
            daemon.controls.tick();
        }
    }
    assert_eq!(daemon.server.counts().gaps, 0);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_how_much_it_missed_and_gets_the_newest() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    // fill the client's own receive buffer, the socket's and the hub's queue: some 20 MB
    let (ticks, events) = (40_000_u64, 400_u64);
    for seq in 0..ticks {
        daemon.controls.tick();
        if seq % 100 == 99 {
            daemon.controls.emit(EventKind::Trial, json!({"trial": seq / 100, "phase": "start"}));
        }
    }
    let (mut states, mut missed, mut seen_events, mut missed_events) = (0, 0, 0, 0);
    let (mut last, mut gaps) = (None, 0);
    while last != Some(ticks - 1) || seen_events + missed_events < events {
        let message = client.next().await;
        match message["type"].as_str().unwrap() {
            "state" => {
                let seq = message["seq"].as_u64().unwrap();
                assert!(last.is_none_or(|last| seq > last), "{seq} after {last:?}");
                last = Some(seq);
                states += 1;
            }
            "gap" => {
                gaps += 1;
                missed += message["missed"].as_u64().unwrap();
                missed_events += message["missed_events"].as_u64().unwrap();
            }
            "event" => seen_events += 1,
            "heartbeat" => {}
            other => panic!("{other}"),
        }
    }
    assert!(gaps > 0, "40,000 ticks fitted into the buffers");
    assert_eq!(states + missed, ticks);
    assert_eq!(seen_events + missed_events, events);
    assert_eq!(daemon.server.counts().gaps, gaps);
}

#[tokio::test]
async fn a_client_that_paused_gets_a_gap_and_the_newest_state_next() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    let mut watcher = Client::connect(&daemon, "").await;
    watcher.next_of("hello").await;
    // while the client does not read, it answers no ping either: some heartbeats later it is sent nothing more
    for _ in 0..6 {
        watcher.next_of("heartbeat").await;
    }
    for seq in 0..100 {
        daemon.controls.tick();
        assert_eq!(watcher.next_of("state").await["seq"], seq);
    }
    assert_eq!(client.next_of("gap").await, json!({"type": "gap", "missed": 99, "missed_events": 0}));
    assert_eq!(client.next().await["seq"], 99);
}

#[tokio::test]
async fn a_client_that_paused_misses_no_event() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    let mut watcher = Client::connect(&daemon, "").await;
    watcher.next_of("hello").await;
    for _ in 0..6 {
        watcher.next_of("heartbeat").await;
    }
    for trial in 0..100 {
        daemon.controls.tick();
        daemon.controls.emit(EventKind::Trial, json!({"trial": trial, "phase": "start"}));
        watcher.next_of("event").await;
    }
    for trial in 0..100 {
        assert_eq!(client.next_of("event").await["data"]["trial"], trial);
    }
}

#[tokio::test]
async fn a_client_that_acknowledges_has_four_states_under_way_at_most() {
    // a busy machine may take its time between two of them
    let limits = Limits { silent_after: Duration::from_mins(10), ..Limits::default() };
    let daemon = FakeDaemon::start(with_limits(limits)).unwrap();
    let mut client = Client::connect(&daemon, "?flow=ack").await;
    let hello = client.next_of("hello").await;
    assert_eq!((&hello["flow"]["mode"], &hello["flow"]["states_under_way"]), (&json!("ack"), &json!(4)));
    let mut watcher = Client::connect(&daemon, "").await;
    let hello = watcher.next_of("hello").await;
    assert_eq!((&hello["flow"]["mode"], &hello["flow"]["states_under_way"]), (&json!("ping"), &Value::Null));
    for seq in 0..10 {
        daemon.controls.tick();
        assert_eq!(watcher.next_of("state").await["seq"], seq);
    }
    // it reads, and so answers pings, as a browser does while its page hangs
    for seq in 0..4 {
        assert_eq!(client.next_of("state").await["seq"], seq);
    }
    client.send(&json!({"type": "ack", "seq": 3})).await;
    assert_eq!(client.next_of("gap").await["missed"], 5);
    assert_eq!(client.next().await["seq"], 9);
}

#[tokio::test]
async fn acknowledgements_that_were_asked_for_are_not_counted_as_messages() {
    let limits = Limits { messages_per_second: 1, ..Limits::default() };
    let daemon = FakeDaemon::start(with_limits(limits)).unwrap();
    let mut client = Client::connect(&daemon, "?flow=ack").await;
    client.next_of("hello").await;
    for seq in 0..100 {
        daemon.controls.tick();
        assert_eq!(client.next_of("state").await["seq"], seq);
        client.send(&json!({"type": "ack", "seq": seq})).await;
    }
    for _ in 0..100 {
        // of a state that it acknowledged before; the server may have closed already
        drop(client.0.feed(Message::text(r#"{"type":"ack","seq":0}"#)).await);
    }
    drop(client.0.flush().await);
    assert_eq!(u16::from(client.closed().await.code), 1008);
}

#[tokio::test]
async fn the_clients_goodbye_is_answered_and_the_servers_too() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    let goodbye = CloseFrame { code: 1000.into(), reason: "done".into() };
    client.0.close(Some(goodbye.clone())).await.unwrap();
    assert_eq!(client.closed().await, goodbye);
    assert!(client.0.next().await.is_none(), "the connection ended in order");
    // one that sends more than the server reads before it says goodbye gets that goodbye all the same
    let mut client = Client::connect(&daemon, "").await;
    for _ in 0..200 {
        drop(client.0.feed(Message::text("x".repeat(4000))).await);
    }
    drop(client.0.flush().await);
    assert_eq!(u16::from(client.closed().await.code), 1008);
    assert!(client.0.next().await.is_none(), "the connection ended in order");
}

#[tokio::test]
async fn ticks_that_the_queue_refused_are_a_gap_too() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    daemon.controls.tick();
    daemon.controls.skip(7);
    daemon.controls.tick();
    client.next_of("state").await;
    assert_eq!(client.next_of("gap").await, json!({"type": "gap", "missed": 7, "missed_events": 0}));
    assert_eq!(client.next_of("state").await["seq"], 8);
}

#[tokio::test]
async fn every_thins_ticks_and_never_events_or_changes_of_state() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "?every=5").await;
    client.next_of("hello").await;
    for _ in 0..8 {
        daemon.controls.tick();
    }
    assert_eq!(client.next_of("state").await["seq"], 0);
    assert_eq!(client.next_of("state").await["seq"], 5);
    daemon.controls.emit(EventKind::Trial, json!({"trial": 1, "phase": "start"}));
    assert_eq!(client.next_of("event").await["data"]["trial"], 1);
    client.send(&json!({"type": "stop"})).await;
    loop {
        let message = client.next_of("heartbeat").await;
        if message["state"] == "hold" {
            break;
        }
    }
}

#[tokio::test]
async fn every_takes_whole_numbers_from_one_and_the_query_takes_nothing_else() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for query in [
        "?every=0",
        "?every=-1",
        "?every=x",
        "?every=1.5",
        "?flow=x",
        "?token=0123456789abcdef0123456789abcdef",
    ] {
        assert_eq!(refused(request(&daemon, query, &[])).await, 400, "{query}");
    }
}

#[tokio::test]
async fn stop_reaches_every_client_at_once_without_ticks() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(&daemon, "").await;
        client.next_of("hello").await;
        clients.push(client);
    }
    clients[0].send(&json!({"type": "stop"})).await;
    for client in &mut clients {
        let heartbeat = loop {
            let message = client.next_of("heartbeat").await;
            if message["state"] == "hold" {
                break message;
            }
        };
        assert_eq!(heartbeat["reason"], "stopped by a client");
    }
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client]);
}

#[tokio::test]
async fn without_ticks_heartbeats_come_and_a_silent_tick_thread_becomes_a_fault() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    let first = client.next_of("heartbeat").await;
    assert_eq!(first["state"], "control");
    assert_eq!(first["last_seq"], Value::Null);
    daemon.controls.tick();
    let fault = loop {
        let message = client.next_of("heartbeat").await;
        if message["state"] != "control" {
            break message;
        }
    };
    assert_eq!(fault["state"], "fault");
    assert!(fault["reason"].as_str().unwrap().starts_with("decoding stopped"), "{fault}");
    // a tick is a sign of life
    daemon.controls.tick();
    assert_eq!(client.next_of("state").await["state"], "control");
}

#[tokio::test]
async fn ping_is_answered_with_the_daemons_times() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    let before = daemon.hub.clock().lsl().0;
    client.send(&json!({"type": "ping", "t": 12.25})).await;
    let pong = client.next_of("pong").await;
    let after = daemon.hub.clock().lsl().0;
    assert_eq!(pong["t"], 12.25);
    for t in [json!(9_007_199_254_740_993_u64), json!(-3), json!("a-7")] {
        client.send(&json!({"type": "ping", "t": t})).await;
        assert_eq!(client.next_of("pong").await["t"], t);
    }
    let (received, sent) = (pong["received"].as_f64().unwrap(), pong["sent"].as_f64().unwrap());
    assert!(before <= received && received <= sent && sent <= after);
}

#[tokio::test]
async fn control_needs_the_token_by_message_header_or_subprotocol() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let control = json!({"type": "control", "state": "control"});
    let accepted = json!({"type": "accepted", "request": "control"});

    let mut client = Client::connect(&daemon, "").await;
    client.send(&control).await;
    assert_eq!(client.next_of("error").await["code"], "unauthorized");
    client.send(&json!({"type": "control", "state": "control", "token": "wrong"})).await;
    let refused = client.next_of("error").await;
    assert_eq!(refused["code"], "wrong_token");
    assert!(refused["message"].as_str().unwrap().contains("not this run's"), "{refused}");
    client.send(&json!({"type": "auth", "token": "wrong"})).await;
    assert_eq!(client.next_of("error").await["code"], "wrong_token");
    assert_eq!(daemon.controls.requested(), []);
    client.send(&json!({"type": "auth", "token": TOKEN})).await;
    assert_eq!(client.next_of("accepted").await["request"], "auth");
    client.send(&control).await;
    assert_eq!(client.next_of("accepted").await, accepted);

    let mut client = Client::connect(&daemon, "").await;
    client.send(&json!({"type": "control", "state": "idle", "token": TOKEN})).await;
    assert_eq!(client.next_of("accepted").await, accepted);

    let bearer = format!("Bearer {TOKEN}");
    let mut client = Client::with_headers(&daemon, "", &[("authorization", &bearer)]).await;
    client.send(&control).await;
    assert_eq!(client.next_of("accepted").await, accepted);

    let protocols = format!("kalmind.v1, kalmind.token.{TOKEN}");
    let (socket, response) =
        connect_async(request(&daemon, "", &[("sec-websocket-protocol", &protocols)])).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "kalmind.v1");
    let mut client = Client(socket);
    client.send(&control).await;
    assert_eq!(client.next_of("accepted").await, accepted);

    assert_eq!(daemon.controls.requested(), [Mode::Control, Mode::Idle, Mode::Control, Mode::Control]);
    assert_eq!(daemon.server.counts().unauthorized, 3);
}

#[tokio::test]
async fn hold_is_a_stop_and_a_refusal_says_why() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.send(&json!({"type": "control", "state": "hold", "token": TOKEN})).await;
    client.next_of("accepted").await;
    assert_eq!(daemon.controls.stopped_by(), [Actor::Operator]);
    client.send(&json!({"type": "control", "state": "calibrating"})).await;
    let refused = client.next_of("error").await;
    assert_eq!(refused["code"], "not_now");
    assert_eq!(refused["message"], "no task is loaded: name one under [task]");
    let other =
        json!({"type": "control", "state": "control", "confirm": "poor_decoder", "model": "cd".repeat(32)});
    client.send(&other).await;
    assert_eq!(client.next_of("error").await["code"], "other_model");
    client.send(&json!({"type": "control", "state": "idle", "confirm": "slow_input"})).await;
    let refused = client.next_of("error").await;
    assert_eq!(refused["code"], "invalid");
    assert!(refused["message"].as_str().unwrap().contains("control"), "{refused}");
    assert!(daemon.controls.requested().is_empty());
}

#[tokio::test]
async fn a_wrong_token_origin_or_host_refuses_the_upgrade() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for (headers, status) in [
        (("authorization", "Bearer wrong"), 401),
        (("sec-websocket-protocol", "kalmind.v1, kalmind.token.wrong"), 401),
        (("origin", "http://evil.example"), 403),
        (("origin", "null"), 403),
        (("host", "evil.example"), 403),
    ] {
        assert_eq!(refused(request(&daemon, "", &[headers])).await, status, "{headers:?}");
    }
    let counts = daemon.server.counts();
    assert_eq!((counts.hosts_rejected, counts.origins_rejected, counts.unauthorized), (1, 2, 2));
    let own = format!("http://{}", daemon.server.local_addr());
    let hello = Client::with_headers(&daemon, "", &[("origin", &own)]).await.next().await;
    assert_eq!(hello["type"], "hello");
}

#[tokio::test]
async fn malformed_messages_get_an_error_and_are_counted() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    for text in ["{", "[]", "{\"type\":\"resume\"}", "{\"type\":\"ping\",\"t\":null}", ""] {
        client.send_text(String::from(text)).await;
        assert_eq!(client.next_of("error").await["code"], "malformed", "{text}");
    }
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.next_of("error").await["code"], "malformed");
    assert_eq!(daemon.server.counts().malformed, 6);
    // and the connection lives on
    client.send(&json!({"type": "ping", "t": 1.0})).await;
    client.next_of("pong").await;
}

#[tokio::test]
async fn an_oversized_message_ends_the_connection() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.send_text(format!("{{\"type\":\"auth\",\"token\":\"{}\"}}", "x".repeat(5000))).await;
    assert_eq!(u16::from(client.closed().await.code), 1009);
    assert_eq!(daemon.server.counts().oversized, 1);
}

#[tokio::test]
async fn too_many_messages_end_the_connection_but_a_stop_among_them_counts() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    for _ in 0..60 {
        // the server may have closed already
        if client.0.feed(Message::text(r#"{"type":"ping","t":1}"#)).await.is_err() {
            break;
        }
    }
    drop(client.0.flush().await);
    assert_eq!(u16::from(client.closed().await.code), 1008);
    assert_eq!(daemon.server.counts().too_frequent, 1);

    let mut client = Client::connect(&daemon, "").await;
    for _ in 0..50 {
        client.0.feed(Message::text(r#"{"type":"ping","t":1}"#)).await.unwrap();
    }
    client.0.feed(Message::text(r#"{"type":"stop"}"#)).await.unwrap();
    client.0.flush().await.unwrap();
    assert_eq!(u16::from(client.closed().await.code), 1008);
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client]);
}

#[tokio::test]
async fn a_client_that_never_answers_pings_is_disconnected() {
    let limits = Limits {
        ping_every: Duration::from_millis(20),
        pong_within: Duration::from_millis(100),
        ..Limits::default()
    };
    let daemon = FakeDaemon::start(with_limits(limits)).unwrap();
    let silent = Client::connect(&daemon, "").await;
    // a client that reads, and so answers, stays; it sees the other one go
    let mut lively = Client::connect(&daemon, "").await;
    while daemon.server.counts().silent_disconnected == 0 {
        lively.next().await;
    }
    lively.send(&json!({"type": "ping", "t": 1.0})).await;
    lively.next_of("pong").await;
    assert_eq!(daemon.server.counts().silent_disconnected, 1);
    drop(silent);
}

#[tokio::test]
async fn a_client_that_does_not_read_can_still_stop() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    let mut watcher = Client::connect(&daemon, "").await;
    watcher.next_of("hello").await;
    // 8 MB, more than the buffers on the way take: the server is stuck in writing to it
    for _ in 0..2000 {
        daemon.controls.emit(EventKind::Operator, json!({"remark": "x".repeat(4000)}));
        while !["event", "gap"].contains(&watcher.next().await["type"].as_str().unwrap()) {}
    }
    client.send(&json!({"type": "stop"})).await;
    loop {
        if watcher.next().await["state"] == "hold" {
            break;
        }
    }
}

#[tokio::test]
async fn events_arrive_in_order_with_one_schema() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    client.next_of("hello").await;
    let data = [
        (EventKind::Target, json!({"position": [0.1, 0.2], "radius": 0.05})),
        (EventKind::Trial, json!({"trial": 3, "phase": "start", "result": null})),
        (EventKind::TaskBlock, json!({"block": "closed loop", "phase": "start"})),
        (EventKind::Operator, json!({"action": "stop", "by": "client"})),
        (EventKind::Model, json!({"action": "swapped", "hash": "ab"})),
        (EventKind::State, json!({"state": "stale", "previous": "control"})),
        (EventKind::Fault, json!({"state": "fault", "previous": "stale"})),
    ];
    for (kind, data) in data.clone() {
        daemon.controls.emit(kind, data);
    }
    for (event_seq, (kind, data)) in (0_u64..).zip(data) {
        let event = client.next_of("event").await;
        assert_eq!(event["event_seq"], event_seq);
        assert_eq!(event["kind"], serde_json::to_value(kind).unwrap());
        assert_eq!(event["data"], data);
        assert!(event["time"].as_f64().unwrap() > 0.0);
    }
}

#[tokio::test]
async fn any_address_but_loopback_needs_the_token_for_reading_and_stops_without() {
    let limits = Limits { request_within: Duration::from_millis(300), ..Limits::default() };
    let open = ServerConfig { bind: "0.0.0.0:0".parse().unwrap(), ..with_limits(limits) };
    let mut daemon = FakeDaemon::start(open).unwrap();
    let port = daemon.server.local_addr().port();
    let url = format!("ws://127.0.0.1:{port}/v1/state");

    // nothing but answers before the token, and goodbye if it does not come
    let mut client = Client(connect_async(url.as_str()).await.unwrap().0);
    client.send(&json!({"type": "stop"})).await;
    assert_eq!(client.next().await, json!({"type": "accepted", "request": "stop"}));
    assert_eq!(u16::from(client.closed().await.code), 4401);
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client]);

    let mut client = Client(connect_async(url.as_str()).await.unwrap().0);
    client.send(&json!({"type": "auth", "token": TOKEN})).await;
    assert_eq!(client.next().await["type"], "accepted");
    assert_eq!(client.next().await["type"], "hello");

    daemon.server = FakeDaemon::start(config()).unwrap().server;
    assert_eq!(u16::from(client.closed().await.code), 1001, "the server said goodbye when it ended");
}
