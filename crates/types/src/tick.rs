//! The tick: everything that goes into one, and everything that comes out.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::{
    Actor, Assistance, Cause, ChannelMask, Click, CursorDrive, EventWindow, IndexRange, InputArrival, Intent,
    LslTime, MAX_STREAMS, MAX_WINDOWS, Mode, OutputState, Position, Reason, Seconds, StreamHealth, Target,
    Velocity,
};

/// The most commands that one tick takes; more wait for the next tick.
pub const MAX_COMMANDS: usize = 16;
/// The most separate runs of sample indices of one stream in one bin; samples past them count as late.
pub const MAX_RANGES: usize = 4;

/// Why a bin was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinClose {
    /// Every required stream delivered a sample past its end.
    Passed,
    /// Every required stream delivered all samples that its rate promises (or passed the end).
    Filled,
    /// The leading stream of `sample` mode delivered its sample.
    Sample,
    /// `max_wait_ms` went by: incomplete.
    Deadline,
    /// Stands for a sample that `sample` mode's stream skipped: incomplete.
    Skipped,
    /// The input ended.
    End,
}

/// What one stream contributes to one bin. Replay reads this and never recomputes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamTick {
    /// Which samples belong to the bin.
    pub ranges: ArrayVec<IndexRange, MAX_RANGES>,
    /// The clock offset in force, slewed: added to raw stamps.
    pub offset: Seconds,
    /// What the monitor said.
    pub health: StreamHealth,
    /// Samples lost (ring or backlog) since the tick before.
    pub lost: u64,
    /// Samples that came too late for their bin since the tick before.
    pub late: u64,
    /// The oldest generation of the stream's stages, counted from 0, that made samples of the bin, or of the bins before
    /// where it has none: the first bin with another number is the first that is wholly of that one.
    #[serde(default, skip_serializing_if = "is_first")]
    pub generation: u32,
    /// Where the bin has samples from before the stream's stages had settled after a start: for how long after its end they go
    /// on settling, by what they declare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<Seconds>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_first(generation: &u32) -> bool {
    *generation == 0
}

impl StreamTick {
    /// Samples in the bin.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.first).sum()
    }
}

/// How many of `features` features may lack a valid value in a bin that still counts as complete, where `max_masked` is
/// the part that may. Those that are switched off, which never have one, count neither as features nor as missing. The
/// one formula, for the tick and for the rows that train a decoder.
#[must_use]
pub fn most_missing(max_masked: f64, features: usize, switched_off: usize) -> f64 {
    max_masked * features.saturating_sub(switched_off) as f64
}

/// A fitted model's identity: the SHA-256 of its file's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelId(pub [u8; 32]);

impl ModelId {
    /// The hash in lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> String {
        use core::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// The hash that [`ModelId::to_hex`] wrote; none where the text is anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut id = Self::default();
        if pairs.len() != id.0.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in id.0.iter_mut().zip(pairs) {
            *byte = 16 * digit(*high)? + digit(*low)?;
        }
        Some(id)
    }
}

/// What the task wants of the cursor, as far as a tick needs to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// The target shown, if any.
    pub target: Option<Target>,
    /// What moves the cursor while `calibrating`.
    pub drive: CursorDrive,
    /// How much the cursor is helped where the decoder does.
    #[serde(default, skip_serializing_if = "Assistance::is_none")]
    pub assistance: Assistance,
}

/// How decoded intent moves the cursor, as an operator sets it while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CursorTuning {
    /// Factor on the gain of the configuration.
    pub gain: f64,
    /// By how much that gain grows for each workspace width per second, up to the speed limit: with 1, what is decoded as
    /// 0.4 widths per second moves the cursor by 0.56. Small movements stay small, and large ones take less time.
    #[serde(default, skip_serializing_if = "is_none")]
    pub gain_growth: f64,
    /// Time constant of the low-pass over velocity; zero for none.
    pub smoothing: Seconds,
    /// Speed limit, in workspace widths per second; the configuration's is never exceeded.
    pub max_speed: f64,
}

/// Whether a gain does not grow.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(crate) fn is_none(growth: &f64) -> bool {
    *growth == 0.0
}

impl CursorTuning {
    /// A decoded velocity with the factor by which its gain has grown at its speed; the same bits where it does not grow.
    #[must_use]
    pub fn grown(&self, velocity: Velocity) -> Velocity {
        if self.gain_growth > 0.0 {
            let factor = 1.0 + self.gain_growth * velocity.speed().min(self.max_speed);
            Velocity(velocity.0.map(|component| factor * component))
        } else {
            velocity
        }
    }

    /// Whether a cursor can be moved so.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let positive = |value: f64| value.is_finite() && value >= 0.0;
        positive(self.gain)
            && self.gain <= 100.0
            && (0.0..=10.0).contains(&self.gain_growth)
            && (0.0..=10.0).contains(&self.smoothing.0)
            && positive(self.max_speed)
    }
}

/// What counts as a press of a click, as an operator sets it while it runs: in place of what the model says, where it is stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickTuning {
    /// The button goes down where a click is meant with at least this probability, and up below as large a part of it as that
    /// of the model is of the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// For how long the probability has to be at least that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Seconds>,
}

impl ClickTuning {
    /// Whether a button can be pressed so.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.threshold.is_none_or(|threshold| threshold > 0.0 && threshold < 1.0)
            && self.hold.is_none_or(|hold| (0.0..=10.0).contains(&hold.0))
    }
}

/// Something that a person, a task or the daemon wants done at the start of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Latch `hold`.
    Stop {
        /// Who.
        by: Actor,
    },
    /// Ask for a mode, and where `resume` is set clear `hold`, `stale` and `fault` (authenticated requests only).
    Request {
        /// The mode.
        mode: Mode,
        /// Whether latched states are cleared.
        resume: bool,
        /// Who.
        by: Actor,
    },
    /// The task's state from this tick on.
    Task(TaskState),
    /// Put the cursor there.
    PlaceCursor(Position),
    /// How intent moves the cursor from this tick on.
    TuneCursor(CursorTuning),
    /// What counts as a press from this tick on.
    TuneClick(ClickTuning),
    /// Decode with the staged model of this identity from this tick on. It knows nothing of the bins before; mean and
    /// covariance of the model before carry over where they fit.
    SwapModel(ModelId),
    /// Decode with the staged model of this identity from this tick on, as if it had decoded since tick `from`: it was shown
    /// the bins of ticks `from` to `through` before it was staged, and is shown at most two more on the tick. Where more
    /// are missing it is handed back, and what decodes goes on.
    SwapWarmed {
        /// Which.
        model: ModelId,
        /// `seq` of the first tick of its history.
        from: u64,
        /// `seq` of the last one.
        through: u64,
    },
    /// Decode with the staged model of this identity from the first bin on that is wholly of this generation of a stream's
    /// stages, or a later one: the one that it was fitted behind. It knows nothing of the bins before, as with
    /// [`SwapModel`](Self::SwapModel). Another swap before that takes its place.
    SwapAtGeneration {
        /// Which.
        model: ModelId,
        /// The stream.
        stream: usize,
        /// The number of the generation, as in [`StreamTick::generation`].
        generation: u32,
    },
    /// The staged model of this identity takes over with no generation: where it waits for one it is handed back.
    ForgetAwaited {
        /// Which.
        model: ModelId,
    },
    /// The model of this identity may control, whatever its fit report says of it.
    ConfirmModel {
        /// Which.
        model: ModelId,
        /// Who agreed to it.
        by: Actor,
    },
    /// On the local clock there was no complete bin for so long that clients were shown `stale`, whatever the stamps say.
    InputNotFresh,
    /// On the local clock there was no complete bin for so long that the operator has to agree to go on, whatever the
    /// stamps say.
    InputWasSilent,
    /// Go on after a long silence of the input without the operator: from a task that is allowed to. Clears neither a stop
    /// nor a fault.
    AcceptInput {
        /// Who.
        by: Actor,
    },
    /// Something outside the step broke.
    Fault(Cause),
    /// How the input arrives, and what bins and heartbeats make of it from now on.
    Arrival {
        /// Whether it is fit for control.
        input: InputArrival,
        /// How long bins wait for their streams, after their end on the local clock.
        max_wait: Seconds,
        /// For how long nothing may come at all, as steady as the streams are.
        silence: Seconds,
    },
}

/// Everything that goes into one tick, apart from the samples that it names by index. Recorded with the tick; all that
/// depends on a local clock or on a person enters here. Fixed size, no heap.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct TickInput {
    /// Counts ticks from 0, without holes.
    pub seq: u64,
    /// Counts jumps of the time base.
    pub epoch: u32,
    /// Start of the bin.
    pub start: LslTime,
    /// End of the bin (in `sample` mode the sample's stamp): the tick's time. Strictly increasing.
    pub time: LslTime,
    /// Why it was closed.
    pub closed_by: BinClose,
    /// Whether a required stream is short of what it promised; then the decoder does a time update only.
    pub incomplete: bool,
    /// What each configured stream contributes, in the configuration's order.
    pub streams: ArrayVec<StreamTick, MAX_STREAMS>,
    /// Channels that the operator has switched off.
    pub masked: ChannelMask,
    /// What to do before decoding, in order.
    pub commands: ArrayVec<Command, MAX_COMMANDS>,
    /// Windows at events that are read at this tick, in the order of their events.
    #[serde(default, skip_serializing_if = "ArrayVec::is_empty")]
    pub windows: ArrayVec<EventWindow, MAX_WINDOWS>,
}

impl Clone for TickInput {
    fn clone(&self) -> Self {
        let mut copy = Self::empty();
        copy.clone_from(self);
        copy
    }

    /// Copies what is in the lists and not the room in them, as a derived one would: every tick is copied into its records.
    fn clone_from(&mut self, source: &Self) {
        let Self { seq, epoch, start, time, closed_by, incomplete, streams, masked, commands, windows } =
            source;
        (self.seq, self.epoch, self.start, self.time) = (*seq, *epoch, *start, *time);
        (self.closed_by, self.incomplete) = (*closed_by, *incomplete);
        self.streams.clone_from(streams);
        self.masked.clone_from(masked);
        self.commands.clone_from(commands);
        self.windows.clone_from(windows);
    }
}

impl TickInput {
    /// An input to be filled: allocated once, written anew for every tick.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seq: 0,
            epoch: 0,
            start: LslTime(0.0),
            time: LslTime(0.0),
            closed_by: BinClose::End,
            incomplete: true,
            streams: ArrayVec::new(),
            masked: ChannelMask::default(),
            commands: ArrayVec::new(),
            windows: ArrayVec::new(),
        }
    }
}

/// Everything that comes out of one tick. Fixed size, no heap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TickOutput {
    /// See [`TickInput::seq`].
    pub seq: u64,
    /// See [`TickInput::epoch`].
    pub epoch: u32,
    /// See [`TickInput::time`].
    pub time: LslTime,
    /// Stamp of the newest sample used, on the LSL clock; none in a bin without samples.
    pub newest: Option<LslTime>,
    /// Whether the decoder did a time update only.
    pub incomplete: bool,
    /// What clients may do with the cursor.
    pub state: OutputState,
    /// Why.
    pub reason: Option<Reason>,
    /// Cursor position.
    pub position: Position,
    /// What moved the cursor.
    pub velocity: Velocity,
    /// What would have moved a cursor without edges: after gain, smoothing and speed limit; zero where the state stands
    /// still. For readers that keep the position themselves.
    pub free_velocity: Velocity,
    /// What the decoder gives, in every state; none without a model.
    pub intent: Option<Intent>,
    /// What the click decoder gives; none without one.
    pub click: Option<Click>,
    /// Features masked in this bin (not finite, no valid sample, or switched off).
    pub masked_features: u32,
    /// Non-finite values left out of this bin.
    pub nonfinite_values: u32,
    /// Whether the decoder started at row one.
    pub row_one: bool,
    /// Whether the filter fell back to another form in this step.
    pub fallback: bool,
    /// Channels that a guard in front of the decoder corrected or masked.
    pub guarded_channels: u16,
}

impl TickOutput {
    /// A tick at which nothing was decoded, moved or found: complete, `idle`, every number 0. What a tick has to say is
    /// written over it.
    #[must_use]
    pub const fn neutral(seq: u64, time: LslTime) -> Self {
        Self {
            seq,
            epoch: 0,
            time,
            newest: None,
            incomplete: false,
            state: OutputState::Idle,
            reason: None,
            position: Position([0.0; 2]),
            velocity: Velocity([0.0; 2]),
            free_velocity: Velocity([0.0; 2]),
            intent: None,
            click: None,
            masked_features: 0,
            nonfinite_values: 0,
            row_one: false,
            fallback: false,
            guarded_channels: 0,
        }
    }
}
