//! Answers to requests, as JSON: what was asked for, or why not.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    ControlRefused, Credentials, access,
    app::App,
    counters::count,
    messages::{ErrorCode, ErrorMessage, to_json},
};

/// What is said to whoever asks too often.
pub(crate) const TOO_FREQUENT: &str = "too many requests a second: wait a second, then ask less often";

/// What was asked for.
pub(crate) fn ok(body: &impl serde::Serialize) -> Response {
    (json_header(), to_json(body)).into_response()
}

/// What the daemon says against a request.
pub(crate) fn refusal(refused: &ControlRefused) -> Response {
    let status = match refused {
        ControlRefused::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ControlRefused::UnknownModel(_) => StatusCode::NOT_FOUND,
        ControlRefused::NotNow(_) | ControlRefused::OtherModel(_) => StatusCode::CONFLICT,
        ControlRefused::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, refused.code(), &refused.to_string())
}

/// An error as JSON: what is wrong and what to do.
pub(crate) fn error(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    (status, json_header(), to_json(&ErrorMessage { code, message })).into_response()
}

fn json_header() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]
}

/// The answer to one request too many.
pub(crate) fn too_frequent() -> Response {
    let mut refused = error(StatusCode::TOO_MANY_REQUESTS, ErrorCode::TooFrequent, TOO_FREQUENT);
    refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    refused
}

/// The answer to a request without the token, or with another one.
pub(crate) fn unauthorized(app: &App, shown: Credentials) -> Response {
    count(&app.counters.unauthorized);
    let (code, message, challenge) = match shown {
        Credentials::Wrong => (ErrorCode::WrongToken, access::WRONG_TOKEN, "Bearer error=\"invalid_token\""),
        Credentials::Absent | Credentials::Right => (
            ErrorCode::Unauthorized,
            "this needs the run's token, which the daemon printed at its start, as the header `Authorization: Bearer \
             <token>`",
            "Bearer",
        ),
    };
    let mut response = error(StatusCode::UNAUTHORIZED, code, message);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
