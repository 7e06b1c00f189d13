//! For how long stages that settle are waited for: as long as they declared at first.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::Seconds;

/// For how much longer settling stages are waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    /// What is left of the time that was declared at the first such bin since the newest complete one.
    left: Option<Seconds>,
    /// Whether there has been a complete bin.
    begun: bool,
    /// Before there was one: whether they started once more, and that was waited for too.
    lengthened: bool,
}

impl Patience {
    /// Whether a bin of this width may still settle, by what it declares; less than `worth` more than before is no other start.
    pub(super) fn lasts(&mut self, declared: Option<Seconds>, width: Seconds, worth: Seconds) -> bool {
        if let Some(left) = &mut self.left {
            left.0 -= width.0;
        }
        let Some(declared) = declared else { return false };
        let left = self.left.get_or_insert(declared);
        if !self.begun && !self.lengthened && declared.0 > left.0 + worth.0 {
            (*left, self.lengthened) = (declared, true);
        }
        left.0 + width.0 > 0.0
    }

    /// A bin is complete: whether stages settled in between, after another one.
    pub(super) fn end(&mut self) -> bool {
        let settled = self.left.take().is_some();
        core::mem::replace(&mut self.begun, true) && settled
    }
}
