//! `/v1/stages`: other settings of a stream's stages.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use tokio::task;

use crate::{
    ControlRefused, StagesRequest,
    app::App,
    messages::Accepted,
    permission::steering,
    refusal::{ok, refusal},
};

/// `POST /v1/stages`. Building stages may take a while: on a thread of its own, one at a time.
pub(crate) async fn change(State(app): State<Arc<App>>, request: Request) -> Response {
    let asked: StagesRequest = match steering(&app, request).await {
        Ok(asked) => asked,
        Err(refused) => return *refused,
    };
    let Ok(alone) = Arc::clone(&app.activating).try_acquire_owned() else {
        app.count_refused();
        return refusal(&ControlRefused::Busy(String::from(
            "other stages or a model are being built: ask again in a second",
        )));
    };
    let steered = Arc::clone(&app);
    let changed = task::spawn_blocking(move || {
        let _alone = alone;
        steered.change_stages(asked)
    });
    let changed = changed.await.unwrap_or_else(|error| {
        tracing::error!(%error, "stages could not be built");
        Err(ControlRefused::Invalid(String::from("an error inside Kalmind; the log has more")))
    });
    match changed {
        Ok(()) => ok(&Accepted { request: "stages" }),
        Err(refused) => refusal(&refused),
    }
}
