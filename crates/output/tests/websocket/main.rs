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

#[path = "../fake/mod.rs"]
mod fake;

mod access;
mod flow;
mod session;

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

/// Limits under which no state is left out because a busy machine was slow to send it, or to answer.
fn patient() -> Limits {
    let patience = Duration::from_mins(10);
    Limits { silent_after: patience, oldest_state: patience, ..Limits::default() }
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
