//! What a request goes through before it is carried out: token and rate, then size and time of its body.

use core::time::Duration;
use std::sync::Mutex;

use axum::{
    body::{Bytes, HttpBody as _, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use tokio::time;

use crate::{
    Credentials,
    app::App,
    counters::count,
    messages::ErrorCode,
    rate::RateLimit,
    refusal::{error, too_frequent, unauthorized},
};

/// Whether a request may read, by token and rate; the answer to it if not.
pub(crate) fn may_read(app: &App, headers: &HeaderMap) -> Result<(), Box<Response>> {
    match app.access.credentials(headers) {
        Credentials::Right => {}
        Credentials::Absent if !app.access.reading_needs_token(headers) => {}
        shown @ (Credentials::Absent | Credentials::Wrong) => {
            return Err(Box::new(unauthorized(app, shown)));
        }
    }
    within(app, &app.reads)
}

/// Whether a request may steer, by token and rate; the answer to it if not.
pub(crate) fn may_steer(app: &App, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let shown = app.access.credentials(headers);
    if shown != Credentials::Right {
        return Err(Box::new(unauthorized(app, shown)));
    }
    within(app, &app.requests)
}

/// Takes one of what `limit` allows; the answer to the request if there is none left.
pub(crate) fn within(app: &App, limit: &Mutex<RateLimit>) -> Result<(), Box<Response>> {
    if app.within(limit) {
        return Ok(());
    }
    Err(Box::new(too_frequent()))
}

/// Token, rate and size of a request that steers; then its body, understood.
pub(crate) async fn steering<T: for<'de> Deserialize<'de>>(
    app: &App,
    request: Request,
) -> Result<T, Box<Response>> {
    may_steer(app, request.headers())?;
    understood(app, request).await
}

/// A request's body, understood, whatever it may.
pub(crate) async fn understood<T: for<'de> Deserialize<'de>>(
    app: &App,
    request: Request,
) -> Result<T, Box<Response>> {
    let bytes = body_of(app, request, app.limits.body_bytes, app.limits.request_within).await?;
    serde_json::from_slice(&bytes).map_err(|problem| {
        count(&app.counters.malformed);
        let message = format!("the body is not what this request takes: {problem}");
        Box::new(error(StatusCode::BAD_REQUEST, ErrorCode::Malformed, &message))
    })
}

/// A request's body of at most `most` bytes, if it comes in time.
pub(crate) async fn body_of(
    app: &App,
    request: Request,
    most: usize,
    patience: Duration,
) -> Result<Bytes, Box<Response>> {
    let body = request.into_body();
    let too_large = || {
        count(&app.counters.oversized);
        let message = format!("a body has at most {most} bytes");
        Box::new(error(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, &message))
    };
    // one that says itself that it is too large is not read at all
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match time::timeout(patience, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_too_large_or_cut)) => Err(too_large()),
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
