//! The documents that describe HTTP and the WebSocket to other programs, as they lie in `docs/`.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

const OPENAPI: &str = include_str!("../../../docs/openapi.json");
const ASYNCAPI: &str = include_str!("../../../docs/asyncapi.json");

/// `/openapi.json`. It holds nothing secret, so it needs no token.
pub(crate) async fn openapi() -> Response {
    document(OPENAPI)
}

/// `/asyncapi.json`, likewise.
pub(crate) async fn asyncapi() -> Response {
    document(ASYNCAPI)
}

fn document(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}
