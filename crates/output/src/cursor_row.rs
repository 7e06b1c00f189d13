//! A sample of the cursor: which channels it has, and what stands in them.

mod fields;

use kalmind_types::{Click, Component, NumberFormat, TickOutput};

pub(crate) use self::fields::Channel;
use self::fields::{Measure, RowSource, all_channels};
pub use self::fields::{NO_NEWEST, NO_SEQ};
use crate::{
    LslError,
    channel_scale::{Counts, PerChannel},
    cursor_heartbeat::CursorHeartbeat,
};

/// What every cursor outlet of a run has in common.
#[derive(Clone, Debug, PartialEq)]
pub struct CursorLayout {
    /// Bin width in milliseconds; the nominal rate is 1000 over it.
    pub bin_ms: f64,
    /// Components of the intent.
    pub components: Vec<Component>,
    /// Start of the run, in Unix seconds.
    pub run: u64,
    /// The session's UUID.
    pub session: String,
    /// Instance name.
    pub instance: String,
    /// Participant code.
    pub participant: String,
    /// Kalmind's version.
    pub version: String,
    /// Height of the workspace over its width.
    pub height: f64,
}

/// One outlet with the cursor in it.
#[derive(Clone, Debug, PartialEq)]
pub struct CursorOutletConfig {
    /// Stream name.
    pub name: String,
    /// Content type.
    pub content_type: String,
    /// The identity by which readers find it again after a restart; must not be empty.
    pub source_id: String,
    /// Any but `Int64`. In `Float32` the channels `newest`, `seq` and `run` lose digits; whole numbers are rounded (see
    /// [`Counts`]) and can hold neither `newest` nor `run`.
    pub format: NumberFormat,
    /// Multiplies x, y, vx and vy (a screen's width in pixels, say), or every channel by a factor of its own.
    pub scale: PerChannel,
    /// Added to x and y after the scale, or to every channel a number of its own.
    pub offset: PerChannel,
    /// What the reader goes by.
    pub counts: Counts,
    /// The channels by label, in this order; all of them in the usual order where none are named.
    pub channels: Option<Vec<String>>,
    /// Whether the intent is left out (0, `intent_valid` 0) in states in which nothing moves the cursor; where it is not
    /// said, in outlets without the channel `state`, whose readers cannot know.
    pub gated: Option<bool>,
}

impl Default for CursorOutletConfig {
    fn default() -> Self {
        Self {
            name: String::from("Kalmind-Cursor"),
            content_type: String::from("Cursor"),
            source_id: String::from("kalmind-cursor"),
            format: NumberFormat::Double64,
            scale: PerChannel::Cursor(1.0),
            offset: PerChannel::Cursor(0.0),
            counts: Counts::Position,
            channels: None,
            gated: None,
        }
    }
}

/// Labels of every channel, in the usual order: what [`CursorOutletConfig::channels`] may name.
#[must_use]
pub fn cursor_channel_labels(components: &[Component]) -> Vec<String> {
    all_channels(components).into_iter().map(|channel| channel.label).collect()
}

/// The cursor as rows of numbers with every channel in the usual order: what a recording keeps of a tick.
#[derive(Clone, Debug)]
pub struct CursorRow(RowWriter);

impl CursorRow {
    /// Rows of a run.
    #[must_use]
    pub fn new(layout: &CursorLayout) -> Self {
        Self(RowWriter::of(all_channels(&layout.components), &CursorOutletConfig::default(), layout))
    }

    /// Labels and units, one pair a channel.
    pub fn channels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.channels.iter().map(|channel| (channel.label.as_str(), channel.unit.as_str()))
    }

    /// Places and labels of the channels that a replay has to give again to the last bit.
    pub fn compared(&self) -> impl Iterator<Item = (usize, &str)> {
        let channels = self.0.channels.iter().enumerate();
        channels
            .filter(|(_, channel)| channel.field.compared)
            .map(|(at, channel)| (at, channel.label.as_str()))
    }

    /// Writes a tick into `row`, as the outlet would send it.
    pub fn write(&mut self, output: &TickOutput, age_ms: f64, row: &mut Vec<f64>) {
        row.clear();
        row.resize(self.0.channels.len(), 0.0);
        self.0.write(output, age_ms, &mut |index, value| row[index] = value);
    }
}

/// Writes ticks as rows of numbers, every one of them finite.
#[derive(Clone, Debug)]
pub(crate) struct RowWriter {
    pub(crate) channels: Vec<Channel>,
    /// What each channel is multiplied by.
    pub(crate) factors: Vec<f64>,
    /// What is added to each after that.
    pub(crate) shifts: Vec<f64>,
    pub(crate) counts: Counts,
    pub(crate) components: usize,
    /// Whether the intent is left out where nothing moves the cursor.
    pub(crate) gated: bool,
    pub(crate) run: f64,
    /// Where the cursor was last seen at a place that is a number.
    pub(crate) position: [f64; 2],
}

impl RowWriter {
    pub(crate) fn new(config: &CursorOutletConfig, layout: &CursorLayout) -> Result<Self, LslError> {
        let all = all_channels(&layout.components);
        let channels = match &config.channels {
            None => all,
            Some(labels) => labels
                .iter()
                .map(|label| {
                    all.iter().find(|channel| channel.label == *label).cloned().ok_or_else(|| {
                        LslError::UnknownChannel {
                            outlet: config.name.clone(),
                            label: label.clone(),
                            known: cursor_channel_labels(&layout.components).join(", "),
                        }
                    })
                })
                .collect::<Result<Vec<_>, _>>()?,
        };
        if channels.is_empty() {
            return Err(LslError::NoChannels { outlet: config.name.clone() });
        }
        for numbers in [&config.scale, &config.offset] {
            if !numbers.fits(channels.len()) {
                let (outlet, numbers) = (config.name.clone(), numbers.to_string());
                return Err(LslError::Scale { outlet, numbers, channels: channels.len() });
            }
        }
        Ok(Self::of(channels, config, layout))
    }

    fn of(channels: Vec<Channel>, config: &CursorOutletConfig, layout: &CursorLayout) -> Self {
        let factor = |(index, channel): (usize, &Channel)| {
            let moves = matches!(channel.field.measure, Measure::Position | Measure::Velocity);
            config.scale.of(index, moves, 1.0)
        };
        let shift = |(index, channel): (usize, &Channel)| {
            config.offset.of(index, channel.field.measure == Measure::Position, 0.0)
        };
        let says_state = channels.iter().any(|channel| channel.field.measure == Measure::State);
        Self {
            factors: channels.iter().enumerate().map(factor).collect(),
            shifts: channels.iter().enumerate().map(shift).collect(),
            counts: config.counts,
            components: layout.components.len(),
            run: layout.run as f64,
            gated: config.gated.unwrap_or(!says_state),
            position: [0.5, layout.height / 2.0],
            channels,
        }
    }

    /// Whether a reader adds a channel's samples up.
    pub(crate) fn carries(&self, channel: &Channel) -> bool {
        self.counts == Counts::Velocity && channel.field.measure == Measure::Velocity
    }

    /// Hands every channel's value of a sample without a tick to `put`: nothing moves, nothing is decoded.
    pub(crate) fn write_heartbeat(&mut self, heartbeat: &CursorHeartbeat, put: &mut dyn FnMut(usize, f64)) {
        let output = TickOutput {
            state: heartbeat.state,
            position: heartbeat.position,
            incomplete: true,
            click: Some(Click { presses: heartbeat.presses, ..Click::default() }),
            ..TickOutput::neutral(0, heartbeat.time)
        };
        self.write_row(&output, heartbeat.last_seq, heartbeat.age_ms, put);
    }

    /// Hands every channel's value to `put`. Values that are not finite never leave: the position stays where it was,
    /// the velocity is zero, an intent of another dimension or with such a number in it is no intent.
    pub(crate) fn write(&mut self, output: &TickOutput, age_ms: f64, put: &mut dyn FnMut(usize, f64)) {
        self.write_row(output, Some(output.seq), age_ms, put);
    }

    fn write_row(
        &mut self,
        output: &TickOutput,
        seq: Option<u64>,
        age_ms: f64,
        put: &mut dyn FnMut(usize, f64),
    ) {
        if output.position.0.iter().all(|value| value.is_finite()) {
            self.position = output.position.0;
        }
        let velocity = match self.counts {
            Counts::Position => output.velocity.0,
            Counts::Velocity => output.free_velocity.0,
        };
        let velocity = if velocity.iter().all(|value| value.is_finite()) { velocity } else { [0.0; 2] };
        let intent = output
            .intent
            .as_ref()
            .filter(|_| !self.gated || output.state.moves())
            .filter(|intent| intent.dimension() == self.components && intent.is_finite());
        let source =
            RowSource { output, seq, age_ms, run: self.run, position: self.position, velocity, intent };
        for (index, channel) in self.channels.iter().enumerate() {
            let value = (channel.field.value)(&source, channel.at);
            put(index, self.scaled(index, value));
        }
    }

    /// A channel's value in the reader's units; 0 where it is not finite.
    fn scaled(&self, index: usize, value: f64) -> f64 {
        let (value, shift) = (value * self.factors[index], self.shifts[index]);
        // adding 0 would turn -0 into 0, and recordings are compared bit for bit
        let value = if shift.abs() > 0.0 { value + shift } else { value };
        if value.is_finite() { value } else { 0.0 }
    }
}

#[cfg(test)]
mod tests;
