//! Whether an outlet's numbers fit its channels and its number format.

use kalmind_output::PerChannel;
use kalmind_types::NumberFormat;

use super::Conflicts;
use crate::configuration::CursorOutlet;

impl Conflicts<'_> {
    /// Scale, offset and number format of the outlet at `path`; `all` are the channels that there are.
    pub(super) fn outlet_numbers(&mut self, path: &str, outlet: &CursorOutlet, all: &[String]) {
        let channels = outlet.channels.as_deref().unwrap_or(all);
        let moves = |channel: &String| ["x", "y", "vx", "vy"].contains(&channel.as_str());
        let scale = format!("{path}.scale");
        match &outlet.scale {
            // exactly 0: everything would be 0
            PerChannel::Cursor(factor) if factor.abs() <= 0.0 => self.at(
                self.value(&scale),
                format!("`{scale}` is 0"),
                "x, y, vx and vy would always be 0",
                "any other factor; 1 leaves the values as they are",
            ),
            PerChannel::Each(factors) => {
                if let Some((_, channel)) = factors
                    .iter()
                    .zip(channels)
                    .find(|(factor, channel)| factor.abs() <= 0.0 && moves(channel))
                {
                    self.at(
                        self.value(&scale),
                        format!("`{scale}` is 0 for {channel}"),
                        "it would always be 0",
                        "any other factor; 1 leaves the values as they are",
                    );
                }
            }
            PerChannel::Cursor(_) => {}
        }
        for (key, numbers) in [("scale", &outlet.scale), ("offset", &outlet.offset)] {
            let PerChannel::Each(numbers) = numbers else { continue };
            if numbers.len() != channels.len() && self.known(&[&format!("{path}.channels")]) {
                let place = format!("{path}.{key}");
                let found =
                    format!("{} numbers, and the outlet has {} channels", numbers.len(), channels.len());
                let help = format!(
                    "one number for x, y, vx and vy, or one for each of: {}",
                    channels.iter().map(String::as_str).take(24).collect::<Vec<_>>().join(", ")
                );
                self.at(
                    self.value(&place),
                    format!("`{place}` does not fit the outlet's channels"),
                    &found,
                    help,
                );
            }
        }
        if let PerChannel::Each(offsets) = &outlet.offset
            && let Some((_, channel)) = offsets
                .iter()
                .zip(channels)
                .find(|(offset, channel)| offset.abs() > 0.0 && !["x", "y"].contains(&channel.as_str()))
        {
            self.at(
                self.value(&format!("{path}.offset")),
                format!("`{path}.offset` is not 0 for {channel}"),
                "a reader would go on moving while the cursor stands still",
                "offsets for x and y alone; 0 for every other channel",
            );
        }
        let too_large: &[&str] = match outlet.format {
            NumberFormat::Int8 | NumberFormat::Int16 => &["newest", "run", "seq"],
            NumberFormat::Int32 => &["newest"],
            _ => &[],
        };
        if let Some(channel) = channels.iter().find(|channel| too_large.contains(&channel.as_str())) {
            self.at(
                self.value(&format!("{path}.format")),
                format!("`{path}` sends `{channel}` in whole numbers that cannot hold it"),
                "stamps and counts grow without limit",
                "name the `channels` that the reader needs, without it, or use format = \"double64\"",
            );
        }
    }
}
