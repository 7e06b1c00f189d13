//! Marker streams: texts and trigger numbers.

pub(crate) mod receiver;
mod row;
