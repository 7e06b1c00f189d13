//! The daemon: configuration, wiring, the tick thread, the desk, and the commands of the program `kalmind`.
//!
//! Everything impure that is not LSL or the network lives here; what can be tested without threads and clocks lives in
//! the crates below.

pub mod calibration_fit;
pub mod cli;
pub mod commands;
pub mod configuration;
pub mod controls;
pub mod daemon;
pub mod demo_command;
pub mod desk;
pub mod doctor;
pub mod evaluate_command;
pub mod evaluation;
pub mod event_bus;
pub mod failure;
pub mod fit_command;
pub mod model;
pub mod network;
pub mod plan;
pub mod play_command;
pub mod realtime;
pub mod recorded;
pub mod recorder;
pub mod recording_command;
pub mod replay_command;
pub mod replay_open_loop;
pub mod report;
pub mod run_command;
pub mod signals;
pub mod simulate_command;
pub mod streams_command;
pub mod summary;
pub mod tables;
pub mod tick;
