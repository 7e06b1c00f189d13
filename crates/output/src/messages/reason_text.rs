//! A reason in the messages.

use kalmind_types::Reason;
use serde::{Serialize, Serializer};

/// A reason as clients read it: the text, not the codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReasonText(pub(crate) Reason);

impl Serialize for ReasonText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}
