//! What a look at a bin found.

use kalmind_types::{Cause, ChannelMask};

/// What a look at a bin's features showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Examined {
    /// Features without a valid value, or switched off.
    pub(super) missing: ChannelMask,
    /// Number of those without a valid value, and of those switched off.
    pub(super) invalid: usize,
    pub(super) switched_off: usize,
    pub(super) guarded: u16,
    pub(super) suspects: ChannelMask,
    /// Why nothing can be decoded from the features.
    pub(super) failing: Option<Cause>,
}
