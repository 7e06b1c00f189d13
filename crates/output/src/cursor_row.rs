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
mod tests {
    use kalmind_types::{Intent, LslTime, OutputState, Position, Velocity};

    use super::*;

    fn layout() -> CursorLayout {
        let component = |name: &str| Component { name: name.to_owned(), unit: String::from("cm/s") };
        CursorLayout {
            bin_ms: 20.0,
            components: vec![component("vx"), component("vy")],
            run: 1_700_000_000,
            session: String::from("session"),
            instance: String::new(),
            participant: String::from("P1"),
            version: String::from("0"),
            height: 0.5,
        }
    }

    fn output() -> TickOutput {
        let mut intent = Intent::zero(2);
        intent.mean_mut().copy_from_slice(&[1.0, 2.0]);
        intent.covariance_mut().copy_from_slice(&[3.0, 4.0, 5.0]);
        TickOutput {
            newest: Some(LslTime(99.5)),
            incomplete: true,
            state: OutputState::Hold,
            position: Position([0.25, 0.125]),
            velocity: Velocity([0.5, -0.5]),
            free_velocity: Velocity([0.5, -0.75]),
            intent: Some(intent),
            click: Some(Click { pressed: true, presses: 3, ..Click::default() }),
            ..TickOutput::neutral(7, LslTime(100.0))
        }
    }

    fn row(config: &CursorOutletConfig, output: &TickOutput) -> Vec<f64> {
        let mut writer = RowWriter::new(config, &layout()).unwrap();
        let mut values = vec![f64::NAN; writer.channels.len()];
        writer.write(output, 3.5, &mut |index, value| values[index] = value);
        values
    }

    #[test]
    fn channels_stand_in_the_documented_order() {
        let labels = cursor_channel_labels(&layout().components);
        assert_eq!(
            labels.join(" "),
            "x y vx vy intent_vx intent_vy covariance_vx_vx covariance_vy_vx covariance_vy_vy intent_valid click \
             presses state incomplete newest age_ms seq run"
        );
        assert_eq!(
            row(&CursorOutletConfig::default(), &output()),
            [
                0.25,
                0.125,
                0.5,
                -0.5,
                1.0,
                2.0,
                3.0,
                4.0,
                5.0,
                1.0,
                1.0,
                3.0,
                3.0,
                1.0,
                99.5,
                3.5,
                7.0,
                1_700_000_000.0
            ]
        );
    }

    #[test]
    fn what_replay_does_not_compare_is_what_the_documents_say() {
        let row = CursorRow::new(&layout());
        let compared: Vec<usize> = row.compared().map(|(at, _)| at).collect();
        let others = row.channels().enumerate().filter(|(at, _)| !compared.contains(at));
        let names: Vec<String> = others.map(|(_, (label, _))| format!("`{label}`")).collect();
        let [others @ .., last] = names.as_slice() else { unreachable!("clocks are not compared") };
        let told = format!("every channel of `cursor` except {} and {last}.", others.join(", "));
        assert!(include_str!("../../../docs/recording.md").contains(&told), "{told}");
    }

    #[test]
    fn chosen_channels_come_in_the_chosen_order_and_scaled() {
        let config = CursorOutletConfig {
            channels: Some(["vy", "x", "state"].map(String::from).to_vec()),
            scale: PerChannel::Cursor(100.0),
            ..CursorOutletConfig::default()
        };
        assert_eq!(row(&config, &output()), [-50.0, 25.0, 3.0]);
    }

    #[test]
    fn a_reader_that_adds_velocities_up_gets_those_of_before_the_edges_with_y_down() {
        let config = CursorOutletConfig {
            channels: Some(["vx", "vy"].map(String::from).to_vec()),
            scale: PerChannel::Each(vec![100.0, -100.0]),
            counts: Counts::Velocity,
            ..CursorOutletConfig::default()
        };
        assert_eq!(row(&config, &output()), [50.0, 75.0]);
    }

    #[test]
    fn a_screen_whose_y_goes_down_has_an_offset() {
        let config = CursorOutletConfig {
            channels: Some(["x", "y"].map(String::from).to_vec()),
            scale: PerChannel::Each(vec![1920.0, -1920.0]),
            offset: PerChannel::Each(vec![0.0, 960.0]),
            ..CursorOutletConfig::default()
        };
        assert_eq!(row(&config, &output()), [480.0, 720.0]);
        let wrong = CursorOutletConfig { scale: PerChannel::Each(vec![1.0]), ..config };
        let text = RowWriter::new(&wrong, &layout()).unwrap_err().to_string();
        assert!(text.contains("one for each of its 2 channels"), "{text}");
    }

    #[test]
    fn an_outlet_without_the_state_gates_its_intents_unless_it_is_told_not_to() {
        let labels = ["intent_vx", "covariance_vy_vy", "intent_valid"];
        let given = [1.0, 5.0, 1.0];
        let read = |more: &[&str], gated, state| {
            let labels: Vec<String> = labels.iter().chain(more).map(|label| String::from(*label)).collect();
            let config =
                CursorOutletConfig { channels: Some(labels), gated, ..CursorOutletConfig::default() };
            row(&config, &TickOutput { state, ..output() })[..3].to_vec()
        };
        for state in OutputState::ALL {
            let gates = if state.moves() { given } else { [0.0; 3] };
            assert_eq!(read(&[], None, state), gates, "{state}");
            assert_eq!(read(&[], Some(true), state), gates);
            assert_eq!(read(&["state"], Some(true), state), gates);
            assert_eq!(read(&["state"], None, state), given, "whoever reads the state can tell");
            assert_eq!(read(&[], Some(false), state), given);
        }
    }

    #[test]
    fn a_heartbeat_stands_still_whatever_the_outlet() {
        let heartbeat = CursorHeartbeat {
            time: LslTime(101.0),
            state: OutputState::Stale,
            position: Position([0.25, 0.125]),
            last_seq: Some(7),
            presses: 3,
            age_ms: 250.0,
        };
        for (scale, gated) in [(1.0, None), (-1920.0, Some(false))] {
            let scales = PerChannel::Cursor(scale);
            let config = CursorOutletConfig { scale: scales, gated, ..CursorOutletConfig::default() };
            let mut writer = RowWriter::new(&config, &layout()).unwrap();
            let mut values = vec![f64::NAN; writer.channels.len()];
            writer.write_heartbeat(&heartbeat, &mut |index, value| values[index] = value);
            let mut expected = vec![0.25 * scale, 0.125 * scale];
            expected.extend([0.0; 9]);
            expected.extend([3.0, 4.0, 1.0, NO_NEWEST, 250.0, 7.0, 1_700_000_000.0]);
            assert_eq!(values, expected);
            let unstarted = CursorHeartbeat { last_seq: None, ..heartbeat };
            writer.write_heartbeat(&unstarted, &mut |index, value| values[index] = value);
            assert_eq!(values[16].to_bits(), NO_SEQ.to_bits());
        }
    }

    #[test]
    fn a_channel_that_does_not_exist_is_an_error_that_lists_those_that_do() {
        let config =
            CursorOutletConfig { channels: Some(vec![String::from("z")]), ..CursorOutletConfig::default() };
        let text = RowWriter::new(&config, &layout()).unwrap_err().to_string();
        assert!(text.contains("\"z\"") && text.contains("covariance_vy_vx"), "{text}");
    }

    #[test]
    fn without_an_intent_its_channels_are_zero_and_say_so() {
        let values = row(
            &CursorOutletConfig::default(),
            &TickOutput { intent: None, newest: None, click: None, ..output() },
        );
        assert_eq!(values[4..12], [0.0; 8]);
        assert_eq!(values[14].to_bits(), NO_NEWEST.to_bits());
    }

    #[test]
    fn an_intent_of_another_dimension_is_none() {
        let values =
            row(&CursorOutletConfig::default(), &TickOutput { intent: Some(Intent::zero(3)), ..output() });
        assert_eq!(values[4..10], [0.0; 6]);
    }

    #[test]
    fn numbers_that_are_not_finite_never_leave() {
        let mut broken = output();
        broken.position = Position([f64::NAN, 0.1]);
        broken.velocity = Velocity([f64::INFINITY, 0.1]);
        broken.newest = Some(LslTime(f64::NAN));
        broken.intent.as_mut().unwrap().covariance_mut()[1] = f64::NAN;
        let values = row(&CursorOutletConfig::default(), &broken);
        assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
        assert_eq!(values[..10], [0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
