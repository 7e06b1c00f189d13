//! The tasks that Kalmind itself can present.

pub(crate) mod radial8;
