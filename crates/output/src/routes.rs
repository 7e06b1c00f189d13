//! HTTP: the console, `/v1/status`, `/metrics`, and the requests that steer.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use kalmind_types::{Actor, EventKind};
use serde::Deserialize;
use serde_json::json;
use tokio::time;

use crate::{
    ControlRefused, Credentials, Denied, assets,
    counters::count,
    message::{ErrorCode, Reply, to_json},
    metrics,
    rate::RateLimit,
    request::{ControlBody, EventBody},
    server::App,
    status, upgrade,
};

/// Where STOP is.
pub(crate) const STOP: &str = "/v1/stop";

/// Every path of the server.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/v1/state", get(upgrade::websocket))
        .route("/v1/status", get(read_status))
        .route("/metrics", get(read_metrics))
        .route(STOP, post(stop))
        .route("/v1/control", post(control))
        .route("/v1/events", post(event))
        .fallback(get(assets::serve))
        .method_not_allowed_fallback(async || {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::MethodNotAllowed,
                "stop, control and events are POST requests, everything else is GET",
            )
        })
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
        .with_state(Arc::clone(app))
}

/// What a connection gets that has no place: STOP works, everything else is refused.
pub(crate) fn crowded_router(app: &Arc<App>) -> Router {
    Router::new()
        .route(STOP, post(stop))
        .fallback(crowded)
        .method_not_allowed_fallback(crowded)
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
        .with_state(Arc::clone(app))
}

async fn crowded() -> Response {
    let mut response = error(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::TooMany,
        "all connections are taken: close one, then try again (POST /v1/stop works all the same)",
    );
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// An error as JSON: what is wrong and what to do.
pub(crate) fn error(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    (status, json_header(), to_json(&Reply::Error { code, message })).into_response()
}

fn json_header() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]
}

fn ok(body: &impl serde::Serialize) -> Response {
    (json_header(), to_json(body)).into_response()
}

/// Host and Origin before anything else; the headers that keep other sites' pages out after everything.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    count(&app.counters.requests);
    let checked = app.access.check(request.method(), request.uri(), request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            let (counter, message) = match denied {
                Denied::Host => (
                    &app.counters.hosts_rejected,
                    "this Host header is none of the server's names: add it to the allowed hosts, or use the \
                     address that the daemon printed",
                ),
                Denied::Origin => (
                    &app.counters.origins_rejected,
                    "a page of this origin may not use the server: add it to the allowed origins, or use the \
                     daemon's own page",
                ),
            };
            count(counter);
            let mut refused = error(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message);
            refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            refused
        }
    };
    protect(&app, response.headers_mut());
    response
}

fn protect(app: &App, headers: &mut HeaderMap) {
    let policy = format!(
        "default-src 'self'; connect-src 'self'{}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        app.access.websocket_sources()
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Whether a request may read, by token and rate; the answer to it if not.
fn may_read(app: &App, headers: &HeaderMap) -> Result<(), Box<Response>> {
    match app.access.credentials(headers) {
        Credentials::Right => {}
        Credentials::Absent if !app.access.reading_needs_token(headers) => {}
        Credentials::Absent | Credentials::Wrong => return Err(Box::new(unauthorized(app))),
    }
    within(app, &app.reads)
}

/// Takes one of what `limit` allows; the answer to the request if there is none left.
fn within(app: &App, limit: &Mutex<RateLimit>) -> Result<(), Box<Response>> {
    if limit.lock().unwrap_or_else(PoisonError::into_inner).take(app.hub.clock().lsl()) {
        return Ok(());
    }
    Err(Box::new(too_frequent(app)))
}

/// The answer to one request too many, which is counted.
pub(crate) fn too_frequent(app: &App) -> Response {
    count(&app.counters.too_frequent);
    let mut refused = error(
        StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TooFrequent,
        "too many requests a second: wait a second, then ask less often",
    );
    refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    refused
}

pub(crate) fn unauthorized(app: &App) -> Response {
    count(&app.counters.unauthorized);
    let mut response = error(
        StatusCode::UNAUTHORIZED,
        ErrorCode::Unauthorized,
        "this needs the run's token, which the daemon printed at its start, as the header `Authorization: Bearer \
         <token>`",
    );
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

async fn read_status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match may_read(&app, &headers) {
        Ok(()) => ok(&status::status(&app)),
        Err(refused) => *refused,
    }
}

async fn read_metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match may_read(&app, &headers) {
        Ok(()) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], metrics::exposition(&app)).into_response()
        }
        Err(refused) => *refused,
    }
}

/// STOP needs no permission and is never limited.
async fn stop(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.stop(app.access.credentials(&headers) == Credentials::Right);
    ok(&Reply::Accepted { request: "stop" })
}

async fn control(State(app): State<Arc<App>>, request: Request) -> Response {
    let body: ControlBody = match steering(&app, request).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    match body.state.mode() {
        None => {
            app.stop(true);
            ok(&Reply::Accepted { request: "control" })
        }
        Some(mode) => match app.controls.request(mode, Actor::Operator, body.confirm.is_some()) {
            Ok(()) => {
                count(&app.counters.controls);
                ok(&Reply::Accepted { request: "control" })
            }
            Err(refused) => refusal(&app, &refused),
        },
    }
}

async fn event(State(app): State<Arc<App>>, request: Request) -> Response {
    let body: EventBody = match steering(&app, request).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    if matches!(body.kind, EventKind::Model | EventKind::State | EventKind::Fault) {
        let refused = ControlRefused::Invalid(String::from(
            "only the daemon tells of models, states and faults: kinds from outside are target, trial, task_block and operator",
        ));
        return refusal(&app, &refused);
    }
    match app.controls.event(body.kind, body.time, body.data) {
        Ok(event_seq) => {
            count(&app.counters.controls);
            ok(&json!({"type": "accepted", "request": "events", "event_seq": event_seq}))
        }
        Err(refused) => refusal(&app, &refused),
    }
}

/// Token, rate and size of a request that steers; then its body, understood.
async fn steering<T: for<'de> Deserialize<'de>>(app: &App, request: Request) -> Result<T, Box<Response>> {
    if app.access.credentials(request.headers()) != Credentials::Right {
        return Err(Box::new(unauthorized(app)));
    }
    within(app, &app.requests)?;
    let bytes = read_body(app, request.into_body()).await?;
    serde_json::from_slice(&bytes).map_err(|problem| {
        count(&app.counters.malformed);
        let message = format!("the body is not what this request takes: {problem}");
        Box::new(error(StatusCode::BAD_REQUEST, ErrorCode::Malformed, &message))
    })
}

async fn read_body(app: &App, body: Body) -> Result<Bytes, Box<Response>> {
    match time::timeout(app.limits.request_within, to_bytes(body, app.limits.body_bytes)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_too_large_or_cut)) => {
            count(&app.counters.oversized);
            let message = format!("a body has at most {} bytes", app.limits.body_bytes);
            Err(Box::new(error(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, &message)))
        }
        Err(_elapsed) => {
            count(&app.counters.malformed);
            Err(Box::new(error(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::Malformed,
                "the body did not come in time: send it at once",
            )))
        }
    }
}

fn refusal(app: &App, refused: &ControlRefused) -> Response {
    count(&app.counters.controls_refused);
    let (status, code) = match refused {
        ControlRefused::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::Invalid),
        ControlRefused::NotNow(_) => (StatusCode::CONFLICT, ErrorCode::NotNow),
        ControlRefused::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy),
    };
    error(status, code, &refused.to_string())
}
