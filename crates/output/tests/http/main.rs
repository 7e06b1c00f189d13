//! HTTP by hand over TCP: what the browser, `curl`, another site's page and a hostile program would send.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use core::time::Duration;
use fake::{FakeDaemon, TOKEN, config};
use futures_util::StreamExt as _;
use kalmind_output::{Limits, ServerConfig, ServerError};
use kalmind_types::{Actor, Mode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[path = "../fake/mod.rs"]
mod fake;

mod models;
mod pages;
mod places;
mod session;

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends `text` as it stands and reads until the server closes.
async fn raw(daemon: &FakeDaemon, text: &str) -> Answer {
    let mut stream = TcpStream::connect(daemon.server.local_addr()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: String::from(body) }
}

/// A request with the right Host header and `headers` besides.
async fn ask(daemon: &FakeDaemon, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let host = daemon.server.local_addr();
    let length = body.len();
    raw(
        daemon,
        &format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             {headers}\r\n{body}"
        ),
    )
    .await
}

fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}\r\n")
}

#[tokio::test]
async fn status_tells_everything_and_the_daemon_cannot_overwrite_it() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let status = ask(&daemon, "GET", "/v1/status", "", "").await.json();
    assert_eq!(status["session"], fake::session().session);
    assert_eq!(status["state"], "control");
    assert_eq!(status["streams"][1]["health"], "stalled");
    assert_eq!(status["realtime"]["priority"], "refused");
    assert_eq!(status["ticks"]["published"], 0);
    assert_eq!(status["latency_us"]["total"]["count"], 0);
    assert_eq!(status["clients"]["connections"], 1);
}

#[tokio::test]
async fn ledger_is_in_status_and_metrics() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let now = daemon.hub.clock().lsl();
    let mut tick = fake::tick(0, now, kalmind_types::OutputState::Control, None);
    tick.late = true;
    kalmind_output::LedgerWriter::new(&daemon.ledger).record(&tick, now);
    let status = ask(&daemon, "GET", "/v1/status", "", "").await.json();
    assert_eq!(status["ticks"]["late"], 1);
    let total = status["latency_us"]["total"]["p50"].as_f64().unwrap();
    assert!((total - 3100.0).abs() < 5.0, "{total}");
    let metrics = ask(&daemon, "GET", "/metrics", "", "").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    for line in [
        "kalmind_state{state=\"control\"} 1",
        "kalmind_state{state=\"hold\"} 0",
        "kalmind_late_ticks_total 1",
        "kalmind_latency_seconds_count{stage=\"total\"} 1",
        "kalmind_stream_health{stream=\"eye\"} 2",
        "kalmind_clients_gaps_total 0",
        "kalmind_clients_origins_rejected_total 0",
        "fake 1",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "no line {line:?} in\n{}", metrics.body);
    }
}

#[tokio::test]
async fn every_metric_is_explained_typed_and_finite() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let metrics = ask(&daemon, "GET", "/metrics", "", "").await.body;
    let mut families = Vec::new();
    for line in metrics.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.push(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            assert!(families.iter().any(|family| name.starts_with(family.as_str())), "{line}");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        }
    }
    let mut unique = families.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), families.len(), "a family is declared twice");
}

#[tokio::test]
async fn stop_needs_no_token() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let answer = ask(&daemon, "POST", "/v1/stop", "", "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"type": "accepted", "request": "stop"})));
    ask(&daemon, "POST", "/v1/stop", "authorization: Bearer wrong\r\n", "").await;
    ask(&daemon, "POST", "/v1/stop", &bearer(), "").await;
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client, Actor::Client, Actor::Operator]);
}

#[tokio::test]
async fn control_and_events_need_the_token_and_carry_out_what_they_say() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let (control, event) =
        (r#"{"state":"idle"}"#, r#"{"kind":"target","data":{"position":[0.1,0.2],"radius":0.1}}"#);
    for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Basic 0123456789abcdef\r\n"] {
        for (path, body) in [("/v1/control", control), ("/v1/events", event)] {
            let answer = ask(&daemon, "POST", path, headers, body).await;
            assert_eq!(answer.status, 401, "{path} {headers}");
            assert!(answer.head.contains("www-authenticate: bearer"));
            assert!(answer.json()["message"].as_str().unwrap().contains("token"));
        }
    }
    assert_eq!(daemon.controls.requested(), []);
    let answer = ask(&daemon, "POST", &format!("/v1/control?token={TOKEN}"), "", control).await;
    assert_eq!(answer.status, 401, "a token in the query is none");

    assert_eq!(ask(&daemon, "POST", "/v1/control", &bearer(), control).await.status, 200);
    assert_eq!(daemon.controls.requested(), [Mode::Idle]);
    let answer = ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"hold"}"#).await;
    assert_eq!((answer.status, daemon.controls.stopped_by()), (200, vec![Actor::Operator]));
    let answer = ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"calibrating"}"#).await;
    assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("not_now")));
    let other =
        json!({"state": "control", "confirm": "poor_decoder", "model": "cd".repeat(32), "console": "page-1"});
    let other = other.to_string();
    let answer = ask(&daemon, "POST", "/v1/control", &bearer(), &other).await;
    assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("other_model")));
    assert_eq!(daemon.controls.requested(), [Mode::Idle], "none of them came through");
    // a confirmation belongs to control, and a stop counts whatever comes with it
    for state in ["idle", "calibrating", "hold"] {
        let body = json!({"state": state, "confirm": ["poor_decoder"]}).to_string();
        let answer = ask(&daemon, "POST", "/v1/control", &bearer(), &body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("invalid")), "{state}");
    }
    assert_eq!(daemon.controls.requested(), [Mode::Idle]);
    assert_eq!(daemon.controls.stopped_by(), [Actor::Operator, Actor::Operator]);
    for expected in 0..2 {
        let answer = ask(&daemon, "POST", "/v1/events", &bearer(), event).await;
        assert_eq!(answer.json(), json!({"type": "accepted", "request": "events", "event_seq": expected}));
    }
}

#[tokio::test]
async fn bodies_that_make_no_sense_get_an_error_that_says_why() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for (path, body, status, word) in [
        ("/v1/control", "", 400, "EOF"),
        ("/v1/control", "{", 400, "EOF"),
        ("/v1/control", r#"{"state":"fly"}"#, 400, "unknown variant `fly`"),
        ("/v1/control", r#"{"state":"idle","token":"x"}"#, 400, "unknown field"),
        ("/v1/events", r#"{"kind":"target"}"#, 400, "missing field `data`"),
        ("/v1/events", r#"{"kind":"target","time":"noon","data":{}}"#, 400, "invalid type"),
        ("/v1/events", r#"{"kind":"target","data":{}}"#, 422, "a target has a position"),
        ("/v1/events", r#"{"kind":"fault","data":{}}"#, 422, "only the daemon"),
    ] {
        let answer = ask(&daemon, "POST", path, &bearer(), body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.json()["message"].as_str().unwrap().contains(word), "{body}: {answer:?}");
    }
    assert_eq!(daemon.server.counts().malformed, 6);
}

#[tokio::test]
async fn oversized_and_too_frequent_requests_are_refused() {
    let limits = Limits { requests_per_second: 3, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let large = format!(r#"{{"kind":"trial","data":"{}"}}"#, "x".repeat(17_000));
    let answer = ask(&daemon, "POST", "/v1/events", &bearer(), &large).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("too_large")));
    let mut refused = 0;
    for _ in 0..50 {
        let answer = ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"idle"}"#).await;
        if answer.status == 429 {
            assert!(answer.head.contains("retry-after: 1"));
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "", "").await.status, 200, "STOP is never limited");
    let counts = daemon.server.counts();
    assert_eq!((counts.oversized, counts.too_frequent), (1, refused));
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_say_what_there_is() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let answer = ask(&daemon, "GET", "/v2/state", "", "").await;
    assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")));
    let answer = ask(&daemon, "GET", "/v1/stop", "", "").await;
    assert_eq!((answer.status, &answer.json()["code"]), (405, &json!("method_not_allowed")));
    let answer = ask(&daemon, "GET", "/v1/state", "", "").await;
    assert_eq!(answer.status, 426, "a plain GET of the WebSocket's path");
    let answer = ask(&daemon, "GET", "/../../Cargo.toml", "", "").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn console_is_served_with_types_and_revalidated() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/main.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = ask(&daemon, "GET", path, "", "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{path}: {}", answer.head);
        let tag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
        let again = ask(&daemon, "GET", path, &format!("if-none-match: {tag}\r\n"), "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
}

#[tokio::test]
async fn any_address_but_loopback_needs_the_token_for_reading() {
    let open = ServerConfig { bind: "0.0.0.0:0".parse().unwrap(), ..config() };
    let daemon = FakeDaemon::start(open).unwrap();
    let port = daemon.server.local_addr().port();
    let get = async |path: &str, headers: &str| {
        let host = format!("127.0.0.1:{port}");
        raw(&daemon, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"))
            .await
    };
    for path in ["/v1/status", "/metrics"] {
        assert_eq!(get(path, "").await.status, 401, "{path}");
        assert_eq!(get(path, &bearer()).await.status, 200, "{path}");
    }
    assert_eq!(get("/", "").await.status, 200, "the page itself holds no secret");
}

/// A WebSocket client that reads and answers pings for as long as it is kept.
struct Reading(tokio::task::JoinHandle<()>);

impl Reading {
    async fn start(daemon: &FakeDaemon) -> Self {
        let url = format!("ws://{}/v1/state", daemon.server.local_addr());
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.next().await.unwrap().unwrap();
        Self(tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} }))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn an_event_as_the_daemon_publishes_it_is_taken() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let data = json!({"position": [0.1, 0.2], "radius": 0.1});
    let event = json!({"type": "event", "time": 12.5, "event_seq": 41, "kind": "target", "data": data});
    let answer = ask(&daemon, "POST", "/v1/events", &bearer(), &event.to_string()).await;
    assert_eq!(
        answer.json(),
        json!({"type": "accepted", "request": "events", "event_seq": 0}),
        "numbered anew"
    );
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let address = daemon.server.local_addr();
    let error = FakeDaemon::start(ServerConfig { bind: address, ..config() }).err().unwrap();
    assert!(matches!(error, ServerError::PortInUse { address: named, .. } if named == address), "{error}");
}

#[tokio::test]
async fn a_server_that_ended_leaves_its_port_free() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let address = daemon.server.local_addr();
    let kept_alive = TcpStream::connect(address).await.unwrap();
    daemon.server.shutdown();
    FakeDaemon::start(ServerConfig { bind: address, ..config() }).unwrap();
    drop(kept_alive);
}
