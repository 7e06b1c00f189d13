//! Connections: how many, how long, and which makes room.

use super::*;

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
    let control =
        ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"idle","console":"page-1"}"#).await;
    assert_eq!(control.status, 200, "steering has a limit of its own");
}

#[tokio::test]
async fn a_client_that_says_nothing_loses_its_connection() {
    // what is said at once is said within this on a busy machine too
    let limits = Limits { request_within: Duration::from_secs(1), ..Limits::default() };
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
