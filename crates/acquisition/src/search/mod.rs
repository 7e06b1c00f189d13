//! Which stream is meant, where it is, and what people are told where it cannot be found.

pub(crate) mod difference;
pub(crate) mod finder;
pub(crate) mod host;
pub(crate) mod resolve;
pub(crate) mod selector;
pub(crate) mod survey;
pub(crate) mod wording;
