//! From HTTP to WebSocket: the handshake, and what a client asks for in the address.

use core::num::NonZeroU64;
use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts as _, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    Credentials,
    admission::{Admission, Wishes},
    app::App,
    charge::ConsoleName,
    counters::count,
    messages::ErrorCode,
    placed::Placed,
    refusal::{error, unauthorized},
};

/// The WebSocket subprotocol of version 1.
const SUBPROTOCOL: &str = "kalmind.v1";

/// What the query of `/v1/state` may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateQuery {
    /// Only every Nth tick.
    every: Option<NonZeroU64>,
    /// How the client says how far it has read.
    flow: Option<FlowQuery>,
    /// Whether the client wants to hear what the session shows of itself.
    session: Option<SessionQuery>,
    /// The console that the client belongs to.
    console: Option<ConsoleName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FlowQuery {
    Ack,
    Ping,
}

/// `1`.
#[derive(Clone, Copy, Debug, Deserialize)]
enum SessionQuery {
    #[serde(rename = "1")]
    Wanted,
}

/// `GET /v1/state`: hands the connection over to the thread that serves WebSocket clients.
pub(crate) async fn websocket(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    let Ok(Query(query)) = Query::<StateQuery>::from_request_parts(&mut parts, &()).await else {
        count(&app.counters.malformed);
        return error(
            StatusCode::BAD_REQUEST,
            ErrorCode::Malformed,
            "the query takes every=N, N a whole number from 1, flow=ack, session=1 and console=NAME only, NAME of 1 to 64 letters, digits, - and _ (a token never goes into the query)",
        );
    };
    let credentials = app.access.credentials(&parts.headers);
    // a page is told nothing of why an upgrade was refused, so it is told over the WebSocket
    let is_page = parts.headers.contains_key(header::ORIGIN);
    if credentials == Credentials::Wrong && !is_page {
        return unauthorized(&app, credentials);
    }
    let Some((accept, upgrading)) = handshake(&mut parts) else {
        count(&app.counters.malformed);
        return error(
            StatusCode::UPGRADE_REQUIRED,
            ErrorCode::Malformed,
            "this path speaks WebSocket: connect to it with ws://",
        );
    };
    let wishes = Wishes {
        every: query.every.map_or(1, NonZeroU64::get),
        acknowledges: query.flow == Some(FlowQuery::Ack),
        session: query.session.is_some(),
        console: query.console.map(|ConsoleName(name)| name),
    };
    let reads_freely = !app.access.reading_needs_token(&parts.headers);
    let subprotocol = asks_for_subprotocol(&parts.headers);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        let Ok(connection) = upgraded.downcast::<TokioIo<Placed>>() else { return };
        let (stream, said) = (connection.io.into_inner(), connection.read_buf);
        let admission = Admission { stream, said, wishes, credentials, reads_freely };
        if app.clients.try_send(admission).is_err() {
            count(&app.counters.connections_refused);
        }
    });
    switching(accept, subprotocol)
}

/// The answer to the client's key, and the connection to come, if the request is a WebSocket handshake (RFC 6455, 4.2.1).
fn handshake(parts: &mut Parts) -> Option<(HeaderValue, OnUpgrade)> {
    let headers = &parts.headers;
    let asks = parts.method == Method::GET
        && lists(headers, &header::CONNECTION, "upgrade")
        && lists(headers, &header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks)?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()?;
    Some((accept, parts.extensions.remove::<OnUpgrade>()?))
}

/// Whether a header whose value is a list has `item` in it, whatever its case.
fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(item))
}

fn asks_for_subprotocol(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim() == SUBPROTOCOL)
}

fn switching(accept: HeaderValue, subprotocol: bool) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}
