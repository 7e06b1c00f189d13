//! `/v1/models`: the models of the run, listed, sent and put to work.
//!
//! Checking a model and building it may take a second of a core. That happens on a thread of its own, one request at a
//! time: no other request waits for it, and no flood of models takes more than one core and the memory of one file.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    http::HeaderMap,
    response::Response,
};
use kalmind_types::ModelId;
use tokio::task;

use crate::{
    ControlRefused,
    app::App,
    messages::Accepted,
    permission::{body_of, may_read, may_steer},
    refusal::{ok, refusal},
};

/// `GET /v1/models`.
pub(crate) async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match may_read(&app, &headers) {
        Ok(()) => ok(&app.controls.models()),
        Err(refused) => *refused,
    }
}

/// `POST /v1/models`: the body is the file's bytes.
pub(crate) async fn add(State(app): State<Arc<App>>, request: Request) -> Response {
    if let Err(refused) = may_steer(&app, request.headers()) {
        return *refused;
    }
    // before the body is read: no two of them are in memory
    let Ok(alone) = Arc::clone(&app.posting).try_acquire_owned() else { return busy(&app) };
    let limits = &app.limits;
    let file = match body_of(&app, request, limits.model_bytes, limits.model_within).await {
        Ok(file) => file,
        Err(refused) => return *refused,
    };
    let steered = Arc::clone(&app);
    let added = task::spawn_blocking(move || {
        // kept until the work is done, also where the client has left
        let _alone = alone;
        steered.add_model(Vec::from(file).into())
    });
    match added.await.unwrap_or_else(failed) {
        Ok(entry) => ok(&entry),
        Err(refused) => refusal(&refused),
    }
}

/// `POST /v1/models/{id}/activate`; a body is not read.
pub(crate) async fn activate(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    if let Err(refused) = may_steer(&app, request.headers()) {
        return *refused;
    }
    let Some(id) = id.ok().and_then(|Path(id)| ModelId::from_hex(&id)) else {
        return refusal(&ControlRefused::UnknownModel(String::from(
            "a model is named by the SHA-256 of its file in 64 lower-case hexadecimal digits: GET /v1/models lists \
             those of this run",
        )));
    };
    let Ok(alone) = Arc::clone(&app.activating).try_acquire_owned() else { return busy(&app) };
    let steered = Arc::clone(&app);
    let activated = task::spawn_blocking(move || {
        let _alone = alone;
        steered.activate_model(id)
    });
    match activated.await.unwrap_or_else(failed) {
        Ok(()) => ok(&Accepted { request: "activate" }),
        Err(refused) => refusal(&refused),
    }
}

fn busy(app: &App) -> Response {
    let refused =
        ControlRefused::Busy(String::from("another model is being checked or built: ask again in a second"));
    app.count_refused();
    refusal(&refused)
}

/// The thread that did the work panicked.
#[expect(clippy::needless_pass_by_value, reason = "as an error is mapped")]
fn failed<T>(error: task::JoinError) -> Result<T, ControlRefused> {
    tracing::error!(%error, "a model could not be checked or built");
    Err(ControlRefused::Invalid(String::from("an error inside Kalmind; the log has more")))
}
