//! The daemon: configuration, wiring, the tick thread, the desk, and the commands of the program `kalmind`.
//!
//! Everything impure that is not LSL or the network lives here; what can be tested without threads and clocks lives in
//! the crates below.

pub mod calibration_fit;
pub mod commands;
pub mod configuration;
pub mod controls;
mod decoder_quality;
pub mod desk;
pub mod doctor;
pub mod evaluation;
pub mod event_bus;
pub mod failure;
pub mod log;
pub mod model;
pub mod process;
pub mod recorded;
pub mod recorder;
pub mod report;
pub mod running;
pub mod starting;
pub mod state_events;
pub mod tables;
pub mod task_follower;
pub mod tick;
