//! Small files beside a participant's saved models: what the next session goes on from. A thread writes them, so that a slow
//! disk keeps nobody else waiting.

use std::{io, path::Path, thread::JoinHandle, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};
use kalmind_recording::NewFileError;

use super::{saved_session::SavedSession, saved_state::SavedState};

/// How long a write may take at the end of a run.
const PATIENCE: Duration = Duration::from_secs(2);
/// What may wait for the disk.
const WAITING: usize = 4;

/// What is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// The adaptive state of what decodes.
    State(SavedState),
    /// Where the session stands.
    Session(SavedSession),
}

impl Kept {
    fn save(&self, folder: &Path) -> Result<(), NewFileError> {
        match self {
            Self::State(state) => state.save(folder),
            Self::Session(session) => session.save(folder),
        }
    }
}

/// The thread. A few may wait for it; a further one is refused and counted.
#[derive(Debug)]
pub struct Keeper {
    kept: Sender<Kept>,
    written: Receiver<()>,
    thread: JoinHandle<()>,
    refused: u64,
}

impl Keeper {
    /// Starts the thread; `folder` is the participant's.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(folder: &Path) -> io::Result<Self> {
        let (kept, received) = bounded::<Kept>(WAITING);
        let (ended, written) = bounded(1);
        let folder = folder.to_owned();
        let thread = std::thread::Builder::new().name("kalmind-state".to_owned()).spawn(move || {
            for kept in received {
                if let Err(error) = kept.save(&folder) {
                    tracing::error!(%error, "what the next session goes on from was not saved");
                }
            }
            let _nobody_waits = ended.try_send(());
        })?;
        Ok(Self { kept, written, thread, refused: 0 })
    }

    /// Has something written down. Never waits.
    pub fn keep(&mut self, kept: Kept) {
        if self.kept.try_send(kept).is_err() {
            self.refused += 1;
            tracing::warn!(
                refused = self.refused,
                "what the next session goes on from was not saved: too much waits for the disk"
            );
        }
    }

    /// Has the last state written down, and waits for it for no longer than four seconds.
    pub fn finish(self, last: Option<SavedState>) {
        let Self { kept, written, thread, .. } = self;
        let sent = last.is_none_or(|last| kept.send_timeout(Kept::State(last), PATIENCE).is_ok());
        drop(kept);
        if !sent || written.recv_timeout(PATIENCE).is_err() {
            tracing::error!("the disk is so slow that the last adaptive state was not saved");
            return;
        }
        if thread.join().is_err() {
            tracing::error!("the thread that saves the adaptive state panicked");
        }
    }
}
