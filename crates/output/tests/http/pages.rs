//! Pages of our own and of others: what they may read and do.

use super::*;

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
