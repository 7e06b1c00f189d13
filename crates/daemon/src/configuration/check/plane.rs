//! Whether streams of places name the channels that a place has.

use super::Conflicts;
use crate::configuration::Configuration;

impl Conflicts<'_> {
    /// `[cursor.position_from]` and `[task.targets_from]`.
    pub(super) fn planes(&mut self, configuration: &Configuration) {
        let position = configuration.cursor.position_from.channels.len();
        let target = configuration.task.targets_from.channels.len();
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
