//! The words that every other crate of Kalmind speaks: times, samples, intents, cursors, states and ticks.
//!
//! *Invariant:* plain data. This crate knows no thread, clock, file, socket or algorithm; everything in it can be
//! copied or serialised, and whatever travels through a tick has a fixed size.

mod block;
mod channel_fault;
mod channel_mask;
mod counted;
mod cursor;
mod event;
mod event_window;
mod feature;
mod feature_layout;
mod feature_set;
mod generation;
mod index_range;
mod intent;
mod operator_action;
mod publication;
mod state;
mod stream;
mod task;
mod tick;
mod tick_check;
mod time;

pub use block::{SampleBlock, SampleRows, Samples};
pub use channel_fault::{ChannelFault, ChannelOut};
pub use channel_mask::ChannelMask;
pub use counted::Counted;
pub use cursor::{Click, Position, Velocity};
pub use event::{
    ArrivalAction, ArrivalEvent, ChannelHealthEvent, ChannelHealthTag, Confirmation, Event, EventBody,
    EventKind, EventTag, HandEvent, HandTag, ModelEvent, ModelSource, OperatorRequest, RecordingFault,
    RecordingTag, RenderedEvent, SelectBy, SessionChange, SessionEvent, StagesAction, StagesEvent,
    StateCause, StateEvent, StreamArrival, WindowEvent, WindowValue,
};
pub use event_window::{EventMarker, EventWindow, LOOK_BACK, MAX_WINDOWS, WindowMissing, WindowResults};
pub use feature::{Binning, StreamFeatures, StreamOutput, unlabelled};
pub use feature_layout::{Feature, FeatureLayout, LayoutError, MAX_FEATURES};
pub use feature_set::FeatureSet;
pub use generation::GenerationId;
pub use index_range::IndexRange;
pub use intent::{Component, CovarianceKind, Intent, MAX_COMPONENTS, MAX_COVARIANCE, lower_triangle_index};
pub use operator_action::OperatorAction;
pub use publication::{Heartbeat, Publication, StageTimes, StateChange, TickPublication};
pub use state::{Actor, Cause, Mode, OutputState, Reason};
pub use stream::{
    Arrival, ArrivalStatus, ClockOffset, InputArrival, InputDelay, MAX_STREAMS, NumberFormat,
    SIMULATED_SOURCE, StreamCounts, StreamDescription, StreamHealth, StreamStatus, stated_unit,
};
pub use task::{Assistance, CursorDrive, Phase, Target, TaskBlock, TrialResult};
pub use tick::{
    BinClose, ClickTuning, Command, CursorTuning, MAX_COMMANDS, MAX_RANGES, ModelId, StreamTick, TaskState,
    TickInput, TickOutput, most_missing,
};
pub use tick_check::{ImplausibleTick, LONGEST_SETTLING};
pub use time::{LslTime, Seconds, StreamTime};
