//! What the session shows of itself, and whether the page that runs it is there.

use kalmind_output::Controls as _;

use super::*;

/// What a console's page asks for.
const PAGE: &str = "?session=1&console=page-1&flow=ack";

/// Reads and answers, as a page does, until `done`.
async fn follow(client: &mut Client, mut done: impl FnMut() -> bool) {
    while !done() {
        let message = client.next().await;
        if message["type"] == "state" {
            client.send(&json!({"type": "ack", "seq": message["seq"]})).await;
        }
    }
}

/// A page that has shown the token and given a sign of life since, for as long as the returned client is read.
async fn page(daemon: &FakeDaemon) -> Client {
    let mut client = Client::connect(daemon, PAGE).await;
    client.send(&json!({"type": "auth", "token": TOKEN})).await;
    client.next_of("accepted").await;
    while !matches!(client.0.next().await.unwrap().unwrap(), Message::Ping(_)) {}
    // the answer goes out before anything else is read
    client.next().await;
    client
}

#[tokio::test]
async fn whoever_asks_for_it_gets_it_after_hello_and_when_it_changed_and_nobody_else_does() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut plain = Client::connect(&daemon, "").await;
    let mut client = Client::connect(&daemon, "?session=1").await;
    assert_eq!(client.next().await["type"], "hello");
    let first = client.next().await;
    assert_eq!((&first["type"], &first["state"]), (&json!("session"), &json!("running")));
    let mut status = daemon.controls.session.shown();
    // many changes at once: the newest is what counts
    for elapsed in 0..100 {
        status["elapsed_s"] = json!(elapsed);
        daemon.controls.session.show(status.clone());
    }
    let mut told = 0;
    while client.next_of("session").await["elapsed_s"] != 99 {
        told += 1;
    }
    assert!(told < 99, "every change was told");
    // what stays the same is not said again
    for _ in 0..8 {
        assert_eq!(client.next().await["type"], "heartbeat");
    }
    plain.next_of("hello").await;
    for _ in 0..8 {
        assert_eq!(plain.next().await["type"], "heartbeat");
    }
}

#[tokio::test]
async fn a_run_without_a_session_says_nothing_of_one() {
    let daemon = FakeDaemon::start(config()).unwrap();
    daemon.controls.session.show(Value::Null);
    let mut client = Client::connect(&daemon, "?session=1").await;
    assert_eq!(client.next().await["type"], "hello");
    for _ in 0..4 {
        assert_eq!(client.next().await["type"], "heartbeat");
    }
}

#[tokio::test]
async fn odd_queries_are_refused() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let long = format!("?console={}", "x".repeat(65));
    for query in
        ["?session=0", "?session=", "?session=yes", "?console=", "?console=a%20b", "?console=a/b", &long]
    {
        assert_eq!(refused(request(&daemon, query, &[])).await, 400, "{query}");
    }
}

#[tokio::test]
async fn losing_the_page_in_charge_stops_the_output_within_5_5_s_once() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut watcher = Client::connect(&daemon, "").await;
    let mut operator = page(&daemon).await;
    let session = &daemon.controls.session;
    // as long as it is there nothing happens, however long that is
    let mut seen = 0;
    follow(&mut operator, || {
        seen += 1;
        seen > 60
    })
    .await;
    assert!(session.lost().is_empty());
    let clock = daemon.hub.clock().clone();
    let left = clock.lsl();
    drop(operator);
    while watcher.next_of("heartbeat").await["state"] != "hold" {}
    let after = (clock.lsl() - left).0;
    assert!(after > 4.0, "stopped {after} s after the page had left");
    assert_eq!(session.lost(), ["page-1"]);
    for _ in 0..10 {
        watcher.next_of("heartbeat").await;
    }
    assert_eq!(session.lost(), ["page-1"], "told once");
    assert_eq!(daemon.controls.stopped_by(), [Actor::LostConsole]);
}

#[tokio::test]
async fn what_was_stopped_goes_on_when_the_page_in_charge_says_so() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut page = Client::connect(&daemon, "?console=page-2").await;
    let mut script = Client::connect(&daemon, "").await;
    daemon.controls.stop(Actor::LostConsole);
    while page.next_of("heartbeat").await["state"] != "hold" {}
    let resume = json!({"type": "control", "state": "idle", "token": TOKEN});
    for client in [&mut page, &mut script] {
        client.send(&resume).await;
        let refused = client.next_of("error").await;
        assert_eq!(refused["code"], "not_now");
        assert!(refused["message"].as_str().unwrap().contains("AB is in charge"), "{refused}");
    }
    assert_eq!(daemon.controls.requested(), []);
    // it took over
    let mut status = daemon.controls.session.shown();
    status["console"] = json!("page-2");
    daemon.controls.session.show(status);
    page.send(&resume).await;
    page.next_of("accepted").await;
    assert_eq!(daemon.controls.requested(), [Mode::Idle]);
}

#[tokio::test]
async fn a_page_that_is_loaded_anew_loses_nothing() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut watcher = Client::connect(&daemon, "").await;
    let clock = daemon.hub.clock().clone();
    let mut operator = page(&daemon).await;
    for _ in 0..3 {
        drop(operator);
        let left = clock.lsl();
        while (clock.lsl() - left).0 < 2.5 {
            watcher.next().await;
        }
        operator = page(&daemon).await;
    }
    let came = clock.lsl();
    follow(&mut operator, || (clock.lsl() - came).0 > 3.0).await;
    assert!(daemon.controls.session.lost().is_empty());
}

#[tokio::test]
async fn neither_a_script_nor_a_page_without_the_token_nor_another_one_can_be_lost() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut status = daemon.controls.session.shown();
    let mut watcher = Client::connect(&daemon, "?session=1").await;
    // in charge, and only a page without the token is there
    drop(Client::connect(&daemon, PAGE).await);
    let mut other = Client::connect(&daemon, "?session=1&console=page-2").await;
    other.send(&json!({"type": "auth", "token": TOKEN})).await;
    other.next_of("accepted").await;
    drop(other);
    let clock = daemon.hub.clock().clone();
    let left = clock.lsl();
    while (clock.lsl() - left).0 < 6.0 {
        watcher.next().await;
    }
    status["console"] = json!("script");
    daemon.controls.session.show(status);
    while watcher.next_of("session").await["console"] != "script" {}
    for _ in 0..5 {
        watcher.next_of("heartbeat").await;
    }
    assert!(daemon.controls.session.lost().is_empty());
}

#[tokio::test]
async fn a_page_that_hangs_is_lost_although_its_browser_answers_pings() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let mut operator = page(&daemon).await;
    // never acknowledged
    daemon.controls.tick();
    operator.next_of("state").await;
    while daemon.controls.session.lost().is_empty() {
        operator.frame().await;
    }
    assert_eq!(daemon.controls.stopped_by(), [Actor::LostConsole]);
}
