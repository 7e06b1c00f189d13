//! Marker streams: one thread per stream, texts out through a channel. Numbers (`OpenViBE` and most trigger boxes send them)
//! are read as their text: 1 and 1.0 are both `1`.

pub(crate) mod config;
pub(crate) mod inlet;
mod receiver;
mod row;
