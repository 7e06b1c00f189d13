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
    /// No usable signal, or one that was away for so long that the operator has to agree to go on.
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
    /// Nobody: the page that runs the session answered no more.
    LostConsole = 6,
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
    /// Complete bins come again after several silences in a row, not yet for long enough to go on.
    InputUnsteady = 9,
    /// The signal is back after a silence of more than `auto_resume_ms`: the operator has to agree to go on.
    AwaitsResume = 10,
    /// STOP, and beside it the signal is back and waits for the operator.
    StoppedAndAwaitsResume = 11,
    /// The decoder gave a number that is not finite.
    NotFinite = 3,
    /// A panic was caught, on the tick or in a stream's stages.
    Panicked = 4,
    /// `control` was asked for and no model is loaded.
    NoModel = 5,
    /// The program is ending.
    ShuttingDown = 6,
    /// The tick thread has not been heard of for a second.
    TickSilent = 7,
    /// STOP, and beside it the input is not fresh.
    StoppedAndNotFresh = 8,
    /// How the streams arrive is being measured; what was asked for follows.
    MeasuringArrival = 12,
    /// `control` was asked for, and the input arrives too late for a cursor.
    InputTooSlow = 13,
    /// More channels than `max_masked` have no valid value, stand still, or are corrected or masked by the guard.
    ChannelsMasked = 14,
    /// The array's channels stand still as they never did in training.
    ChannelsConstant = 15,
    /// The channels' variance, from their mean or from bin to bin, is far from that of training.
    VarianceUnlikeTraining = 16,
    /// What channels say of each other is not what it was in training.
    PatternUnlikeTraining = 17,
    /// For `fallback_stale_ms` the decoder has taken no measurement in.
    DecoderFallsBack = 18,
    /// `control` was asked for, and on rows that it was not fitted to the decoder is no better than chance.
    DecoderAtChance = 19,
    /// `control` was asked for, and on rows that it was not fitted to the decoder fell back in most steps.
    DecoderMostlyFallsBack = 20,
    /// `control` was asked for, and whether the decoder is better than chance could not be tested.
    DecoderNotTested = 21,
    /// `control` was asked for, and on rows that it was not fitted to the decoder errs as much as the mean of the states.
    DecoderNoBetterThanMean = 22,
    /// The stages of a stream settle after a start, as they declare; what was asked for follows.
    StagesSettle = 23,
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

impl Reason {
    /// Whether nothing but an operator (or a task that is allowed to) leads out of it.
    #[must_use]
    pub fn awaits_resume(self) -> bool {
        match self.cause {
            Cause::Stopped
            | Cause::NotFinite
            | Cause::Panicked
            | Cause::TickSilent
            | Cause::StoppedAndNotFresh
            | Cause::AwaitsResume
            | Cause::StoppedAndAwaitsResume => true,
            Cause::Requested
            | Cause::InputNotFresh
            | Cause::InputUnsteady
            | Cause::NoModel
            | Cause::MeasuringArrival
            | Cause::StagesSettle
            | Cause::InputTooSlow
            | Cause::ChannelsMasked
            | Cause::ChannelsConstant
            | Cause::VarianceUnlikeTraining
            | Cause::PatternUnlikeTraining
            | Cause::DecoderFallsBack
            | Cause::DecoderAtChance
            | Cause::DecoderMostlyFallsBack
            | Cause::DecoderNotTested
            | Cause::DecoderNoBetterThanMean
            | Cause::ShuttingDown => false,
        }
    }
}

/// What happened and what to do, for the page and for logs. The same words as long as it lasts: how long that is stands in
/// the event.
impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by;
        match self.cause {
            Cause::Requested => write!(formatter, "requested by {by}"),
            Cause::Stopped => write!(formatter, "stopped by {by}"),
            Cause::InputNotFresh => {
                formatter.write_str("no usable signal: the cursor stands still until it returns")
            }
            Cause::InputUnsteady => formatter.write_str(
                "the signal is intermittent: the cursor moves again once it has been steady for a second",
            ),
            Cause::AwaitsResume => formatter.write_str(
                "the signal is back after a long silence; waiting for the operator to continue",
            ),
            Cause::NotFinite => formatter.write_str(
                "the decoder produced an invalid number: press Resume to restart it, or load another model",
            ),
            Cause::Panicked => {
                formatter.write_str("Kalmind had an internal error: press Resume, and report it with the log")
            }
            Cause::NoModel => formatter.write_str("no decoder is loaded: calibrate first"),
            Cause::MeasuringArrival => formatter.write_str("measuring how samples arrive"),
            Cause::StagesSettle => formatter.write_str(
                "the filters of a stream settle: at a start what was asked for begins by itself when they have",
            ),
            Cause::InputTooSlow => formatter
                .write_str("samples arrive too late for cursor control: confirm to continue anyway"),
            Cause::ChannelsMasked => formatter.write_str(
                "too many channels are dead, shifted, noisy or without valid samples: check the array and its cables",
            ),
            Cause::ChannelsConstant => formatter.write_str(
                "the signals no longer look like those the decoder was trained on: channels are constant; check the array \
                 and its cables",
            ),
            Cause::VarianceUnlikeTraining => formatter.write_str(
                "the signals no longer look like those the decoder was trained on: their variance has changed; check the \
                 array, or calibrate again",
            ),
            Cause::PatternUnlikeTraining => formatter.write_str(
                "the signals no longer look like those the decoder was trained on: the correlations between channels have \
                 changed; check the channel order, or calibrate again",
            ),
            Cause::DecoderFallsBack => {
                formatter.write_str("the decoder cannot use the signals: check them, or calibrate again")
            }
            Cause::DecoderAtChance => formatter.write_str(
                "the decoder is no better than chance: calibrate again, or confirm to use it anyway",
            ),
            Cause::DecoderMostlyFallsBack => formatter.write_str(
                "the decoder could not use most of its held-out data: calibrate again, or confirm to use it anyway",
            ),
            Cause::DecoderNotTested => formatter.write_str(
                "the decoder was not tested against chance: calibrate for longer, or confirm to use it anyway",
            ),
            Cause::DecoderNoBetterThanMean => formatter.write_str(
                "on held-out data the decoder is no better than always predicting the mean: calibrate again, or confirm to \
                 use it anyway",
            ),
            Cause::ShuttingDown => formatter.write_str("Kalmind is shutting down"),
            Cause::TickSilent => formatter
                .write_str("decoding stopped for more than a second: press Resume when it runs again"),
            Cause::StoppedAndNotFresh => write!(formatter, "stopped by {by}, and no usable signal"),
            Cause::StoppedAndAwaitsResume => write!(
                formatter,
                "stopped by {by}; the signal was lost and has returned; waiting for the operator to continue"
            ),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Configuration => "the configuration",
            Self::Operator => "the operator",
            Self::Client => "a client",
            Self::Task => "the task",
            Self::Signal => "a system signal (such as Ctrl-C)",
            Self::Daemon => "Kalmind",
            Self::LostConsole => "the loss of the operator's page",
        })
    }
}
