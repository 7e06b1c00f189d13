//! What clients may ask of the daemon.

use std::sync::Arc;

use kalmind_types::{
    Actor, Confirmation, CovarianceKind, EventKind, LslTime, Mode, ModelId, ModelSource, StreamStatus,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is said where nobody runs sessions.
pub(crate) const NO_SESSION: &str = "this run has no session to show or to ask something of";

/// Which decoder runs, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecoderInfo {
    /// Decoder name (`dkf-nw`).
    pub name: String,
    /// SHA-256 of the model file, hexadecimal.
    pub model: String,
    /// Whether its covariance can say that it is unsure.
    pub covariance: CovarianceKind,
    /// How good it is on rows that it was not fitted to, by its fit report; null where nothing is known of that.
    pub quality: Value,
    /// What speaks against it, a sentence each.
    pub warnings: Vec<String>,
    /// Whether somebody has to confirm it before it may control.
    pub poor: bool,
}

/// A model of the run: what it is, and how it came here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelEntry {
    /// Which, and how good it is.
    #[serde(flatten)]
    pub decoder: DecoderInfo,
    /// Where it comes from.
    pub source: ModelSource,
    /// Who brought it.
    pub by: Actor,
    /// When it came, on the LSL clock.
    pub added: LslTime,
    /// Bins that it was fitted to, where it was fitted in this run.
    pub train_bins: Option<u64>,
    /// Name of the file that it was read from, or saved to.
    pub file: Option<String>,
    /// Size of its file.
    pub bytes: u64,
    /// Whether it decodes, as the newest tick showed it.
    pub active: bool,
    /// Why control with it needs a confirmation each time that it is put in; none where it does not.
    pub doubt: Option<String>,
}

/// The models of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelList {
    /// Those that can be put to work, in the order in which they came.
    pub models: Vec<ModelEntry>,
    /// The one that decodes.
    pub active: Option<String>,
    /// The one that decoded before it: activating it undoes the last change.
    pub before: Option<String>,
    /// The newest one that is on its way to the tick, where one is.
    pub wanted: Option<String>,
    /// Models given up to make room for newer ones.
    pub forgotten: u64,
}

/// Another generation of a stream's stages, as clients ask for it: the body of `POST /v1/stages`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagesRequest {
    /// The stream's key.
    pub stream: String,
    /// The stages, as in the configuration.
    pub stages: Value,
    /// The sample, as it is received, from which they are to be in force; as soon as they have settled, where that is later.
    #[serde(default)]
    pub at: u64,
}

/// Why a request was not carried out. The text is shown to whoever asked: what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlRefused {
    /// The request makes no sense as it stands (HTTP 422).
    #[error("{0}")]
    Invalid(String),
    /// The run has no such model (HTTP 404).
    #[error("{0}")]
    UnknownModel(String),
    /// The request is in order, but not in the present state (HTTP 409).
    #[error("{0}")]
    NotNow(String),
    /// What was confirmed is another model than the one that decodes (HTTP 409).
    #[error("{0}")]
    OtherModel(String),
    /// The daemon has no room for it right now; asking again may help (HTTP 503).
    #[error("{0}")]
    Busy(String),
}

/// The daemon, as the server steers and describes it.
///
/// Called on the server's threads, which serve every client: an implementation must not block (hand the request over
/// and return), but for the calls that say so.
pub trait Controls: Send + Sync {
    /// Latches `hold` on behalf of `by`. Cannot be refused: the implementation wakes the tick thread, which publishes
    /// a heartbeat with state `hold` at once, with or without ticks.
    fn stop(&self, by: Actor);

    /// Asks for `mode`, and with `resume` clears `hold`, `stale` and `fault`: only called for requests that showed the run's token.
    /// `confirmed` is what whoever asks agrees to, and `model` the one that they were shown, where they say so: nothing
    /// is confirmed of another.
    ///
    /// # Errors
    /// See [`ControlRefused`].
    fn request(
        &self,
        mode: Mode,
        resume: bool,
        by: Actor,
        confirmed: &[Confirmation],
        model: Option<ModelId>,
    ) -> Result<(), ControlRefused>;

    /// Takes an event from outside (a target, a trial, a task block, an operator's remark) that happened at `time`
    /// (now, if none). Gives the `event_seq` it will be published under.
    ///
    /// # Errors
    /// See [`ControlRefused`].
    fn event(&self, kind: EventKind, time: Option<LslTime>, data: Value) -> Result<u64, ControlRefused>;

    /// Has another generation of a stream's stages follow the one in force. Called on a thread of its own, one at a time:
    /// may take its time.
    ///
    /// # Errors
    /// See [`ControlRefused`].
    fn change_stages(&self, request: StagesRequest, by: Actor) -> Result<(), ControlRefused>;

    /// The decoder that runs, if any.
    fn decoder(&self) -> Option<DecoderInfo>;

    /// The models of the run.
    fn models(&self) -> ModelList;

    /// Checks a model's file as at the start, and keeps it; one that is known already is given as it is. Called on a
    /// thread of its own, one at a time: may take its time.
    ///
    /// # Errors
    /// [`ControlRefused::Invalid`] with what a start would say against it.
    fn add_model(&self, file: Arc<[u8]>, by: Actor) -> Result<ModelEntry, ControlRefused>;

    /// Builds a model of the run and hands it over to decode from the next tick on. Called as [`Controls::add_model`].
    ///
    /// # Errors
    /// See [`ControlRefused`].
    fn activate_model(&self, model: ModelId, by: Actor) -> Result<(), ControlRefused>;

    /// What the session shows of itself: an object; null where the run has no session. Called five times a second while a
    /// client wants to hear of it.
    fn session(&self) -> Value {
        Value::Null
    }

    /// Asks something of the session: `{"person": {..}, "request": {"action": ..}}`; gives what it shows of itself
    /// afterwards. `by` is [`Actor::Client`] for a call without the token. Called on a thread of its own: may wait for the
    /// session.
    ///
    /// # Errors
    /// See [`ControlRefused`].
    fn session_request(&self, _asked: Value, _by: Actor) -> Result<Value, ControlRefused> {
        Err(ControlRefused::NotNow(String::from(NO_SESSION)))
    }

    /// The page of the console that is in charge of the session has answered nothing for 4.5 s; called once, until it comes
    /// back. Stops by default.
    fn console_lost(&self, _console: &str) {
        self.stop(Actor::LostConsole);
    }

    /// The input streams, in the configuration's order.
    fn streams(&self) -> Vec<StreamStatus>;

    /// Further members of `/v1/status` (real-time outcome, configuration, bins). A name that the server uses itself
    /// is not overwritten.
    fn status(&self) -> Map<String, Value>;

    /// Further lines of `/metrics` in Prometheus text format, each ending in a line break; may be empty.
    fn metrics_extra(&self) -> String;
}
