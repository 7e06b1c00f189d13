//! Offline work: rows from tables and recordings, decoders fitted to them and evaluated on them, report pages, and
//! recordings played back through the engine.
//!
//! [`features`] makes features of recordings as a run would, a [`sources::RowSource`] gives the rows of whatever holds them, [`fit_tables`] and [`fit_calibration`] fit a decoder,
//! [`Evaluation`] compares decoders on held-out rows, [`simulated_session`] runs whole sessions without waiting, [`replay`] repeats a session bit for bit, [`recompute`]
//! its derived streams, [`report`] writes pages, and
//! [`recording`] inspects, mends and exports files.
//!
//! *Invariant:* a library. No command line, no terminal, no log, no network and no clock: what is long tells a [`Host`],
//! which also brings the clock; everything else is a value.

pub mod calibration_fit;
mod decoder_quality;
pub mod evaluation;
pub mod features;
mod findings;
mod host;
pub mod model;
mod options;
mod output_difference;
mod recompute;
pub mod recorded;
pub mod recording;
mod replay;
pub mod report;
pub mod session_fits;
pub mod simulated_session;
pub mod sources;
mod table_fit;
pub mod tables;

pub use calibration_fit::{CalibrationFit, CalibrationFitError, fit_calibration, fit_sessions};
pub use evaluation::Evaluation;
pub use findings::{findings, plain, rounded, runs_with, selected};
pub use host::{Host, Quiet};
pub use options::{Decoders, Division, EvaluateOptions, ExportOptions, LiveSettings, Stamps, TableOptions};
pub use recompute::{RecomputeError, Recomputed, Resumed, recompute};
pub use replay::{ReplayError, Replayed, recorded_models, replay};
pub use table_fit::{FitOptions, TableFit, default_names, fit_tables, named_components};
pub use tables::Tables;
