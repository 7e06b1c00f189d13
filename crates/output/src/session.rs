//! `/v1/session`: what the session shows of itself, and what is asked of it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use kalmind_types::Actor;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::task;

use crate::{
    ControlRefused, Credentials,
    app::App,
    controls::NO_SESSION,
    permission::{may_read, understood, within},
    refusal::{ok, refusal, unauthorized},
};

/// Requests to the session that wait for it at once; further ones are refused.
pub(crate) const WAITING: usize = 8;
/// Calls without the token a second, and at once, of all clients together.
pub(crate) const CALLS_PER_SECOND: u32 = 5;

/// The one thing that nobody needs the token for: a participant who calls has none.
const CALL: &str = "call";

/// The body of `POST /v1/session`. What is in both is the session's to judge.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Who asks, by their own account.
    #[serde(default)]
    person: Map<String, Value>,
    /// What.
    request: Action,
}

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Action {
    action: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// `GET /v1/session`.
pub(crate) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Err(refused) = may_read(&app, &headers) {
        return *refused;
    }
    match app.controls.session() {
        Value::Null => refusal(&ControlRefused::NotNow(String::from(NO_SESSION))),
        session => ok(&session),
    }
}

/// `POST /v1/session`. Who may read may call; everything else needs the token.
pub(crate) async fn ask(State(app): State<Arc<App>>, request: Request) -> Response {
    let shown = app.access.credentials(request.headers());
    let by = match shown {
        Credentials::Right => Actor::Operator,
        Credentials::Absent if !app.access.reading_needs_token(request.headers()) => Actor::Client,
        Credentials::Absent | Credentials::Wrong => return unauthorized(&app, shown),
    };
    let limit = if by == Actor::Operator { &app.requests } else { &app.calls };
    if let Err(refused) = within(&app, limit) {
        return *refused;
    }
    let asked: Asked = match understood(&app, request).await {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    if by != Actor::Operator && asked.request.action != CALL {
        return unauthorized(&app, shown);
    }
    let Ok(place) = Arc::clone(&app.asking).try_acquire_owned() else {
        app.count_refused();
        return refusal(&ControlRefused::Busy(String::from("too many requests wait: ask again in a second")));
    };
    let steered = Arc::clone(&app);
    let answered = task::spawn_blocking(move || {
        let _place = place;
        steered.ask_session(json!(asked), by)
    });
    let answered = answered.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the session could not be asked");
        Err(ControlRefused::Invalid(String::from("an error inside Kalmind; the log has more")))
    });
    match answered {
        Ok(session) => ok(&session),
        Err(refused) => refusal(&refused),
    }
}
