//! HTTP: the console, `/v1/status`, `/metrics`, `/v1/models`, and the requests that steer.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};

use crate::{
    Credentials, Denied,
    app::App,
    assets,
    charge::ConsoleName,
    cors,
    counters::count,
    documents,
    messages::{Accepted, AcceptedEvent, ErrorCode},
    metrics, models,
    permission::{may_read, steering},
    refusal::{error, ok, refusal},
    request::{ControlBody, EventBody},
    session, stages, status, upgrade,
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
        .route("/v1/models", get(models::list).post(models::add))
        .route("/v1/models/{id}/activate", post(models::activate))
        .route("/v1/session", get(session::show).post(session::ask))
        .route("/v1/stages", post(stages::change))
        .route("/openapi.json", get(documents::openapi))
        .route("/asyncapi.json", get(documents::asyncapi))
        .fallback(get(assets::serve))
        .method_not_allowed_fallback(async || {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::MethodNotAllowed,
                "stop, control, events, stages, what is asked of the session and what is sent or activated under models are POST requests, everything else is GET",
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

/// Host and Origin before anything else; the headers that keep other sites' pages out, and let those in that are allowed,
/// after everything.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    count(&app.counters.requests);
    let checked = app.access.check(request.method(), request.uri(), request.headers());
    let reader = app.access.allowed_origin(request.headers()).cloned();
    let mut response = match checked {
        Ok(()) if request.method() == Method::OPTIONS => cors::options(request.headers()),
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
    if let Some(origin) = reader {
        cors::let_read(response.headers_mut(), origin);
    }
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
        ("vary", "origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
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
    ok(&Accepted { request: "stop" })
}

async fn control(State(app): State<Arc<App>>, request: Request) -> Response {
    let body: ControlBody = match steering(&app, request).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let console = body.console.map(|ConsoleName(name)| name);
    match app.control(body.state, &body.confirm.0, body.model, console.as_deref()) {
        Ok(()) => ok(&Accepted { request: "control" }),
        Err(refused) => refusal(&refused),
    }
}

async fn event(State(app): State<Arc<App>>, request: Request) -> Response {
    let body: EventBody = match steering(&app, request).await {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    match app.event(body.kind, body.time, body.data) {
        Ok(event_seq) => ok(&AcceptedEvent::new(event_seq)),
        Err(refused) => refusal(&refused),
    }
}
