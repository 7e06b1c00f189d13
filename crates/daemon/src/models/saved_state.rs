//! The adaptive state of what decodes, kept beside a participant's saved models, so that the next session goes on from it.

use std::path::Path;

use kalmind_recording::NewFileError;
use kalmind_signal::{AdaptiveState, running_state};
use kalmind_types::{FeatureLayout, ModelId, StreamFeatures};
use serde::{Deserialize, Serialize};

use super::participant_files;

/// Its file in a participant's folder.
const FILE: &str = "adaptive.json";
/// The version of that file.
const VERSION: u32 = 1;
/// The largest one that is read, in bytes: twice what the most features make.
const LARGEST: u64 = 4 << 20;

/// The state at one moment, with what it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    version: u32,
    /// When, in Unix seconds.
    pub unix: f64,
    /// The model that decoded with it.
    model: String,
    /// The streams that it is of.
    streams: Vec<StreamFeatures>,
    state: AdaptiveState,
}

impl SavedState {
    /// The state at a moment, in Unix seconds.
    #[must_use]
    pub fn new(model: ModelId, streams: &[StreamFeatures], state: AdaptiveState, unix: f64) -> Self {
        Self { version: VERSION, unix, model: model.to_hex(), streams: streams.to_vec(), state }
    }

    /// Writes it into a participant's folder, in place of the one before. The file is whole at every moment.
    ///
    /// # Errors
    /// [`NewFileError`]; then the one before is still there.
    pub fn save(&self, folder: &Path) -> Result<(), NewFileError> {
        participant_files::write(folder, FILE, self)
    }

    /// The newest one in a participant's folder; none where there is none.
    ///
    /// # Errors
    /// A sentence: it cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, String> {
        let Some(saved) = participant_files::read::<Self>(folder, FILE, LARGEST)? else { return Ok(None) };
        if saved.version == VERSION {
            Ok(Some(saved))
        } else {
            Err(format!("{FILE} is of version {}, and this program reads version {VERSION}", saved.version))
        }
    }

    /// The state, where it is one of these streams.
    ///
    /// # Errors
    /// A sentence: why it is not.
    pub fn of(self, streams: &[StreamFeatures]) -> Result<AdaptiveState, String> {
        if self.streams != streams {
            return Err("the saved one is of other streams".to_owned());
        }
        let features = FeatureLayout::count(streams);
        if !running_state(features).carry(&self.state) || self.state.values().iter().any(|x| !x.is_finite()) {
            return Err("the saved one is no running z-score of these features".to_owned());
        }
        Ok(self.state)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kalmind_types::Binning;

    use super::*;
    use crate::models::keeper::{Keeper, Kept};

    fn streams(features: usize) -> Vec<StreamFeatures> {
        vec![StreamFeatures::of_channels(Binning::Mean, features, None)]
    }

    fn saved(value: f64) -> SavedState {
        let mut state = running_state(3);
        state.values_mut().fill(value);
        SavedState::new(ModelId([7; 32]), &streams(3), state, 1_709_208_000.0)
    }

    #[test]
    fn the_last_one_comes_back_to_the_last_bit() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("P1");
        assert_eq!(SavedState::load(&folder), Ok(None));
        let mut keeper = Keeper::spawn(&folder).expect("a thread");
        keeper.keep(Kept::State(saved(0.5)));
        keeper.finish(Some(saved(0.1 + 0.2)));
        let read = SavedState::load(&folder).expect("a state");
        assert_eq!(read, Some(saved(0.1 + 0.2)));
        let state = read.expect("a state").of(&streams(3)).expect("of these streams");
        assert!(state.values().iter().all(|value| value.to_bits() == (0.1_f64 + 0.2).to_bits()));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let other = saved(1.0).of(&streams(4)).expect_err("other streams");
        assert!(other.contains("other streams"), "{other}");
        let mut strange = saved(1.0);
        strange.state = AdaptiveState::new("bias", &[3]);
        assert!(strange.of(&streams(3)).expect_err("another state").contains("no running z-score"));
        let folder = tempfile::tempdir().expect("a folder");
        for (text, said) in [("{", "adaptive.json"), ("[]", "adaptive.json")] {
            fs::write(folder.path().join(FILE), text).expect("written");
            let refused = SavedState::load(folder.path()).expect_err("no state");
            assert!(refused.contains(said), "{refused}");
        }
        SavedState { version: 2, ..saved(1.0) }.save(folder.path()).expect("written");
        assert!(SavedState::load(folder.path()).expect_err("newer").contains("version 2"));
    }
}
