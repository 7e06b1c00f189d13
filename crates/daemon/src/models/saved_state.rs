//! The adaptive state of what decodes, kept beside a participant's saved models, so that the next session goes on from it.

use std::{fs, io, path::Path, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};
use kalmind_recording::{Existing, NewFileError, write_new_file};
use kalmind_signal::{AdaptiveState, running_state};
use kalmind_types::{FeatureLayout, ModelId, StreamFeatures};
use serde::{Deserialize, Serialize};

/// Its file in a participant's folder.
const FILE: &str = "adaptive.json";
/// The version of that file.
const VERSION: u32 = 1;
/// The largest one that is read, in bytes: twice what the most features make.
const LARGEST: u64 = 4 << 20;
/// How long a write may take at the end of a run.
const PATIENCE: Duration = Duration::from_secs(2);

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
        let io = |source| NewFileError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io)?;
        let text = serde_json::to_string(self).map_err(|error| io(error.into()))?;
        write_new_file(&folder.join(FILE), Existing::Replace, text.as_bytes())
    }

    /// The newest one in a participant's folder; none where there is none.
    ///
    /// # Errors
    /// A sentence: it cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(FILE);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(data) if !data.is_file() || data.len() > LARGEST => {
                return Err(format!("{FILE} is no file of a size that it can have"));
            }
            _ => {}
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{FILE}: {error}"))?;
        let saved: Self = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
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

/// A thread that writes states down, so that a slow disk keeps nobody else waiting. One may wait for it; a further one is
/// refused and counted, since the next comes within a minute.
#[derive(Debug)]
pub struct StateKeeper {
    states: Sender<SavedState>,
    written: Receiver<()>,
    thread: JoinHandle<()>,
    refused: u64,
}

impl StateKeeper {
    /// Starts the thread; `folder` is the participant's.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(folder: &Path) -> io::Result<Self> {
        let (states, received) = bounded::<SavedState>(1);
        let (ended, written) = bounded(1);
        let folder = folder.to_owned();
        let thread = std::thread::Builder::new().name("kalmind-state".to_owned()).spawn(move || {
            for state in received {
                if let Err(error) = state.save(&folder) {
                    tracing::error!(%error, "the adaptive state was not saved");
                }
            }
            let _nobody_waits = ended.try_send(());
        })?;
        Ok(Self { states, written, thread, refused: 0 })
    }

    /// Has a state written down. Never waits.
    pub fn keep(&mut self, state: SavedState) {
        if self.states.try_send(state).is_err() {
            self.refused += 1;
            tracing::warn!(
                refused = self.refused,
                "an adaptive state was not saved: the one before it is still being written"
            );
        }
    }

    /// Has the last one written down, and waits for it for no longer than four seconds.
    pub fn finish(self, last: Option<SavedState>) {
        let Self { states, written, thread, .. } = self;
        let sent = last.is_none_or(|last| states.send_timeout(last, PATIENCE).is_ok());
        drop(states);
        if !sent || written.recv_timeout(PATIENCE).is_err() {
            tracing::error!("the disk is so slow that the last adaptive state was not saved");
            return;
        }
        if thread.join().is_err() {
            tracing::error!("the thread that saves the adaptive state panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use kalmind_types::Binning;

    use super::*;

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
        let mut keeper = StateKeeper::spawn(&folder).expect("a thread");
        keeper.keep(saved(0.5));
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
