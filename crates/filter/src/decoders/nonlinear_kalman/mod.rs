//! What `ekf` and `ukf` share.

mod observation;
pub(crate) mod parameters;
pub(crate) mod runtime;
