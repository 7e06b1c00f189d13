//! `docs/asyncapi.json` and `docs/openapi.json` against what a running server says and takes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use fake::{FakeDaemon, TOKEN, config};
use futures_util::{SinkExt as _, StreamExt as _};
use jsonschema::Validator;
use kalmind_types::{Event, EventBody, EventKind, LslTime};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

#[path = "../fake/mod.rs"]
mod fake;

mod types;

/// One of the documents.
struct Document(Value);

impl Document {
    fn read(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        Self(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    /// A validator of `schema`, whose references point into the document.
    fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        jsonschema::validator_for(&schema).unwrap()
    }

    fn named(&self, name: &str) -> Validator {
        assert!(self.0["components"]["schemas"][name].is_object(), "no schema {name}");
        self.validator(&json!({"$ref": format!("#/components/schemas/{name}")}))
    }
}

fn check(validator: &Validator, value: &Value) {
    let problems: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{value:#}\n{problems:#?}");
}

/// A message as the document lists it: what it calls it, its `type`, and its schema.
struct Known {
    key: String,
    name: String,
    schema: Validator,
}

/// The messages of every operation of a client that sends or receives.
fn messages(document: &Document, action: &str) -> Vec<Known> {
    let operations = document.0["operations"].as_object().unwrap().values();
    operations
        .filter(|operation| operation["action"] == action)
        .flat_map(|operation| operation["messages"].as_array().unwrap())
        .map(|reference| {
            let key = reference["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let message = &document.0["components"]["messages"][key];
            assert!(
                document.0["channels"]["state"]["messages"][key].is_object(),
                "{key} is not in the channel"
            );
            for example in message["examples"].as_array().into_iter().flatten() {
                check(&document.validator(&message["payload"]), &example["payload"]);
            }
            Known {
                key: String::from(key),
                name: String::from(message["name"].as_str().unwrap()),
                schema: document.validator(&message["payload"]),
            }
        })
        .collect()
}

#[tokio::test]
async fn every_websocket_message_is_as_asyncapi_says() {
    let document = Document::read("asyncapi.json");
    let known = messages(&document, "receive");
    let daemon = FakeDaemon::start(config()).unwrap();
    daemon.controls.emit(EventKind::Target, json!({"position": [0.25, 0.5], "radius": 0.06}));
    let url = format!("ws://{}/v1/state?session=1", daemon.server.local_addr());
    let (mut socket, _) = connect_async(url).await.unwrap();

    // each provokes one kind of message
    daemon.controls.tick();
    daemon.controls.skip(3);
    daemon.controls.tick();
    let requests = [
        json!({"type": "ping", "t": 1}),
        json!({"type": "auth", "token": TOKEN}),
        json!({"type": "control", "state": "calibrating"}),
        json!({"type": "control", "state": "idle", "token": TOKEN}),
        json!({"type": "event", "kind": "task_block", "data": {"block": "open_loop", "phase": "start"}}),
        json!({"type": "nonsense"}),
        json!({"type": "stop"}),
    ];
    for request in &requests {
        socket.send(Message::text(request.to_string())).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    let mut emitted = false;
    let expected: BTreeSet<&str> = known.iter().map(|known| known.key.as_str()).collect();
    while seen.len() < expected.len() {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        let kind = message["type"].as_str().unwrap();
        let of_type: Vec<&Known> = known.iter().filter(|known| known.name == kind).collect();
        let fits = of_type.iter().find(|known| of_type.len() == 1 || known.schema.is_valid(&message));
        let Known { key, schema, .. } = fits.unwrap_or_else(|| panic!("{message}"));
        check(schema, &message);
        // the client is in place by now: ticks and events that come later reach it for certain
        if !emitted {
            emitted = true;
            daemon.controls.tick();
            daemon.controls.skip(1);
            daemon.controls.tick();
            daemon.controls.emit(EventKind::Trial, json!({"trial": 1, "phase": "start", "result": null}));
        }
        seen.insert(key.clone());
    }
    assert_eq!(seen.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn what_asyncapi_lets_clients_say_is_understood_and_nothing_else() {
    let document = Document::read("asyncapi.json");
    let known = messages(&document, "send");
    let daemon = FakeDaemon::start(config()).unwrap();
    let url = format!("ws://{}/v1/state", daemon.server.local_addr());
    let (mut socket, _) = connect_async(url).await.unwrap();
    let samples = [
        json!({"type": "stop"}),
        json!({"type": "stop", "by": "me"}),
        json!({"type": "ping", "t": 3.5}),
        json!({"type": "ping", "t": "3.5"}),
        json!({"type": "ping", "t": "x".repeat(65)}),
        json!({"type": "ping", "t": null}),
        json!({"type": "auth", "token": TOKEN}),
        json!({"type": "auth"}),
        json!({"type": "control", "state": "control", "token": TOKEN}),
        json!({"type": "control", "state": "hold"}),
        json!({"type": "control", "state": "control", "confirm": "poor_decoder", "model": "ab".repeat(32)}),
        json!({"type": "control", "state": "control", "confirm": "poor_decoder", "model": "cd".repeat(32)}),
        json!({"type": "control", "state": "control", "model": "ab"}),
        json!({"type": "control", "state": "control", "model": null}),
        json!({"type": "control", "state": "fault"}),
        json!({"type": "control"}),
        json!({"type": "ack"}),
        json!({"type": "ack", "seq": "7"}),
        json!({"type": "event", "kind": "target", "data": {"position": [0.1, 0.2]}}),
        json!({"type": "event", "kind": "target", "time": 3.5, "data": {"position": null}, "token": TOKEN}),
        json!({"type": "event", "kind": "trial", "data": {"trial": 1, "phase": "end", "result": "timeout"}, "event_seq": 3}),
        json!({"type": "event", "kind": "task_block", "data": {"block": "open_loop", "phase": "start"}}),
        json!({"type": "event", "kind": "operator", "data": {"action": "stop", "by": "me"}}),
        json!({"type": "event", "kind": "lunch", "data": {}}),
        json!({"type": "event", "kind": "trial"}),
        json!({"type": "event", "kind": "trial", "data": {}, "event_seq": -1}),
        json!({"type": "event", "kind": "target", "data": {"position": [0.1, 0.2]}, "session": "x"}),
        json!({"type": "resume"}),
    ];
    for sample in &samples {
        let documented = known.iter().any(|known| known.schema.is_valid(sample));
        socket.send(Message::text(sample.to_string())).await.unwrap();
        let answer: Value = loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                if ["accepted", "pong", "error"].contains(&message["type"].as_str().unwrap()) {
                    break message;
                }
            }
        };
        assert_eq!(documented, answer["code"] != "malformed", "{sample}: {answer}");
    }
    let named: BTreeSet<&str> = known.iter().map(|known| known.name.as_str()).collect();
    assert_eq!(named, BTreeSet::from(["ack", "auth", "control", "event", "ping", "stop"]));
    // an acknowledgement is the one message without an answer: what follows it is answered as if it were not there
    let acknowledgement = json!({"type": "ack", "seq": 7});
    assert!(known.iter().any(|known| known.schema.is_valid(&acknowledgement)));
    for request in [acknowledgement, json!({"type": "ping", "t": "after"})] {
        socket.send(Message::text(request.to_string())).await.unwrap();
    }
    loop {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_ne!(message["type"], "error", "{message}");
        if message["t"] == "after" {
            break;
        }
    }
}

/// Status and body of a request.
async fn ask(daemon: &FakeDaemon, method: &str, path: &str, token: bool, body: &str) -> (u16, String) {
    let address = daemon.server.local_addr();
    let authorization = if token { format!("authorization: Bearer {TOKEN}\r\n") } else { String::new() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{authorization}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from(body))
}

/// Whether the output has been shown on hold: what is shown follows what is done.
async fn was_on_hold(daemon: &FakeDaemon) -> bool {
    let (_, status) = ask(daemon, "GET", "/v1/status", true, "").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    status["state_seconds"]["hold"].as_f64().unwrap() > 0.0
}

#[tokio::test]
async fn every_http_answer_is_as_openapi_says() {
    let document = Document::read("openapi.json");
    let daemon = FakeDaemon::start(config()).unwrap();
    daemon.controls.emit(EventKind::Target, json!({"position": [0.25, 0.5], "radius": 0.06}));
    let target = r#"{"kind":"target","time":12.5,"data":{"position":[0.1,0.2],"radius":0.1}}"#;
    // as the daemon itself publishes it
    let data = json!({"position": [0.25, 0.5], "radius": 0.06});
    let event = Event::new(LslTime(1.0), 7, EventBody::read(EventKind::Target, data));
    let whole = json!(event).to_string();
    let confirming = |model: &str| {
        json!({"state": "control", "confirm": ["poor_decoder"], "model": model, "console": "page-1"})
            .to_string()
    };
    let open = json!({"person": {"operator": "AB", "console": "page-1"}, "request": {"action": "open", "preset": "quick-start"}});
    let open = open.to_string();
    let activate = |byte: &str| format!("/v1/models/{}/activate", byte.repeat(32));
    let requests = [
        ("get", "/", false, "", 200),
        ("get", "/participant", false, "", 200),
        ("get", "/v1/status", false, "", 200),
        ("get", "/metrics", false, "", 200),
        ("get", "/openapi.json", false, "", 200),
        ("get", "/asyncapi.json", false, "", 200),
        ("post", "/v1/stop", false, "", 200),
        ("post", "/v1/control", false, r#"{"state":"idle"}"#, 401),
        ("post", "/v1/control", true, r#"{"state":"idle"}"#, 409),
        ("post", "/v1/control", true, r#"{"state":"idle","console":"page-1"}"#, 200),
        ("post", "/v1/control", true, r#"{"state":"hold"}"#, 200),
        ("post", "/v1/control", true, r#"{"state":"calibrating"}"#, 409),
        ("post", "/v1/control", true, r#"{"state":"fault"}"#, 400),
        ("post", "/v1/control", true, &confirming(&"ab".repeat(32)), 200),
        ("post", "/v1/control", true, &confirming(&"cd".repeat(32)), 409),
        ("post", "/v1/control", true, &confirming("ab"), 400),
        ("post", "/v1/events", false, target, 401),
        ("post", "/v1/events", true, target, 200),
        ("post", "/v1/events", true, &whole, 200),
        ("post", "/v1/events", true, r#"{"type":"state","kind":"trial","data":{}}"#, 400),
        ("post", "/v1/events", true, r#"{"event_seq":-1,"kind":"trial","data":{}}"#, 400),
        ("post", "/v1/events", true, r#"{"kind":"target","data":{}}"#, 422),
        ("post", "/v1/events", true, r#"{"kind":"target"}"#, 400),
        ("post", "/v1/stages", false, r#"{"stream":"array","stages":[{"stage":"identity"}]}"#, 401),
        ("post", "/v1/stages", true, r#"{"stream":"array","stages":[{"stage":"identity"}]}"#, 200),
        ("post", "/v1/stages", true, r#"{"stream":"array","stages":[{"stage":"identity"}],"at":7}"#, 409),
        ("post", "/v1/stages", true, r#"{"after":7}"#, 400),
        ("get", "/v1/session", false, "", 200),
        ("post", "/v1/session", false, r#"{"request":{"action":"pause"}}"#, 401),
        ("post", "/v1/session", false, r#"{"request":{"action":"call"}}"#, 200),
        ("post", "/v1/session", true, &open, 200),
        ("post", "/v1/session", true, r#"{"request":{"action":"start"}}"#, 409),
        ("post", "/v1/session", true, r#"{"request":{"action":"open"}}"#, 422),
        ("post", "/v1/session", true, r#"{"request":{"action":"fly"}}"#, 422),
        ("post", "/v1/session", true, r#"{"action":"pause"}"#, 400),
        ("get", "/v1/models", false, "", 200),
        ("post", "/v1/models", false, "model", 401),
        ("post", "/v1/models", true, "model", 200),
        ("post", "/v1/models", true, "no model", 422),
        ("post", &activate("01"), false, "", 401),
        ("post", &activate("01"), true, "", 200),
        ("post", &activate("01"), true, "", 409),
        ("post", &activate("02"), true, "", 404),
    ];
    let mut asked = BTreeSet::new();
    for (method, path, token, body, expected) in requests {
        let documented_path = if path.ends_with("/activate") {
            "/v1/models/{id}/activate"
        } else {
            path.split('?').next().unwrap()
        };
        let operation = &document.0["paths"][documented_path][method];
        assert!(operation.is_object(), "{method} {path} is not documented");
        asked.insert(format!("{method} {documented_path}"));
        let (status, answer) = ask(&daemon, &method.to_ascii_uppercase(), path, token, body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        // who may go on is judged by what is shown
        while path == "/v1/stop" && !was_on_hold(&daemon).await {
            tokio::task::yield_now().await;
        }
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path}: {status} is not documented");
        if let Some(schema) = response["content"]["application/json"].get("schema") {
            check(&document.validator(schema), &serde_json::from_str(&answer).unwrap());
        }
        // a body that the document takes is never called malformed, and the other way round
        if let Some(schema) = operation["requestBody"]["content"]["application/json"].get("schema")
            && status != 401
        {
            let valid = document.validator(schema).is_valid(&serde_json::from_str(body).unwrap());
            assert_eq!(valid, ![400, 422].contains(&status), "{method} {path} {body}");
        }
    }
    let documented: BTreeSet<String> = document.0["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    assert_eq!(asked, documented, "a documented request was not tried");
}

#[test]
fn both_documents_agree_on_what_they_share() {
    let (one, other) = (Document::read("asyncapi.json"), Document::read("openapi.json"));
    let schemas = |document: &Document| document.0["components"]["schemas"].as_object().unwrap().clone();
    let (one, other) = (schemas(&one), schemas(&other));
    let mut shared = 0;
    for (name, schema) in &one {
        if let Some(same) = other.get(name) {
            assert_eq!(schema, same, "{name}");
            shared += 1;
        }
    }
    assert!(shared > 20, "they share {shared} schemas only");
}

#[tokio::test]
async fn both_documents_are_served_as_they_are_in_docs() {
    let daemon = FakeDaemon::start(config()).unwrap();
    for name in ["openapi.json", "asyncapi.json"] {
        let (status, served) = ask(&daemon, "GET", &format!("/{name}"), false, "").await;
        assert_eq!(status, 200);
        assert_eq!(serde_json::from_str::<Value>(&served).unwrap(), Document::read(name).0, "{name}");
    }
}

#[test]
fn what_needs_the_token_says_so_and_stop_does_not() {
    let (asyncapi, openapi) = (Document::read("asyncapi.json").0, Document::read("openapi.json").0);
    for (path, operation) in [("/v1/control", "requestState"), ("/v1/events", "sendEvent")] {
        assert_eq!(openapi["paths"][path]["post"]["security"], json!([{"token": []}]), "{path}");
        assert_eq!(openapi["paths"][path]["post"]["operationId"], operation);
        let schemes = asyncapi["operations"][operation]["security"].as_array().unwrap();
        for scheme in schemes {
            let name = scheme["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            assert!(asyncapi["components"]["securitySchemes"][name].is_object(), "{name}");
        }
        assert_eq!(schemes.len(), 2);
    }
    for path in ["/v1/models", "/v1/models/{id}/activate", "/v1/stages"] {
        assert_eq!(openapi["paths"][path]["post"]["security"], json!([{"token": []}]), "{path}");
    }
    assert_eq!(
        openapi["paths"]["/v1/session"]["post"]["security"],
        json!([{"token": []}, {}]),
        "a call needs none"
    );
    assert_eq!(openapi["paths"]["/v1/stop"]["post"]["security"], json!([]));
    assert!(asyncapi["operations"]["stop"]["security"].is_null());
    let mut named = BTreeSet::new();
    for operation in
        openapi["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        assert!(
            named.insert(operation["operationId"].as_str().unwrap()),
            "{operation} shares its operationId"
        );
    }
}
