//! `[cursor.position_from]` and `[task.targets_from]`: places that another program sends as numbers.

use kalmind_acquisition::StreamSelector;
use toml::{Spanned, Value, de::DeValue};

use super::{
    check::Conflicts, input::ChannelReference, reader::Reader, rule::Rule, setting::Setting, table::table,
};

/// Workspace widths for one unit of something else, for x and y; one number in the file stands for both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain(pub [f64; 2]);

impl Setting for Gain {
    fn kind() -> String {
        "number, or [x, y]".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(_) => <[f64; 2]>::read(value, rule, reader).map(Self),
            DeValue::Integer(_) | DeValue::Float(_) => {
                f64::read(value, rule, reader).map(|gain| Self([gain; 2]))
            }
            _ => reader.wrong_type(value, &Self::kind()),
        }
    }

    fn write(&self) -> Option<Value> {
        let [x, y] = self.0;
        if x.to_bits() == y.to_bits() { x.write() } else { self.0.write() }
    }
}

table! {
    /// The position of the cursor, if another program keeps it: a numeric LSL stream, found by at least one of `name`, `type`,
    /// `source_id`, `hostname` and `predicate`. At every tick Kalmind's cursor is put where the newest sample says; this is
    /// recorded with the tick, so a replay is identical. While the stream is silent Kalmind's cursor goes on by itself.
    pub struct PositionSource {
        /// What the stream is found by; empty where there is none.
        selector: StreamSelector = StreamSelector::default(), and part;
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
        /// What the stream is found by; empty where there is none.
        selector: StreamSelector = StreamSelector::default(), and part;
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

impl Conflicts<'_> {
    /// `[cursor.position_from]` and `[task.targets_from]`.
    pub(super) fn planes(&mut self, position: &PositionSource, targets: &TargetSource) {
        let (position, target) = (position.channels.len(), targets.channels.len());
        for (path, found, fits, wanted) in [
            ("cursor.position_from.channels", position, position == 2, "two channels, x and y"),
            (
                "task.targets_from.channels",
                target,
                (2..=3).contains(&target),
                "two or three channels: x, y and the radius",
            ),
        ] {
            if !fits && self.known(&[path]) {
                let title = format!("`{path}` names {found} channels");
                self.at(self.value(path), title, "these are not a position", wanted);
            }
        }
    }
}
