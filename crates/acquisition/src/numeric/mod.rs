//! Numeric streams: from the pull of a sample to the block that the tick thread gets.

mod channels_out;
mod choice;
pub(crate) mod config;
mod connection;
pub(crate) mod delivery;
mod derivation;
pub(crate) mod generations;
pub(crate) mod inlet;
mod receiver;
mod sorting;
pub(crate) mod stages;
