//! `/v1/models`: who may list, send and activate, and what a hostile client gets.

use super::*;

const LIST: &str = "/v1/models";

fn activate(id: &str) -> String {
    format!("{LIST}/{id}/activate")
}

async fn send(daemon: &FakeDaemon, headers: &str, body: &str) -> Answer {
    ask(daemon, "POST", LIST, headers, body).await
}

#[tokio::test]
async fn models_are_listed_without_the_token_and_sent_and_activated_with_it_alone() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Basic 0123456789abcdef\r\n"] {
        assert_eq!(send(&daemon, headers, "model one").await.status, 401, "{headers}");
        let answer = ask(&daemon, "POST", &activate(&"ab".repeat(32)), headers, "").await;
        assert_eq!(answer.status, 401, "{headers}");
    }
    let list = async || ask(&daemon, "GET", LIST, "", "").await.json();
    assert_eq!(list().await["models"].as_array().unwrap().len(), 1, "nothing came through");

    let sent = send(&daemon, &bearer(), "model one").await;
    assert_eq!((sent.status, &sent.json()["source"]), (200, &json!("posted")));
    assert_eq!(
        sent.json(),
        send(&daemon, &bearer(), "model one").await.json(),
        "sent twice, it is there once"
    );
    let id = sent.json()["model"].as_str().unwrap().to_owned();
    let now = list().await;
    assert_eq!(now["models"].as_array().unwrap().len(), 2);
    assert_ne!(now["active"], json!(id), "it does not decode yet");

    let answer = ask(&daemon, "POST", &activate(&id), &bearer(), "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"type": "accepted", "request": "activate"})));
    assert_eq!(list().await["active"], json!(id));
    let again = ask(&daemon, "POST", &activate(&id), &bearer(), "").await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("not_now")));
    let earlier = "ab".repeat(32);
    assert_eq!(ask(&daemon, "POST", &activate(&earlier), &bearer(), "").await.status, 200);
    assert_eq!(list().await["active"], json!(earlier));
}

#[tokio::test]
async fn on_other_addresses_listing_needs_the_token_too() {
    let daemon = FakeDaemon::start(ServerConfig { bind: "0.0.0.0:0".parse().unwrap(), ..config() }).unwrap();
    let port = daemon.server.local_addr().port();
    let get = async |headers: &str| {
        let head = format!("host: 127.0.0.1:{port}\r\nconnection: close\r\n{headers}");
        raw(&daemon, &format!("GET {LIST} HTTP/1.1\r\n{head}\r\n")).await.status
    };
    assert_eq!((get("").await, get(&bearer()).await), (401, 200));
}

#[tokio::test]
async fn what_is_no_model_is_refused_with_the_daemons_words() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for body in ["", "{}", "\0\0\0\0\0\0\0\0{"] {
        let answer = send(&daemon, &bearer(), body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("invalid")), "{body:?}");
        assert!(answer.json()["message"].as_str().unwrap().contains("not a model"));
    }
    // one at which the check itself breaks down; the next one is checked all the same
    let answer = send(&daemon, &bearer(), "model panic").await;
    assert_eq!(answer.status, 422);
    assert!(answer.json()["message"].as_str().unwrap().contains("inside Kalmind"));
    assert_eq!(send(&daemon, &bearer(), "model").await.status, 200);
}

#[tokio::test]
async fn odd_ids_are_not_found() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let upper = "AB".repeat(32);
    let long = "ab".repeat(3000);
    for id in [
        "x",
        "..",
        "%2e%2e%2f",
        "%00",
        "%ff%fe",
        "%F0%9F%92%A9",
        "ab'--",
        &upper,
        &long,
        &"cd".repeat(32),
        "%",
    ] {
        let answer = ask(&daemon, "POST", &activate(id), &bearer(), "").await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")), "{id}");
    }
    for path in ["/v1/models/", "/v1/models/x/y/activate", "/v1/models/x"] {
        assert_eq!(ask(&daemon, "GET", path, &bearer(), "").await.status, 404, "{path}");
    }
    assert_eq!(ask(&daemon, "GET", &activate("x"), &bearer(), "").await.status, 405);
    assert_eq!(ask(&daemon, "DELETE", LIST, &bearer(), "").await.status, 405);
}

#[tokio::test]
async fn pages_of_other_sites_neither_read_nor_send_nor_activate() {
    let daemon = FakeDaemon::start(config()).unwrap();
    let headers = format!("{}origin: http://evil.example\r\n", bearer());
    for (method, path) in [("GET", LIST.to_owned()), ("POST", LIST.to_owned()), ("POST", activate("x"))] {
        let answer = ask(&daemon, method, &path, &headers, "model").await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
    let list = ask(&daemon, "GET", LIST, "", "").await.json();
    assert_eq!(list["models"].as_array().unwrap().len(), 1);
}

/// A connection on which the head of a request has been sent, and no more than that.
async fn head(daemon: &FakeDaemon, headers: &str) -> TcpStream {
    let host = daemon.server.local_addr();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let text = format!("POST {LIST} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// The answer's status.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    // where the body was never read, the connection may be reset once the answer has come
    let _may_be_reset = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

#[tokio::test]
async fn large_files_are_taken_up_to_the_limit_and_nothing_is_read_beyond_it_or_without_the_token() {
    let limits = Limits { model_bytes: 100_000, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let largest = format!("model{}", "x".repeat(100_000 - 5));
    assert_eq!(send(&daemon, &bearer(), &largest).await.status, 200);
    // none of the body is sent: the answer comes all the same
    let declared = format!("{}content-length: 100001\r\n", bearer());
    assert_eq!(status(&mut head(&daemon, &declared).await).await, 413);
    let endless = "content-length: 9223372036854775807\r\n";
    assert_eq!(status(&mut head(&daemon, &format!("{}{endless}", bearer())).await).await, 413);
    assert_eq!(status(&mut head(&daemon, endless).await).await, 401);
    // a body that does not say how long it is
    let mut stream = head(&daemon, &format!("{}transfer-encoding: chunked\r\n", bearer())).await;
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for _ in 0..30 {
        // the server may have had enough already
        let _may_be_closed = stream.write_all(chunk.as_bytes()).await;
    }
    assert_eq!(status(&mut stream).await, 413);
    assert_eq!(daemon.server.counts().oversized, 3);
}

#[tokio::test]
async fn a_slow_body_is_given_up_and_meanwhile_other_files_wait_but_nothing_else_does() {
    let limits = Limits { model_within: Duration::from_secs(3), ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let mut slow = head(&daemon, &format!("{}content-length: 5\r\n", bearer())).await;
    slow.write_all(b"mod").await.unwrap();
    // requests are begun in the order in which they come: by this answer the slow one has its place
    assert_eq!(ask(&daemon, "GET", LIST, "", "").await.status, 200);
    let answer = send(&daemon, &bearer(), "model two").await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("busy")));
    assert_eq!(ask(&daemon, "POST", "/v1/control", &bearer(), r#"{"state":"idle"}"#).await.status, 200);
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "", "").await.status, 200);
    assert_eq!(status(&mut slow).await, 408);
    assert_eq!(send(&daemon, &bearer(), "model three").await.status, 200, "its place is free again");
    // one that leaves in the middle frees its place as well
    let mut left = head(&daemon, &format!("{}content-length: 5\r\n", bearer())).await;
    left.write_all(b"mod").await.unwrap();
    drop(left);
    while send(&daemon, &bearer(), "model four").await.status != 200 {}
}

#[tokio::test]
async fn a_flood_of_requests_is_refused() {
    let limits = Limits { requests_per_second: 3, ..Limits::default() };
    let daemon = FakeDaemon::start(ServerConfig { limits, ..config() }).unwrap();
    let mut refused = 0;
    for _ in 0..50 {
        let answer = ask(&daemon, "POST", &activate("x"), &bearer(), "").await;
        refused += u64::from(answer.status == 429);
        let answer = send(&daemon, &bearer(), "model").await;
        refused += u64::from(answer.status == 429);
    }
    assert!(refused > 0);
    assert_eq!(daemon.server.counts().too_frequent, refused);
    assert_eq!(ask(&daemon, "POST", "/v1/stop", "", "").await.status, 200);
}
