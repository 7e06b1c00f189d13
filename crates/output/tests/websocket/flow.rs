//! What a client gets that reads slowly, pauses, acknowledges, or wants fewer states.

use super::*;

#[tokio::test]
async fn a_reader_that_keeps_up_sees_ten_thousand_fast_ticks_without_a_hole() {
    // on a busy machine a reader that keeps up may be kept from it for a while
    let daemon = FakeDaemon::start(with_limits(patient())).unwrap();
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
    let daemon = FakeDaemon::start(with_limits(patient())).unwrap();
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
async fn ticks_that_the_queue_refused_are_a_gap_too() {
    let daemon = FakeDaemon::start(with_limits(patient())).unwrap();
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
    let daemon = FakeDaemon::start(with_limits(patient())).unwrap();
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
async fn a_client_that_never_answers_pings_is_disconnected() {
    let limits = Limits {
        ping_every: Duration::from_millis(20),
        // longer than a busy machine keeps the one that reads from it
        pong_within: Duration::from_secs(3),
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
