//! Pages of other origins that the configuration lets in: what browsers ask before a request, and what they have to read
//! in an answer before the page may see it (Fetch standard, CORS; Private Network Access).
//!
//! Whether an origin is let in at all is [`Access`](crate::Access)'s to say; a page of any other origin gets none of these
//! headers, and no request of it is carried out.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// Set by browsers that ask first whether a page of the wide network may reach this machine.
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// What there is on any path; a path that has not got one of them answers 405, which the page can read.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
/// `*` stands for every header but this one (Fetch standard, 4.10).
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, *");
/// Seconds for which a browser need not ask again. Each request is judged anew all the same.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// What a page may read of an answer, beyond what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, www-authenticate, allow");

/// The answer to an OPTIONS request, on every path: what may be asked, and to a browser's preflight that the page may.
pub(crate) fn options(asked: &HeaderMap) -> Response {
    let mut response = (StatusCode::NO_CONTENT, [(header::ALLOW, METHODS)]).into_response();
    let headers = response.headers_mut();
    if asked.contains_key(header::ORIGIN) && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if asked.get(REQUEST_PRIVATE_NETWORK) == Some(&HeaderValue::from_static("true")) {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
    }
    response
}

/// Lets a page of `origin`, which is one of those let in, read the answer with these headers, an error as well.
pub(crate) fn let_read(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
}
