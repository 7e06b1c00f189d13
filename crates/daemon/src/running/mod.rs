//! One run: its threads and queues, and what is followed of its input while it lasts.

pub mod arrival;
pub mod daemon;
mod event_markers;
mod inlets;
pub mod late_streams;
pub mod plane_streams;
mod recorded_inlet;
pub(crate) mod recording;
pub(crate) mod resting;
pub(crate) mod session;
pub mod summary;
mod tick_start;
