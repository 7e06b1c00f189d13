//! The daemon: configuration, wiring, the tick thread, the desk, and the commands of the program `kalmind`.
//!
//! Everything impure that is not LSL or the network lives here; what can be tested without threads and clocks lives in
//! the crates below.

pub mod commands;
pub mod configuration;
pub mod controls;
mod decoder_info;
pub mod desk;
pub mod doctor;
pub mod event_bus;
pub mod failure;
pub mod log;
pub mod models;
pub mod process;
pub mod recorder;
pub mod running;
pub mod stage_changes;
pub mod starting;
pub mod state_events;
pub mod task_follower;
mod terminal;
pub mod tick;
