//! The tick: bins, features, decoder, cursor, output states.
//!
//! Two halves. [`Binner`] turns blocks of samples into [`TickInput`](kalmind_types::TickInput)s, looking at stamps and
//! at the local time it is told. [`Engine`] turns a tick input and the samples it names into a
//! [`TickOutput`](kalmind_types::TickOutput) and looks at nothing else; the live daemon, replay and `evaluate` all
//! drive this one function.
//!
//! *Invariants:* no I/O, clock, thread, lock or log; nothing allocates after construction; the same inputs give the
//! same outputs, bit for bit.

mod binner;
mod cursor;
mod engine;
mod freshness;
mod sample_source;
mod states;
mod window;
mod window_settings;

pub use binner::{
    BinCounts, Binner, BinnerError, BinnerSettings, MAX_PENDING_WINDOWS, StreamBinning, look_back_rows,
};
pub use cursor::CursorSettings;
pub use engine::{
    BinFacts, Engine, EngineError, EngineSettings, Examiner, History, HistoryRow, SettlingStages, StagedModel,
};
pub use sample_source::SampleSource;
pub use states::OutputStates;
pub use window_settings::{WindowCut, WindowError, WindowSettings};
