//! What events of the daemon's own tell: requests, arrivals, models, states, the recording's troubles.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Actor, ArrivalStatus, Cause, ChannelFault, CovarianceKind, GenerationId, InputDelay, LslTime,
    OperatorAction, OutputState, Velocity, WindowMissing,
};

/// What whoever asks for control may have to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirmation {
    /// An input that arrives too late for a cursor.
    SlowInput,
    /// A decoder that is no better than chance, or falls back in most steps.
    PoorDecoder,
}

impl Confirmation {
    /// The name by which requests confirm it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SlowInput => "slow_input",
            Self::PoorDecoder => "poor_decoder",
        }
    }
}

/// Somebody asks for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRequest {
    /// What.
    pub action: OperatorAction,
    /// Who.
    pub by: Actor,
    /// What they confirmed with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<Confirmation>,
    /// The model in doubt that they confirmed: SHA-256 of its file, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether a program of the daemon's own confirmed, and no person.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub program: bool,
    /// Why it was refused, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl OperatorRequest {
    /// A request without more.
    #[must_use]
    pub fn new(action: OperatorAction, by: Actor) -> Self {
        Self { action, by, confirmed: Vec::new(), model: None, program: false, refused: None }
    }
}

/// How a person's hand moves, in a run in which that is what a simulated participant means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandEvent {
    /// Always `hand`.
    pub action: HandTag,
    /// Who tells it.
    pub by: Actor,
    /// In workspace widths per second.
    pub velocity: Velocity,
}

/// The constant `"hand"` of a [`HandEvent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandTag {
    /// The only value.
    #[default]
    #[serde(rename = "hand")]
    Hand,
}

/// How the streams arrive is being measured, or was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrivalEvent {
    /// Which of both.
    pub action: ArrivalAction,
    /// Whose work that is.
    pub by: Actor,
    /// What follows for the whole input.
    pub input: InputDelay,
    /// How each stream arrives.
    pub streams: Vec<StreamArrival>,
}

/// Whether a measurement of how streams arrive begins or is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalAction {
    /// It begins.
    MeasuringArrival,
    /// It is done.
    ArrivalMeasured,
}

/// How one stream arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamArrival {
    /// The stream's key.
    pub key: String,
    /// What was measured; none before it was.
    pub arrival: Option<ArrivalStatus>,
}

/// What became of another generation of a stream's stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagesEvent {
    /// What.
    pub action: StagesAction,
    /// Who asked for it.
    pub by: Actor,
    /// The stream's key.
    pub stream: String,
    /// The generation: SHA-256 of the settings' JSON text.
    pub generation: GenerationId,
    /// The raw sample from which it is in force, where that is known.
    pub at: Option<u64>,
    /// `seq` of the tick of the first bin that is wholly of it, once there was one.
    pub seq: Option<u64>,
    /// Why it came to nothing, a sentence; none in recordings of before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Whether another generation of a stream's stages is on its way, in force, or came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StagesAction {
    /// It was handed to the stream's thread.
    StagesChanging,
    /// Bins are of it.
    StagesInForce,
    /// It does not follow the one in force.
    StagesRefused,
}

/// Channels of a stream are left out from here on, or taken in again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelHealthEvent {
    /// Always `channel_health`.
    pub action: ChannelHealthTag,
    /// Who found it.
    pub by: Actor,
    /// The stream's key.
    pub stream: String,
    /// Their labels.
    pub channels: Vec<String>,
    /// What is wrong with them; none where they are healthy again.
    pub fault: Option<ChannelFault>,
    /// When that was found.
    pub since: LslTime,
    /// All of it in words.
    pub message: String,
}

/// The constant `"channel_health"` of a [`ChannelHealthEvent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelHealthTag {
    /// The only value.
    #[default]
    #[serde(rename = "channel_health")]
    ChannelHealth,
}

impl ChannelHealthEvent {
    /// Of these channels of a stream.
    #[must_use]
    pub fn new(stream: &str, channels: Vec<String>, fault: Option<ChannelFault>, since: LslTime) -> Self {
        const NAMED: usize = 8;
        let named = channels.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match channels.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let [channel, are, until] = match channels.len() {
            1 => ["Channel", "is", "it is left out until it recovers"],
            _ => ["Channels", "are", "they are left out until they recover"],
        };
        let what = match fault {
            Some(fault) => format!("{}; {until}", fault.sentence()),
            None => String::from("healthy again"),
        };
        let message = format!("{channel} {named}{more} of {stream} {are} {what}");
        Self {
            action: ChannelHealthTag::default(),
            by: Actor::Daemon,
            stream: stream.to_owned(),
            channels,
            fault,
            since,
            message,
        }
    }
}

/// Where a run has a model from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// The configuration names its file.
    Configured,
    /// A session saved it, and this run began with it.
    Resumed,
    /// It was fitted in this run.
    Fitted,
    /// A client sent its file.
    Posted,
}

/// What became of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ModelEvent {
    /// The run has it from now on; it need not decode.
    Added {
        /// Its decoder.
        decoder: String,
        /// SHA-256 of its file, hexadecimal.
        hash: String,
        /// Where it comes from.
        source: ModelSource,
        /// Who brought it.
        by: Actor,
        /// Name of the file that it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Whether somebody has to confirm it before it may control.
        poor: bool,
    },
    /// It took over.
    Swapped {
        /// Its decoder.
        decoder: String,
        /// SHA-256 of its file, hexadecimal.
        hash: String,
        /// Bins that it was fitted to.
        train_bins: Option<u64>,
        /// Whether its covariance can say that it is unsure.
        covariance: Option<CovarianceKind>,
        /// How good it is on rows that it was not fitted to, as its fit report says it.
        #[serde(default)]
        quality: Value,
        /// What speaks against it, a sentence each.
        #[serde(default)]
        warnings: Vec<String>,
        /// Whether somebody has to confirm it before it may control.
        #[serde(default)]
        poor: bool,
        /// Who asked for it; none where it took over by itself once it was fitted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Actor>,
    },
    /// It could not be fitted.
    FitFailed {
        /// Why.
        problem: String,
    },
    /// It was on its way to take over and could not.
    SwapFailed {
        /// SHA-256 of its file, hexadecimal.
        hash: String,
        /// Why.
        problem: String,
    },
}

/// A window at a marker was read, or could not be. The event's time is the marker's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowEvent {
    /// The window's name.
    pub window: String,
    /// Counts the windows that were asked for, from 0; one that was refused is a hole.
    pub event: u64,
    /// The marker's text.
    pub marker: String,
    /// The stream that it is cut from.
    pub stream: String,
    /// Index of its first sample; none where nothing was read.
    pub first: Option<u64>,
    /// Its number of samples.
    pub samples: u32,
    /// What read it.
    pub reader: String,
    /// What was read; none where `missing` says why.
    pub values: Option<Vec<WindowValue>>,
    /// Why nothing was read.
    pub missing: Option<WindowMissing>,
}

/// One of the values that were read from a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowValue {
    /// What it is called: a channel, a class.
    pub name: String,
    /// The value.
    pub value: f64,
}

/// The output's state or its reason changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateEvent {
    /// The state from now on.
    pub state: OutputState,
    /// Why, for people.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why, for programs.
    #[serde(default)]
    pub cause: Option<StateCause>,
    /// Who caused it.
    #[serde(default)]
    pub by: Option<Actor>,
    /// The state before.
    pub previous: OutputState,
    /// Since when that was.
    #[serde(default)]
    pub since: LslTime,
    /// Who leads out of it, where it does not end by itself.
    #[serde(default)]
    pub awaits: Option<String>,
    /// Number of the newest tick.
    #[serde(default)]
    pub seq: Option<u64>,
    /// Channels that look dead or unlike training, where that is why.
    #[serde(default)]
    pub channels: Vec<String>,
    /// What happened and what to do, with figures.
    pub message: String,
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StateCause {
    /// The cause of the state's reason.
    Cause(Cause),
    /// What is no cause of a state: `signal_back`, or one of another version.
    Named(String),
}

/// The recording is in trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingFault {
    /// Always `recording`.
    pub source: RecordingTag,
    /// What is wrong.
    pub reason: String,
    /// The file.
    #[serde(default)]
    pub file: String,
    /// Samples lost so far.
    #[serde(default)]
    pub lost_samples: u64,
    /// Ticks lost so far.
    #[serde(default)]
    pub lost_ticks: u64,
}

/// The constant `"recording"` of a [`RecordingFault`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordingTag {
    /// The only value.
    #[default]
    #[serde(rename = "recording")]
    Recording,
}
