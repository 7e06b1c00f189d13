//! Artifacts left out: what an amplifier gives at the end of its range, and what follows a stimulation.

use serde::{Deserialize, Serialize};

use super::channels::ChannelName;
use super::rows::Rows;
use super::settling::Settling;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};
use super::windows::LONGEST_MS;

/// What is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlankSettings {
    /// A channel's values of this size or larger are left out, in the stream's unit: the end of the amplifier's range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturation: Option<f64>,
    /// The channel that is above `trigger_above` while what all others give is left out. It does not come out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<ChannelName>,
    /// See `trigger`.
    #[serde(default = "half")]
    pub trigger_above: f64,
    /// For how long after that a channel is left out as well, in milliseconds.
    pub blank_ms: f64,
}

fn half() -> f64 {
    0.5
}

/// Which values are left out, and what stands in for them: the last one that was not.
#[derive(Clone, Debug)]
pub(super) struct Blank {
    signal: Signal,
    saturation: f64,
    trigger: Option<usize>,
    trigger_above: f64,
    settling: Settling,
    kept: Vec<f64>,
    /// The next row is the first.
    is_new: bool,
}

impl StageKind for Blank {
    type Settings = BlankSettings;
    const NAME: &'static str = "blank";
    const ABOUT: &'static str = "leaves out what saturates the amplifier, and what follows a trigger";

    fn build(settings: &BlankSettings, input: &Signal) -> Result<Self, StageError> {
        let BlankSettings { saturation, trigger, trigger_above, blank_ms } = settings;
        if saturation.is_none() && trigger.is_none() {
            return Err(StageError::new("neither `saturation` nor `trigger` is there, so nothing would be left out"));
        }
        if saturation.is_some_and(|size| !(size > 0.0 && size.is_finite())) {
            return Err(StageError::new("`saturation` has to be above 0"));
        }
        if !trigger_above.is_finite() {
            return Err(StageError::new("`trigger_above` has to be a number"));
        }
        if !(0.0..=LONGEST_MS).contains(blank_ms) {
            return Err(StageError::new(format!("`blank_ms` is {blank_ms}; a number from 0 to {LONGEST_MS}")));
        }
        let trigger = trigger.as_ref().map(|channel| channel.find(input)).transpose()?;
        let mut signal = input.clone();
        if let Some(trigger) = trigger {
            signal.outputs.remove(trigger);
            if signal.outputs.is_empty() {
                return Err(StageError::of_signal("there is no channel but the trigger"));
            }
        }
        let channels = signal.outputs.len();
        Ok(Self {
            signal,
            saturation: saturation.unwrap_or(f64::INFINITY),
            trigger,
            trigger_above: *trigger_above,
            settling: Settling::new(channels, input.rows_in(*blank_ms) as u64),
            kept: vec![0.0; channels],
            is_new: true,
        })
    }

    fn summary(settings: &BlankSettings) -> String {
        let trigger = if settings.trigger.is_some() { " and at the trigger" } else { "" };
        match settings.saturation {
            Some(size) => format!("blanked at {size}{trigger}"),
            None => String::from("blanked at the trigger"),
        }
    }

    fn example() -> BlankSettings {
        BlankSettings { saturation: Some(1e6), trigger: None, trigger_above: half(), blank_ms: 2.0 }
    }
}

impl Stage for Blank {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        self.settling.rows()
    }

    fn restart(&mut self) {
        // a trigger may have come just before
        self.settling.restart();
        self.is_new = true;
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            let is_triggered = self
                .trigger
                .and_then(|trigger| row.values.get(trigger))
                .is_some_and(|value| *value > self.trigger_above);
            let (values, invalid) = output.push(row.mark);
            copy_without(self.trigger, row.values, values);
            copy_without(self.trigger, row.invalid, invalid);
            for (value, invalid) in values.iter().zip(invalid.iter_mut()) {
                *invalid |= is_triggered || value.abs() >= self.saturation;
            }
            if core::mem::take(&mut self.is_new) {
                self.kept.copy_from_slice(values);
            }
            self.settling.step(invalid);
            if invalid.iter().fold(false, |any, invalid| any | invalid) {
                for ((value, invalid), kept) in values.iter_mut().zip(invalid).zip(&mut self.kept) {
                    if *invalid {
                        *value = *kept;
                    } else {
                        *kept = *value;
                    }
                }
            } else {
                self.kept.copy_from_slice(values);
            }
        }
    }

    fn state_bytes(&self) -> usize {
        let kept = size_of_val(self.kept.as_slice()).saturating_add(size_of::<u64>());
        self.settling.state_bytes().saturating_add(kept)
    }

    fn save(&self, state: &mut StateWriter<'_>) {
        state.whole(u64::from(self.is_new));
        self.settling.save(state);
        state.numbers(&self.kept);
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        self.is_new = state.whole()? != 0;
        self.settling.load(state)?;
        state.numbers(&mut self.kept)
    }
}

/// Copies what a row has of each channel, but of the trigger.
fn copy_without<T: Copy>(trigger: Option<usize>, row: &[T], output: &mut [T]) {
    let (before, behind) = row.split_at(trigger.unwrap_or(row.len()).min(row.len()));
    let (to_before, to_behind) = output.split_at_mut(before.len().min(output.len()));
    to_before.copy_from_slice(before);
    for (to, from) in to_behind.iter_mut().zip(behind.iter().skip(1)) {
        *to = *from;
    }
}
