//! Sizes without their signs: with a low-pass behind it, the envelope of muscle activity or of high gamma.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};

/// Nothing can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "it is read from a table")]
pub struct RectifySettings {}

#[derive(Clone, Debug)]
pub(super) struct Rectify {
    signal: Signal,
}

impl StageKind for Rectify {
    type Settings = RectifySettings;
    const NAME: &'static str = "rectify";
    const ABOUT: &'static str = "values without their signs";

    fn build(_settings: &RectifySettings, input: &Signal) -> Result<Self, StageError> {
        Ok(Self { signal: input.clone() })
    }

    fn example() -> RectifySettings {
        RectifySettings {}
    }
}

impl Stage for Rectify {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        0
    }

    fn restart(&mut self) {}

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            let (values, _invalid) = output.push_like(row);
            for value in values {
                *value = value.abs();
            }
        }
    }

    fn state_bytes(&self) -> usize {
        0
    }

    fn save(&self, _state: &mut StateWriter<'_>) {}

    fn load(&mut self, _state: &mut StateReader<'_>) -> Result<(), StateError> {
        Ok(())
    }
}
