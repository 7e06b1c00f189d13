//! Where a session stands, kept beside a participant's saved models until it is over: a daemon that was killed in it and is
//! started again says which block was interrupted.

use std::path::Path;

use kalmind_recording::NewFileError;
use kalmind_types::SessionChange;
use serde::{Deserialize, Serialize};

use super::participant_files;

/// Its file in a participant's folder.
const FILE: &str = "session.json";
/// The version of that file.
const VERSION: u32 = 1;
/// The largest one that is read, in bytes.
const LARGEST: u64 = 1 << 16;

/// Where a session stood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedSession {
    version: u32,
    /// When, in Unix seconds.
    unix: f64,
    /// The preset's name.
    preset: String,
    /// The block that began last: its place, from 0, and its title.
    block: Option<(usize, String)>,
    /// Whether that one was over.
    block_is_over: bool,
    /// Whether the session was.
    is_over: bool,
}

impl SavedSession {
    /// Where the session stands after a change, where that is news.
    #[must_use]
    pub fn after(before: Option<&Self>, change: &SessionChange, unix: f64) -> Option<Self> {
        let changed = |change: &dyn Fn(&mut Self)| {
            let mut session = before?.clone();
            session.unix = unix;
            change(&mut session);
            Some(session)
        };
        match change {
            SessionChange::Opened { preset, .. } => Some(Self {
                version: VERSION,
                unix,
                preset: preset.clone(),
                block: None,
                block_is_over: false,
                is_over: false,
            }),
            SessionChange::BlockStarted { number, title } => changed(&|session| {
                (session.block, session.block_is_over) = (Some((*number, title.clone())), false);
            }),
            SessionChange::BlockEnded { .. } => changed(&|session| session.block_is_over = true),
            SessionChange::Ended { .. } => changed(&|session| session.is_over = true),
            _ => None,
        }
    }

    /// Writes it into a participant's folder, in place of the one before.
    ///
    /// # Errors
    /// [`NewFileError`]; then the one before is still there.
    pub fn save(&self, folder: &Path) -> Result<(), NewFileError> {
        participant_files::write(folder, FILE, self)
    }

    /// What there is to say of the session before, where it was interrupted.
    #[must_use]
    pub fn interrupted(folder: &Path) -> Option<String> {
        match participant_files::read::<Self>(folder, FILE, LARGEST) {
            Ok(Some(session)) if session.version == VERSION => session.sentence(),
            Ok(None) => None,
            Ok(Some(session)) => {
                Some(format!("{FILE} is of version {}, and this program reads {VERSION}", session.version))
            }
            Err(problem) => {
                Some(format!("whether the session before was interrupted is not known: {problem}"))
            }
        }
    }

    fn sentence(&self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let Self { preset, block, unix, .. } = self;
        let date = kalmind_recording::date(*unix);
        Some(match block {
            Some((number, title)) => {
                let number = number + 1;
                let when = if self.block_is_over { "after" } else { "in" };
                format!(
                    "the session before ({preset}, {date}) was interrupted {when} block {number} ({title}): open it again \
                     and skip what was done, or start anew"
                )
            }
            None => format!("the session before ({preset}, {date}) was interrupted before its first block"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_session_says_in_which_block_and_one_that_is_over_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(SavedSession::interrupted(folder.path()), None);
        let mut session = None;
        let mut after = |change: SessionChange| {
            session = SavedSession::after(session.as_ref(), &change, 1_709_208_000.0).or(session.take());
            session.as_ref().expect("it was opened").save(folder.path()).expect("written");
            SavedSession::interrupted(folder.path())
        };
        let opened = SessionChange::Opened { preset: "quick-start".to_owned(), participant: None };
        assert!(after(opened).expect("interrupted").contains("before its first block"));
        let started = SessionChange::BlockStarted { number: 1, title: "On your own".to_owned() };
        let said = after(started).expect("interrupted");
        assert!(said.contains("quick-start") && said.contains("in block 2 (On your own)"), "{said}");
        assert!(said.contains("2024-02-29T12:00:00"), "{said}");
        let paused = SessionChange::Paused { why: String::new() };
        assert!(after(paused).expect("interrupted").contains("in block 2"));
        let ended = SessionChange::BlockEnded { number: 1, score: serde_json::Value::Null };
        assert!(after(ended).expect("interrupted").contains("after block 2"));
        assert_eq!(after(SessionChange::Ended { why: String::new() }), None);
        std::fs::write(folder.path().join(FILE), "{").expect("written");
        assert!(SavedSession::interrupted(folder.path()).expect("words").contains("not known"));
    }
}
