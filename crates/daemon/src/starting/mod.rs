//! Before a run: the configuration's own parts prepared, its streams found, and the plan that both make.

pub mod finding;
pub mod outlets;
pub mod plan;
pub mod plan_error;
pub mod planned_stream;
pub mod prepared;
pub mod recorded;
mod recorded_size;
mod resumed_reference;
pub mod resuming;
pub mod stages;
mod windows;
