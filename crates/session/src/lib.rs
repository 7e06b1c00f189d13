//! Sessions: the tasks a participant does, what calibration gathers from them, how well it went, and the law of the
//! simulated participant that every closed-loop figure is measured with.
//!
//! A [`Task`] presents targets and steers the cursor between trials ([`TASKS`] are those there are), [`Calibration`]
//! pairs features with labels for fitting, [`TaskScore`] and [`BlockScore`] say how well it went, [`parse_marker`] lets a laboratory's own task program
//! take the task's place, and [`Participant`] takes the person's.
//!
//! *Invariant:* pure. No clock, thread, file, socket or runtime: times come in with the calls, events and commands go
//! out as values, randomness comes from a seed.

mod block_score;
mod calibration;
mod chance;
mod click_labels;
mod click_score;
mod estimate;
mod fitts;
mod history;
mod marker;
mod metrics;
mod participant;
mod raw_signals;
mod session;
mod task;
mod task_event;
mod tasks;
mod timeline;
mod trial_path;

pub use block_score::{BlockFigures, BlockScore, Difficulty, EndedTrial};
pub use calibration::{Calibration, CalibrationData, CalibrationError, CalibrationOptions, CalibrationTick};
pub use chance::{CHANCE_LEVEL, ChanceResult, ChanceTest, Untestable};
pub use click_labels::{ClickLabelLaw, click_labels};
pub use click_score::{ClickContext, ClickFigures, ClickScore};
pub use estimate::Estimate;
pub use fitts::FittsLaw;
pub use marker::{MAX_MARKER_BYTES, Marker, MarkerError, MarkerTable, MarkerTableError, parse_marker};
pub use metrics::{TaskScore, bit_rate, quantile};
pub use participant::{Drift, Offset, Participant, ParticipantError, ParticipantOptions, Profile};
pub use raw_signals::{
    Broadband, BroadbandError, BroadbandOptions, DetectedCounts, DetectedError, RhythmKind, Rhythms,
    RhythmsOptions, SpikeTimes,
};
pub use session::{
    ActionStatus, AssistancePoint, AssistanceStatus, BlockPlan, BlockStatus, ComparePlan, ComparedStatus,
    ComparisonStatus, ControlStatus, DifferenceStatus, FitOrder, FitStatus, FittedModel, OptionStatus,
    Person, Preset, PresetError, PresetStatus, ReferenceStatus, ScoreStatus, Session, SessionAction,
    SessionInput, SessionOptions, SessionRefused, SessionRequest, SessionSettings, SessionState,
    SessionStatus, SessionTick, SignalCheckStatus, Verdict, VerdictKind,
};
pub use task::{Task, TaskError, TaskKind, TaskOption, TaskStep, TaskTick, seconds_that_count};
pub use task_event::TaskEvent;
pub use tasks::{TASKS, task_named};
pub use timeline::{InForce, Timeline};
pub use trial_path::{PathFigures, TrialPath};
