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

mod fake;

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
async fn stop_from_another_sites_page_is_refused() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for headers in ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        let answer = ask(&daemon, "POST", "/v1/stop", headers, "").await;
        assert_eq!(answer.status, 403, "{headers}");
        assert_eq!(answer.json()["code"], "forbidden");
    }
    assert_eq!(daemon.controls.stopped_by(), []);
    assert_eq!(daemon.server.counts().origins_rejected, 3);
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
    let other = json!({"state": "control", "confirm": "poor_decoder", "model": "cd".repeat(32)}).to_string();
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
async fn host_is_checked_on_every_path() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let port = daemon.server.local_addr().port();
    let paths = ["GET /", "GET /v1/status", "GET /metrics", "GET /v1/state", "POST /v1/stop", "GET /nowhere"];
    for path in paths {
        for host in [format!("evil.example:{port}"), String::from("127.0.0.1"), String::from("127.0.0.1:1")] {
            let answer =
                raw(&daemon, &format!("{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
            assert_eq!(answer.status, 403, "{path} {host}");
        }
        let answer = raw(&daemon, &format!("{path} HTTP/1.1\r\nconnection: close\r\n\r\n")).await;
        assert!([400, 403].contains(&answer.status), "{path} without a host: {}", answer.status);
    }
    assert_eq!(daemon.controls.stopped_by(), []);
    let answer =
        raw(&daemon, &format!("GET / HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_answer_keeps_other_sites_out() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for path in ["/", "/v1/status", "/metrics", "/nowhere"] {
        let head = ask(&daemon, "GET", path, "", "").await.head;
        for line in [
            "content-security-policy: default-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(line), "{path}: no {line:?} in\n{head}");
        }
        assert!(!head.contains("access-control-allow"), "{path}: {head}");
    }
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
async fn where_readers_have_all_places_one_more_is_told_so() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let readers = [Reading::start(&daemon).await, Reading::start(&daemon).await];
    for (method, path) in [("GET", "/v1/status"), ("GET", "/"), ("POST", "/v1/control"), ("GET", "/v1/stop")]
    {
        let answer = ask(&daemon, method, path, "", "").await;
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("too_many")), "{method} {path}");
        assert!(answer.head.contains("retry-after: 5") && answer.head.contains("connection: close"));
    }
    assert_eq!(daemon.server.counts().connections_refused, 4);
    // a place that is given up can be taken again
    drop(readers);
    while ask(&daemon, "GET", "/", "", "").await.status != 200 {}
}

#[tokio::test]
async fn stop_works_with_all_places_taken_and_for_nobody_elses_page() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let _taken = Reading::start(&daemon).await;
    let answer = ask(&daemon, "POST", "/v1/stop", "", "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"type": "accepted", "request": "stop"})));
    ask(&daemon, "POST", "/v1/stop", &bearer(), "{}").await;
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "origin: http://evil.example\r\n", "").await.status, 403);
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client, Actor::Operator]);
    assert_eq!(daemon.server.counts().connections_refused, 0, "STOP needs no place");
}

#[tokio::test]
async fn connections_that_say_nothing_take_no_place_and_the_oldest_makes_room() {
    let limits = Limits { connections: 1, request_within: Duration::from_mins(10), ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let address = daemon.server.local_addr();
    let mut silent = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // every other one has begun to say something
        if number % 2 == 0 {
            stream.write_all(b"POST /v1/stop HTTP/1.1\r\nhost:").await.unwrap();
        }
        silent.push(stream);
    }
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "", "").await.status, 200);
    assert_eq!(ask(&daemon, "GET", "/v1/status", "", "").await.status, 200);
    // the oldest were dropped to make room, the newest are there still
    let mut rest = Vec::new();
    drop(silent[0].read_to_end(&mut rest).await);
    assert!(rest.is_empty());
    let newest = silent.last_mut().unwrap();
    newest.write_all(format!("GET /v1/status HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    assert!(newest.read_buf(&mut rest).await.unwrap() > 0);
    assert!(rest.starts_with(b"HTTP/1.1 200"));
    let dropped = daemon.server.counts().waiting_dropped;
    assert!((44..=48).contains(&dropped), "{dropped} of 302 dropped, where 256 may wait");
}

#[tokio::test]
async fn a_connection_idle_between_requests_gives_its_place_up_to_a_new_one() {
    let limits = Limits { connections: 2, request_within: Duration::from_mins(10), ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let address = daemon.server.local_addr();
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("GET /nowhere HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
        idle.push(stream);
    }
    let mut rest = Vec::new();
    assert_eq!(idle[0].read_to_end(&mut rest).await.unwrap(), 0, "it had been silent for longest");
    assert_eq!(daemon.server.counts().connections_displaced, 1);
}

#[tokio::test]
async fn too_many_requests_over_one_connection_end_it_but_a_stop_among_them_counts() {
    let limits = Limits { requests_per_connection: 3, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let host = daemon.server.local_addr();
    let get = format!("GET /nowhere HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let stop = format!("POST /v1/stop HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let answer = raw(&daemon, &format!("{}{stop}{}", get.repeat(3), get.repeat(100))).await;
    let all = format!("{}\r\n\r\n{}", answer.head, answer.body);
    assert!(all.contains("429 too many requests") || all.contains("429 Too Many Requests"), "{all}");
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client]);
    assert_eq!(daemon.server.counts().too_frequent, 1);
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_loses_its_place() {
    let limits = Limits { connections: 1, pong_within: Duration::from_millis(100), ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let host = daemon.server.local_addr();
    let mut greedy = TcpStream::connect(host).await.unwrap();
    let request = format!("GET /view.js HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(1000);
    // ends when the server does not take any more of it, because it has hung up
    while greedy.write_all(request.as_bytes()).await.is_ok() {}
    assert_eq!(daemon.server.counts().silent_disconnected, 1);
    while ask(&daemon, "GET", "/", "", "").await.status != 200 {}
}

#[tokio::test]
async fn reads_are_limited_and_stop_is_not() {
    let limits = Limits { reads_per_second: 3, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let mut refused = 0;
    for _ in 0..20 {
        for path in ["/v1/status", "/metrics"] {
            let answer = ask(&daemon, "GET", path, "", "").await;
            if answer.status == 429 {
                assert_eq!(answer.json()["code"], "too_frequent");
                assert!(answer.head.contains("retry-after: 1"));
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    assert_eq!(daemon.server.counts().too_frequent, refused);
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "", "").await.status, 200);
    let control = ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"idle"}"#).await;
    assert_eq!(control.status, 200, "steering has a limit of its own");
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
async fn an_allowed_page_that_is_not_our_own_needs_the_token_for_reading() {
    let allowed_origins = vec![String::from("http://tasks.lab")];
    let daemon = FakeDaemon::start(ServerConfig { allowed_origins, ..config() }).unwrap();
    let own = format!("origin: http://{}\r\n", daemon.server.local_addr());
    let foreign = "origin: http://tasks.lab\r\n";
    for path in ["/v1/status", "/metrics"] {
        assert_eq!(ask(&daemon, "GET", path, foreign, "").await.status, 401, "{path}");
        assert_eq!(
            ask(&daemon, "GET", path, &format!("{foreign}{}", bearer()), "").await.status,
            200,
            "{path}"
        );
        assert_eq!(ask(&daemon, "GET", path, &own, "").await.status, 200, "{path}");
    }
    assert_eq!(ask(&daemon, "POST", "/v1/stop", foreign, "").await.status, 200, "whoever is let in may stop");
}

const TASKS: &str = "origin: http://tasks.lab\r\n";

/// A daemon that lets pages of `http://tasks.lab` and pages without an origin in.
fn open_to_tasks(limits: Limits) -> FakeDaemon {
    let allowed_origins = vec![String::from("http://tasks.lab"), String::from("null")];
    FakeDaemon::start(ServerConfig { allowed_origins, limits, ..config() }).unwrap()
}

const PATHS: [(&str, &str); 9] = [
    ("GET", "/"),
    ("GET", "/v1/state"),
    ("GET", "/v1/status"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/asyncapi.json"),
    ("POST", "/v1/stop"),
    ("POST", "/v1/control"),
    ("POST", "/v1/events"),
];

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_every_answer_errors_too() {
    let daemon = open_to_tasks(Limits::default());
    let all = PATHS.into_iter().chain([("GET", "/nowhere"), ("DELETE", "/v1/status"), ("GET", "/v1/stop")]);
    for (method, path) in all {
        for token in [String::new(), bearer(), String::from("authorization: Bearer wrong\r\n")] {
            let answer = ask(&daemon, method, path, &format!("{TASKS}{token}"), "").await;
            for line in [
                "access-control-allow-origin: http://tasks.lab",
                "access-control-expose-headers: retry-after, www-authenticate, allow",
                "cross-origin-resource-policy: cross-origin",
                "vary: origin",
            ] {
                assert!(answer.head.lines().any(|found| found == line), "{path}: no {line}: {answer:?}");
            }
            assert!(!answer.head.contains("allow-credentials"), "{path}: {answer:?}");
        }
    }
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client, Actor::Operator, Actor::Client]);
    // a wrong Host header is refused all the same, and the page learns why
    let answer =
        raw(&daemon, &format!("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n{TASKS}\r\n"))
            .await;
    assert_eq!(answer.status, 403);
    assert!(answer.head.contains("access-control-allow-origin: http://tasks.lab"), "{answer:?}");
}

#[tokio::test]
async fn preflights_are_answered_on_every_path_private_networks_included() {
    let daemon = open_to_tasks(Limits::default());
    let asks = "access-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type\r\n";
    for (_, path) in PATHS.into_iter().chain([("GET", "/nowhere")]) {
        let answer = ask(&daemon, "OPTIONS", path, &format!("{TASKS}{asks}"), "").await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        for line in [
            "access-control-allow-origin: http://tasks.lab",
            "access-control-allow-methods: get, head, post, options",
            "access-control-allow-headers: authorization, *",
            "access-control-max-age: 600",
        ] {
            assert!(answer.head.lines().any(|found| found == line), "{path}: no {line}: {answer:?}");
        }
        assert!(!answer.head.contains("private-network"), "{path}: {answer:?}");
        let private = format!("{TASKS}{asks}access-control-request-private-network: true\r\n");
        let answer = ask(&daemon, "OPTIONS", path, &private, "").await;
        assert!(answer.head.contains("access-control-allow-private-network: true"), "{path}: {answer:?}");
        // a page that is not let in is told nothing
        for origin in ["http://evil.example", "http://tasks.lab:81", "https://tasks.lab", "file://"] {
            let answer = ask(&daemon, "OPTIONS", path, &format!("origin: {origin}\r\n{asks}"), "").await;
            assert_eq!(answer.status, 403, "{path} {origin}");
            assert!(!answer.head.contains("access-control"), "{path} {origin}: {answer:?}");
        }
        let answer = ask(&daemon, "OPTIONS", path, "", "").await;
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.head.contains("allow: get, head, post, options"), "{path}: {answer:?}");
        assert!(!answer.head.contains("access-control"), "{path}: {answer:?}");
    }
    assert_eq!(daemon.controls.stopped_by(), [], "asking is not doing");
}

#[tokio::test]
async fn an_allowed_page_can_stop_and_learn_of_it_with_all_places_taken() {
    let daemon = open_to_tasks(Limits { connections: 1, ..Limits::default() });
    let _taken = Reading::start(&daemon).await;
    let asks = format!("{TASKS}access-control-request-method: POST\r\n");
    assert_eq!(ask(&daemon, "OPTIONS", "/v1/stop", &asks, "").await.status, 204);
    for (method, path, status) in [("POST", "/v1/stop", 200), ("GET", "/v1/status", 503)] {
        let answer = ask(&daemon, method, path, TASKS, "").await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.head.contains("access-control-allow-origin: http://tasks.lab"), "{answer:?}");
    }
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client]);
}

#[tokio::test]
async fn a_page_without_an_origin_may_stop_where_it_is_listed_and_needs_the_token_for_the_rest() {
    let daemon = open_to_tasks(Limits::default());
    let null = "origin: null\r\n";
    for (method, path) in
        [("GET", "/v1/status"), ("GET", "/metrics"), ("POST", "/v1/control"), ("POST", "/v1/events")]
    {
        let answer = ask(&daemon, method, path, null, r#"{"state":"idle"}"#).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthorized")), "{path}");
        assert!(answer.head.contains("access-control-allow-origin: null"), "{answer:?}");
    }
    assert_eq!(ask(&daemon, "GET", "/v1/status", &format!("{null}{}", bearer()), "").await.status, 200);
    assert_eq!(ask(&daemon, "POST", "/v1/stop", null, "").await.status, 200);
    let closed = FakeDaemon::start(config()).unwrap();
    assert_eq!(ask(&closed, "POST", "/v1/stop", null, "").await.status, 403);
    assert_eq!(closed.controls.stopped_by(), []);
}

#[tokio::test]
async fn a_missing_and_a_wrong_token_are_told_apart() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let refused = async |path: &'static str, headers: String| {
        let answer = ask(&daemon, "POST", path, &headers, r#"{"state":"idle"}"#).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let (code, message) = (answer.json()["code"].clone(), answer.json()["message"].clone());
        let challenge =
            answer.head.lines().find_map(|line| line.strip_prefix("www-authenticate: ")).unwrap().to_owned();
        (code, message.as_str().unwrap().to_owned(), challenge)
    };
    for path in ["/v1/control", "/v1/events"] {
        let (code, message, challenge) = refused(path, String::new()).await;
        assert_eq!((code, challenge.as_str()), (json!("unauthorized"), "bearer"));
        assert!(message.contains("Authorization: Bearer"), "{message}");
        for wrong in ["Bearer wrong", "Bearer ", "Basic 0123"] {
            let (code, message, challenge) = refused(path, format!("authorization: {wrong}\r\n")).await;
            assert_eq!(
                (code, challenge.as_str()),
                (json!("wrong_token"), "bearer error=\"invalid_token\""),
                "{wrong}"
            );
            assert!(message.contains("not this run's") && !message.contains("wrong"), "{message}");
        }
    }
    assert_eq!(daemon.server.counts().unauthorized, 8);
}

#[tokio::test]
async fn a_client_that_says_nothing_loses_its_connection() {
    let limits = Limits { request_within: Duration::from_millis(50), ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let mut stream = TcpStream::connect(daemon.server.local_addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    // nor may it be silent from the start, or between two requests
    let mut stream = TcpStream::connect(daemon.server.local_addr()).await.unwrap();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
    let host = daemon.server.local_addr();
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(format!("GET /nowhere HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    stream.read_to_end(&mut rest).await.unwrap();
    // and so does one whose body never comes
    let head = format!("POST /v1/control HTTP/1.1\r\nhost: {host}\r\ncontent-length: 9\r\n{}\r\n", bearer());
    assert_eq!(raw(&daemon, &head).await.status, 408);
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
