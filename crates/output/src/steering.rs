//! What steers the daemon: modes and events, the same by HTTP and by WebSocket, and models; for whoever has shown the run's token.

use std::sync::{Arc, Mutex, PoisonError};

use kalmind_types::{Actor, Confirmation, EventKind, LslTime, Mode, ModelId, OutputState};
use serde_json::Value;

use crate::{
    ControlRefused, ModelEntry, StagesRequest, app::App, charge, counters::count, messages::ErrorCode,
    rate::RateLimit, request::WantedState,
};

/// What is said to whoever confirms something and asks for another state.
const NOTHING_TO_CONFIRM: &str =
    "`confirm` and `model` count with \"state\": \"control\" only: leave them out";

impl App {
    /// Takes one of what `limit` allows; counts it where there is none left.
    pub(crate) fn within(&self, limit: &Mutex<RateLimit>) -> bool {
        let within = limit.lock().unwrap_or_else(PoisonError::into_inner).take(self.hub.clock().lsl());
        if !within {
            count(&self.counters.too_frequent);
        }
        within
    }

    /// Asks for a state; `hold` is a stop. `confirmed` is what whoever asks agrees to, and `model` the one in doubt
    /// that they were shown; `console` is which page or program they are.
    ///
    /// # Errors
    /// A confirmation with another state than control, a session that somebody else is in charge of, or what the daemon says
    /// against it.
    pub(crate) fn control(
        &self,
        wanted: WantedState,
        confirmed: &[Confirmation],
        model: Option<ModelId>,
        console: Option<&str>,
    ) -> Result<(), ControlRefused> {
        let confirms = !confirmed.is_empty() || model.is_some();
        let Some(mode) = wanted.mode() else {
            // a stop counts whatever else was said with it
            self.stop(true);
            if confirms {
                let refused = ControlRefused::Invalid(format!("stopped; {NOTHING_TO_CONFIRM}"));
                return self.counted(Err(refused));
            }
            return Ok(());
        };
        if confirms && mode != Mode::Control {
            return self.counted(Err(ControlRefused::Invalid(NOTHING_TO_CONFIRM.to_owned())));
        }
        let is_held =
            matches!(self.hub.state().0, OutputState::Hold | OutputState::Stale | OutputState::Fault);
        let session = self.controls.session();
        if let Some(why) = charge::why_not(&session, console, is_held) {
            return self.counted(Err(ControlRefused::NotNow(why)));
        }
        // a stop that comes meanwhile is not theirs to clear either
        let resume = charge::why_not(&session, console, true).is_none();
        self.counted(self.controls.request(mode, resume, Actor::Operator, confirmed, model))
    }

    /// Takes an event from outside; gives the number that it is published under.
    ///
    /// # Errors
    /// A kind that only the daemon tells of, or what the daemon says against it.
    pub(crate) fn event(
        &self,
        kind: EventKind,
        time: Option<LslTime>,
        data: Value,
    ) -> Result<u64, ControlRefused> {
        if matches!(kind, EventKind::Model | EventKind::Window | EventKind::State | EventKind::Fault) {
            return self.counted(Err(ControlRefused::Invalid(String::from(
                "only the daemon tells of models, windows, states and faults: kinds from outside are target, trial, task_block and operator",
            ))));
        }
        self.counted(self.controls.event(kind, time, data))
    }

    /// Takes a model's file; gives what the run knows of it. Takes as long as checking and building it does.
    ///
    /// # Errors
    /// What the daemon says against it.
    pub(crate) fn add_model(&self, file: Arc<[u8]>) -> Result<ModelEntry, ControlRefused> {
        self.counted(self.controls.add_model(file, Actor::Operator))
    }

    /// Puts a model of the run to work. Takes as long as building it does.
    ///
    /// # Errors
    /// What the daemon says against it.
    pub(crate) fn activate_model(&self, model: ModelId) -> Result<(), ControlRefused> {
        self.counted(self.controls.activate_model(model, Actor::Operator))
    }

    /// Has other settings of a stream's stages follow those in force. Takes as long as building them does.
    ///
    /// # Errors
    /// What the daemon says against it.
    pub(crate) fn change_stages(&self, request: StagesRequest) -> Result<(), ControlRefused> {
        self.counted(self.controls.change_stages(request, Actor::Operator))
    }

    /// Asks something of the session; gives what it shows of itself afterwards. Takes as long as the session does.
    ///
    /// # Errors
    /// What the session says against it.
    pub(crate) fn ask_session(&self, asked: Value, by: Actor) -> Result<Value, ControlRefused> {
        self.counted(self.controls.session_request(asked, by))
    }

    /// Counts a request that was refused before the daemon heard of it.
    pub(crate) fn count_refused(&self) {
        count(&self.counters.controls_refused);
    }

    fn counted<T>(&self, outcome: Result<T, ControlRefused>) -> Result<T, ControlRefused> {
        let counters = &self.counters;
        count(if outcome.is_ok() { &counters.controls } else { &counters.controls_refused });
        outcome
    }
}

impl ControlRefused {
    /// The code under which clients are told.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::Invalid,
            Self::UnknownModel(_) => ErrorCode::NotFound,
            Self::NotNow(_) => ErrorCode::NotNow,
            Self::OtherModel(_) => ErrorCode::OtherModel,
            Self::Busy(_) => ErrorCode::Busy,
        }
    }
}
