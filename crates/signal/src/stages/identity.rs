//! Samples as they are: for streams that need nothing but their gaps filled, and to measure what a chain costs.

use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};

/// Nothing can be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::empty_structs_with_brackets, reason = "it is read from a table")]
pub struct IdentitySettings {}

#[derive(Clone, Debug)]
pub(super) struct Identity {
    signal: Signal,
}

impl StageKind for Identity {
    type Settings = IdentitySettings;
    const NAME: &'static str = "identity";
    const ABOUT: &'static str = "samples as they are, with short gaps filled";

    fn build(_settings: &IdentitySettings, input: &Signal) -> Result<Self, StageError> {
        Ok(Self { signal: input.clone() })
    }

    fn example() -> IdentitySettings {
        IdentitySettings {}
    }
}

impl Stage for Identity {
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
            output.push_like(row);
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
