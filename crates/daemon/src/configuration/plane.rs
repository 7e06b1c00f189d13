//! `[cursor.position_from]` and `[task.targets_from]`: places that another program sends as numbers.

use super::{
    decoding::Gain,
    input::{ChannelReference, Selection},
    rule::Rule,
    table::table,
};

table! {
    /// The position of the cursor, if another program keeps it: a numeric LSL stream, found by at least one of `name`, `type`,
    /// `source_id`, `hostname` and `predicate`. At every tick Kalmind's cursor is put where the newest sample says; this is
    /// recorded with the tick, so a replay is identical. While the stream is silent Kalmind's cursor goes on by itself.
    pub struct PositionSource {
        /// The stream's name.
        name: Option<String> = None, or "any";
        /// The stream's content type.
        content_type as "type": Option<String> = None, or "any";
        /// The sender's own identifier of the source.
        source_id: Option<String> = None, or "any";
        /// The host that sends it.
        hostname: Option<String> = None, or "any";
        /// A condition on the stream's header in LSL's own language (`XPath` 1.0).
        predicate: Option<String> = None, or "any";
        /// The channels with x and y, by label or index from 0.
        channels: Vec<ChannelReference> = vec![ChannelReference::Index(0), ChannelReference::Index(1)];
        /// Workspace widths of one of the stream's units, for x and y; a negative one flips the axis.
        scale: Gain = Gain([1.0; 2]), in Rule::Between(-1e9, 1e9);
        /// Added to x and y after that, in workspace widths.
        offset: [f64; 2] = [0.0; 2], in Rule::Between(-1e6, 1e6);
    }
}

table! {
    /// Targets as numbers: a numeric LSL stream, found as `[cursor.position_from]` is. A sample that differs from the one before
    /// presents a new target at its time stamp (at most 60 a second; the newest counts); a value that is not finite, or a
    /// radius that is not above 0, removes the target.
    pub struct TargetSource {
        /// The stream's name.
        name: Option<String> = None, or "any";
        /// The stream's content type.
        content_type as "type": Option<String> = None, or "any";
        /// The sender's own identifier of the source.
        source_id: Option<String> = None, or "any";
        /// The host that sends it.
        hostname: Option<String> = None, or "any";
        /// A condition on the stream's header in LSL's own language (`XPath` 1.0).
        predicate: Option<String> = None, or "any";
        /// The channels with x, y and, where the stream has it, the radius, by label or index from 0.
        channels: Vec<ChannelReference> =
            vec![ChannelReference::Index(0), ChannelReference::Index(1), ChannelReference::Index(2)];
        /// Workspace widths of one of the stream's units, for x and y; a negative one flips the axis. A radius is scaled
        /// as x is.
        scale: Gain = Gain([1.0; 2]), in Rule::Between(-1e9, 1e9);
        /// Added to x and y after that, in workspace widths.
        offset: [f64; 2] = [0.0; 2], in Rule::Between(-1e6, 1e6);
        /// The radius where `channels` names none, in workspace widths.
        radius: f64 = 0.06, in Rule::Between(0.000_001, 10.0);
    }
}

macro_rules! selected {
    ($Source:ty) => {
        impl $Source {
            /// What the stream is found by; empty where there is none.
            pub fn selection(&self) -> Selection {
                Selection {
                    name: self.name.clone(),
                    content_type: self.content_type.clone(),
                    source_id: self.source_id.clone(),
                    hostname: self.hostname.clone(),
                    predicate: self.predicate.clone(),
                }
            }
        }
    };
}

selected!(PositionSource);
selected!(TargetSource);
