//! Who may read and steer, and what becomes of messages that make no sense.

use super::*;

#[tokio::test]
async fn an_allowed_page_that_is_not_our_own_shows_the_token_first() {
    let limits = Limits { request_within: Duration::from_secs(2), ..Limits::default() };
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
    let mut client = Client::connect(&daemon, "?console=page-1").await;
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
    // so many that they are too many for as long as the server may take to read them
    for _ in 0..500 {
        // the server may have closed already
        if client.0.feed(Message::text(r#"{"type":"ping","t":1}"#)).await.is_err() {
            break;
        }
    }
    drop(client.0.flush().await);
    assert_eq!(u16::from(client.closed().await.code), 1008);
    assert_eq!(daemon.server.counts().too_frequent, 1);

    let daemon =
        FakeDaemon::start(with_limits(Limits { messages_per_second: 1, ..Limits::default() })).unwrap();
    let mut client = Client::connect(&daemon, "").await;
    for text in [r#"{"type":"ping","t":1}"#, r#"{"type":"stop"}"#] {
        client.0.feed(Message::text(text)).await.unwrap();
    }
    client.0.flush().await.unwrap();
    assert_eq!(u16::from(client.closed().await.code), 1008);
    assert_eq!(daemon.controls.stopped_by(), [Actor::Client]);
}

#[tokio::test]
async fn any_address_but_loopback_needs_the_token_for_reading_and_stops_without() {
    let limits = Limits { request_within: Duration::from_secs(2), ..Limits::default() };
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
