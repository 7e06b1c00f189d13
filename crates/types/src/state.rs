//! What the output may do right now, why, and who said so.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What clients may do with the cursor. The codes are fixed; where several apply, the higher one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum OutputState {
    /// Nothing moves the cursor.
    Idle = 0,
    /// The task moves the cursor, or the decoder with assistance.
    Calibrating = 1,
    /// The decoder moves the cursor.
    Control = 2,
    /// Stopped by someone; waits for a resume.
    Hold = 3,
    /// The input is not fresh.
    Stale = 4,
    /// Something broke inside; waits for the operator.
    Fault = 5,
}

impl OutputState {
    /// All states, by code.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Calibrating, Self::Control, Self::Hold, Self::Stale, Self::Fault];

    /// The number by which the LSL outlet and recordings name the state.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The name by which messages and the console show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Calibrating => "calibrating",
            Self::Control => "control",
            Self::Hold => "hold",
            Self::Stale => "stale",
            Self::Fault => "fault",
        }
    }

    /// Whether the cursor may move in this state.
    #[must_use]
    pub fn moves(self) -> bool {
        matches!(self, Self::Calibrating | Self::Control)
    }
}

impl fmt::Display for OutputState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The state that people and tasks ask for; `hold`, `stale` and `fault` lie over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// See [`OutputState::Idle`].
    Idle,
    /// See [`OutputState::Calibrating`].
    Calibrating,
    /// See [`OutputState::Control`].
    Control,
}

impl From<Mode> for OutputState {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Idle => Self::Idle,
            Mode::Calibrating => Self::Calibrating,
            Mode::Control => Self::Control,
        }
    }
}

/// Who caused a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Actor {
    /// The configuration at start.
    Configuration = 0,
    /// The operator at the console, or a client with the run's token.
    Operator = 1,
    /// A client without a token (it may stop, nothing else).
    Client = 2,
    /// The task stream, or a task's events over HTTP.
    Task = 3,
    /// A signal to the process, or the command line.
    Signal = 4,
    /// Kalmind itself.
    Daemon = 5,
}

/// Why the state is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Cause {
    /// Asked for.
    Requested = 0,
    /// STOP.
    Stopped = 1,
    /// No complete bin for longer than `stale_after_ms`.
    InputNotFresh = 2,
    /// The decoder gave a number that is not finite.
    NotFinite = 3,
    /// A panic was caught on the tick.
    Panicked = 4,
    /// `control` was asked for and no model is loaded.
    NoModel = 5,
    /// The program is ending.
    ShuttingDown = 6,
    /// The tick thread has not been heard of for a second.
    TickSilent = 7,
    /// STOP, and beside it the input is not fresh.
    StoppedAndNotFresh = 8,
    /// More channels than `max_masked` have no valid value, stand still, or are corrected or masked by the guard.
    ChannelsMasked = 9,
    /// The array's channels stand still as they never did in training.
    ChannelsConstant = 10,
    /// The channels' variance, from their mean or from bin to bin, is far from that of training.
    VarianceUnlikeTraining = 11,
    /// What channels say of each other is not what it was in training.
    PatternUnlikeTraining = 12,
    /// For `fallback_stale_ms` the decoder has taken no measurement in.
    DecoderFallsBack = 13,
}

impl Cause {
    /// Whether the signals arrive and are not what the decoder was trained on.
    #[must_use]
    pub fn is_implausible_input(self) -> bool {
        matches!(
            self,
            Self::ChannelsMasked
                | Self::ChannelsConstant
                | Self::VarianceUnlikeTraining
                | Self::PatternUnlikeTraining
                | Self::DecoderFallsBack
        )
    }
}

/// Why the state is what it is, and who caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// Why.
    pub cause: Cause,
    /// Who.
    pub by: Actor,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            Cause::Requested => "requested",
            Cause::Stopped => "stopped",
            Cause::InputNotFresh => "input not fresh",
            Cause::NotFinite => "decoder output not finite",
            Cause::Panicked => "panic on the tick",
            Cause::NoModel => "no model loaded",
            Cause::ShuttingDown => "shutting down",
            Cause::TickSilent => "tick thread silent",
            Cause::StoppedAndNotFresh => "input not fresh, and stopped",
            Cause::ChannelsMasked => {
                "the signals no longer look like those the decoder was trained on: too many channels are dead, \
                 shifted, noisy or without valid samples"
            }
            Cause::ChannelsConstant => {
                "the signals no longer look like those the decoder was trained on: channels are constant"
            }
            Cause::VarianceUnlikeTraining => {
                "the signals no longer look like those the decoder was trained on: their variance is another"
            }
            Cause::PatternUnlikeTraining => {
                "the signals no longer look like those the decoder was trained on: channels no longer belong together"
            }
            Cause::DecoderFallsBack => "the decoder cannot use the signals",
        };
        let by = match self.by {
            Actor::Configuration => "configuration",
            Actor::Operator => "operator",
            Actor::Client => "client",
            Actor::Task => "task",
            Actor::Signal => "signal",
            Actor::Daemon => "daemon",
        };
        write!(formatter, "{cause} by {by}")
    }
}
