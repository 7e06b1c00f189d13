//! The daemon: configuration, wiring, the tick thread, the desk, and the commands of the program `kalmind`.
//!
//! Everything impure that is not LSL or the network lives here; what can be tested without threads and clocks lives in
//! the crates below.

pub mod arrival;
pub mod cli;
pub mod commands;
pub mod configuration;
pub mod controls;
pub mod daemon;
mod decoder_info;
pub mod decoders_command;
pub mod demo_command;
pub mod desk;
pub mod doctor;
pub mod evaluate_command;
pub mod event_bus;
pub mod failure;
pub mod finding;
pub mod fit_command;
pub mod instance;
pub mod late_streams;
pub mod log;
pub mod network;
pub mod open_files;
pub mod outlets;
pub mod plan;
pub mod plan_error;
pub mod plane_streams;
pub mod play_command;
pub mod prepared;
pub mod realtime;
pub mod recorder;
pub mod recording_command;
pub mod replay_command;
pub mod replay_open_loop;
pub mod run_command;
pub mod signals;
pub mod simulate_command;
pub mod state_events;
pub mod streams_command;
pub mod summary;
pub mod task_follower;
mod terminal;
pub mod tick;
