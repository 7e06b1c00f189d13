//! `/v1/session`: who may see it, ask something of it and call, and what a hostile client gets.

use futures_util::stream::FuturesUnordered;

use super::*;

const SESSION: &str = "/v1/session";
const CALL: &str = r#"{"request":{"action":"call"}}"#;
const PAUSE: &str = r#"{"person":{"operator":"AB","console":"page-1"},"request":{"action":"pause"}}"#;

async fn post(daemon: &FakeDaemon, headers: &str, body: &str) -> Answer {
    ask(daemon, "POST", SESSION, headers, body).await
}

#[tokio::test]
async fn it_is_seen_without_the_token_and_asked_with_it_alone_but_for_a_call() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let shown = ask(&daemon, "GET", SESSION, "", "").await;
    assert_eq!((shown.status, shown.json()), (200, daemon.controls.session.shown()));
    for headers in ["", "authorization: Bearer wrong\r\n"] {
        assert_eq!(post(&daemon, headers, PAUSE).await.status, 401, "{headers}");
    }
    assert_eq!(post(&daemon, "authorization: Bearer wrong\r\n", CALL).await.status, 401);
    assert_eq!(daemon.controls.session.asked(), [], "nothing came through");
    let answer = post(&daemon, &bearer(), PAUSE).await;
    assert_eq!((answer.status, answer.json()), (200, daemon.controls.session.shown()));
    assert_eq!(post(&daemon, "", CALL).await.status, 200);
    let whole = json!({"person": {}, "request": {"action": "call"}});
    let pause = serde_json::from_str(PAUSE).unwrap();
    assert_eq!(daemon.controls.session.asked(), [(pause, Actor::Operator), (whole, Actor::Client)]);
}

#[tokio::test]
async fn what_the_session_refuses_is_told_in_its_words() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let start = post(&daemon, &bearer(), r#"{"request":{"action":"start"}}"#).await;
    assert_eq!((start.status, &start.json()["code"]), (409, &json!("not_now")));
    assert_eq!(start.json()["message"], "a block runs already");
    let open = post(&daemon, &bearer(), r#"{"request":{"action":"open","preset":7}}"#).await;
    assert_eq!((open.status, &open.json()["code"]), (422, &json!("invalid")));
    let controls = daemon.server.counts();
    assert_eq!((controls.controls, controls.controls_refused), (0, 2));
}

#[tokio::test]
async fn a_run_without_a_session_says_so() {
    let daemon = FakeDaemon::start(config()).unwrap();
    daemon.controls.session.show(Value::Null);
    let answer = ask(&daemon, "GET", SESSION, "", "").await;
    assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("not_now")));
}

#[tokio::test]
async fn bodies_that_are_no_request_are_malformed_and_large_ones_are_not_read() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for body in [
        "",
        "[]",
        "{}",
        r#"{"request":"call"}"#,
        r#"{"request":{}}"#,
        r#"{"request":{"action":7}}"#,
        r#"{"person":"AB","request":{"action":"pause"}}"#,
        r#"{"request":{"action":"pause"},"by":"me"}"#,
        "\u{0}",
    ] {
        assert_eq!(post(&daemon, &bearer(), body).await.status, 400, "{body:?}");
    }
    let note = json!({"request": {"action": "note", "text": "x".repeat(16 * 1024)}}).to_string();
    assert_eq!(post(&daemon, &bearer(), &note).await.status, 413);
    assert_eq!(ask(&daemon, "PUT", SESSION, &bearer(), PAUSE).await.status, 405);
    assert_eq!(daemon.controls.session.asked(), []);
}

#[tokio::test]
async fn pages_of_other_sites_neither_see_it_nor_ask_nor_call() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let headers = format!("{}origin: http://evil.example\r\n", bearer());
    for (method, body) in [("GET", ""), ("POST", PAUSE), ("POST", CALL)] {
        assert_eq!(ask(&daemon, method, SESSION, &headers, body).await.status, 403, "{method} {body}");
    }
    // one that is let in shows the token, for a call too
    let allowed_origins = vec![String::from("http://tasks.lab")];
    let daemon = FakeDaemon::start(ServerConfig { allowed_origins, ..config() }).unwrap();
    let origin = "origin: http://tasks.lab\r\n";
    assert_eq!(post(&daemon, origin, CALL).await.status, 401);
    assert_eq!(post(&daemon, &format!("{}{origin}", bearer()), CALL).await.status, 200);
}

#[tokio::test]
async fn a_flood_of_calls_does_not_use_up_what_the_operator_may_ask() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut refused = 0;
    for _ in 0..30 {
        refused += u64::from(post(&daemon, "", CALL).await.status == 429);
    }
    assert!(refused > 0);
    assert_eq!(daemon.server.counts().too_frequent, refused);
    assert_eq!(post(&daemon, &bearer(), PAUSE).await.status, 200);
}

#[tokio::test]
async fn requests_that_wait_for_the_session_keep_nothing_else_waiting_and_more_than_eight_are_refused() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let (let_go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    daemon.controls.session.answer(std::sync::Arc::new(move |_, _| {
        let _let_go = gate.lock().unwrap().recv();
        Ok(json!({}))
    }));
    let token = bearer();
    let mut nine: FuturesUnordered<_> = (0..9).map(|_| post(&daemon, &token, PAUSE)).collect();
    let refused = nine.next().await.unwrap();
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("busy")));
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "", "").await.status, 200);
    drop(let_go);
    while let Some(answer) = nine.next().await {
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_stop_that_comes_while_somebody_else_asks_is_cleared_by_whoever_is_in_charge_alone() {
    let daemon = FakeDaemon::start(config()).unwrap();
    // page-1 is in charge; a script may ask for the rest, but clears no stop with it
    for body in [r#"{"state":"idle"}"#, r#"{"state":"idle","console":"page-1"}"#] {
        assert_eq!(ask(&daemon, "POST", "/v1/control", &bearer(), body).await.status, 200);
    }
    assert_eq!(daemon.controls.resumes(), [false, true]);
    let answer =
        ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"idle","console":"page-2"}"#).await;
    assert!(answer.status == 409 && answer.json()["message"].as_str().unwrap().contains("AB is in charge"));
    assert_eq!(daemon.controls.resumes().len(), 2);
}
