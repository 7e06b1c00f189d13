//! The console's files, inside the program.

use self::embedded::Console;
use crate::{messages::ErrorCode, refusal::error};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

#[expect(clippy::same_name_method, reason = "the derive gives the type methods of the trait's names")]
mod embedded {
    /// The page: plain ES modules, no build step.
    #[derive(rust_embed::RustEmbed)]
    #[folder = "console/"]
    pub(super) struct Console;
}

/// Serves the page under `/`. It holds nothing secret, so it needs no token; browsers ask again each time and are told
/// when nothing changed.
pub(crate) async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        "participant" => "participant.html",
        path => path,
    };
    let Some(file) = Console::get(path) else {
        return error(
            StatusCode::NOT_FOUND,
            ErrorCode::NotFound,
            "no such path: there are /, /participant, /v1/state, /v1/status, /v1/session, /metrics, /openapi.json, /asyncapi.json, and POST \
             /v1/stop, /v1/control, /v1/events, /v1/session",
        );
    };
    let [a, b, c, d, ..] = file.metadata.sha256_hash();
    let tag = format!("\"{:08x}\"", u32::from_be_bytes([a, b, c, d]));
    let unchanged =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.into_owned().into_response()
    };
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(path)));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        fields.insert(header::ETAG, tag);
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
