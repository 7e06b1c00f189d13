//! How the samples of a stream arrive, and the limits that follow from it.

pub(crate) mod limits;
pub(crate) mod measurement;
pub(crate) mod meter;
