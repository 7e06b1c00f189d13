//! What the session shows of itself, to every client that wants to hear of it, and whether the page that runs it is there.

use core::{future, time::Duration};
use std::sync::{MutexGuard, PoisonError};

use kalmind_types::{LslTime, OutputState};
use serde_json::Value;
use tokio::{
    sync::watch::Receiver,
    time::{self, MissedTickBehavior},
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    app::App,
    counters::count,
    messages::{SessionMessage, to_json},
    presence::Presence,
};

/// How often the session is looked at: clients hear of it at most five times a second.
const EVERY: Duration = Duration::from_millis(200);

/// Looks at the session as long as anybody wants to know, hands on what changed, and tells the daemon once when the page
/// that is in charge is lost. Runs until the server ends.
pub(crate) async fn run(app: &App) {
    let mut rounds = time::interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ending = app.ending.clone();
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            _ = ending.changed() => return,
        }
        let consoles = presence(app).any();
        if app.session.receiver_count() == 0 && !consoles {
            continue;
        }
        let status = app.controls.session();
        if consoles {
            watch_over(app, &status);
        }
        let shown = text(&status);
        app.session.send_if_modified(|known| {
            let changed = *known != shown;
            *known = shown;
            changed
        });
    }
}

/// A sign of life of a console, which has answered everything until then. `was_watched` is whether it was watched over when
/// this connection of it last gave one; gives whether it is now. Whenever it is no more, it is counted.
pub(crate) fn heard(app: &App, console: &str, until: LslTime, was_watched: bool) -> bool {
    let is_watched = presence(app).heard(console, until);
    if was_watched && !is_watched {
        count(&app.counters.consoles_unwatched);
    }
    is_watched
}

/// What the session shows of itself at this moment.
pub(crate) fn message(app: &App) -> Option<Utf8Bytes> {
    text(&app.controls.session())
}

/// Waits until the session shows something new, and gives that; forever, where nobody wants to hear of it.
pub(crate) async fn changed(session: &mut Option<Receiver<Option<Utf8Bytes>>>) -> Option<Utf8Bytes> {
    if let Some(session) = session
        && session.changed().await.is_ok()
    {
        return session.borrow_and_update().clone();
    }
    future::pending().await
}

fn text(status: &Value) -> Option<Utf8Bytes> {
    status.is_object().then(|| to_json(&SessionMessage { status }).into())
}

/// Tells the daemon where the page in charge is lost, unless there is nothing that it could watch over.
fn watch_over(app: &App, status: &Value) {
    let in_charge = status["console"].as_str();
    let lost = presence(app).lost(in_charge, app.hub.clock().lsl());
    let over = status["state"] == "done" && app.hub.state().0 == OutputState::Idle;
    if let Some(console) = in_charge
        && lost
        && !over
    {
        tracing::warn!(console, "the page that runs the session answers no more");
        app.controls.console_lost(console);
    }
}

fn presence(app: &App) -> MutexGuard<'_, Presence> {
    app.presence.lock().unwrap_or_else(PoisonError::into_inner)
}
