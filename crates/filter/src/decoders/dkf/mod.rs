//! What the discriminative filters share: everything but f, which each of them brings along.

pub(crate) mod conditional;
pub(crate) mod discriminative;
mod kind;
pub(crate) mod noise;
pub(crate) mod parameters;
pub mod regression;
pub(crate) mod regressor;
pub(crate) mod runtime;
pub(crate) mod scaling;
