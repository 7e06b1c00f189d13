//! `kalmind run --resume`: the newest saved model of the participant that fits the run.

use std::{path::PathBuf, sync::Arc};

use kalmind_filter::KernelPath;
use kalmind_offline::model::IdentifiedModel;
use kalmind_signal::AdaptiveState;
use kalmind_types::StreamFeatures;

use crate::{
    failure::{OrFail as _, Outcome},
    models::{
        saved::{SavedFile, SavedModels},
        saved_session::SavedSession,
        saved_state::SavedState,
    },
    starting::plan_error::PlanError,
};

/// Files that are looked at: a start takes seconds, however many there are.
const MOST: usize = 32;
/// Files that were named by hand and are told one by one.
const MOST_BY_HAND: usize = 5;

/// The saved models of a participant, newest first, on the way to one that fits.
#[derive(Clone, Debug)]
pub struct Resuming {
    folder: PathBuf,
    /// Those not looked at yet, newest first.
    files: std::vec::IntoIter<SavedFile>,
    /// The newest that fits, as far as is known.
    taken: Option<SavedFile>,
    /// Why newer ones do not, a sentence each.
    passed_over: Vec<String>,
    /// The adaptive state that the model goes on from.
    state: Option<AdaptiveState>,
    /// What came of looking for it.
    said: Option<String>,
    /// What there is to say of the session before, where it was interrupted.
    interrupted: Option<String>,
}

impl Resuming {
    /// Finds the files, reads none of them.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn begin(saved: &SavedModels) -> Outcome<Self> {
        let mut files = saved.newest_first().or_work()?;
        let mut passed_over = Vec::new();
        if files.len() > MOST {
            passed_over.push(format!("{} older models were not looked at", files.len() - MOST));
            files.truncate(MOST);
        }
        let by_hand = saved.named_by_hand().or_work()?;
        let more = by_hand.len().saturating_sub(MOST_BY_HAND);
        passed_over.extend(by_hand.into_iter().take(MOST_BY_HAND).map(|name| {
            format!(
                "{name}: it was named by hand, and --resume takes only what sessions saved; to use it, set [decoder] model to it \
                 and start without --resume"
            )
        }));
        if more > 0 {
            passed_over.push(format!("{more} more that were named by hand"));
        }
        Ok(Self {
            folder: saved.folder().to_owned(),
            files: files.into_iter(),
            taken: None,
            passed_over,
            state: None,
            said: None,
            interrupted: SavedSession::interrupted(saved.folder()),
        })
    }

    /// Takes the newest model that is left, can be read and built, and of which `differences` finds nothing.
    ///
    /// # Errors
    /// [`PlanError::NothingToResume`].
    pub fn next_that_fits(
        &mut self,
        differences: impl Fn(&IdentifiedModel) -> Vec<String>,
    ) -> Result<Arc<IdentifiedModel>, PlanError> {
        for file in self.files.by_ref() {
            let problems = match file.load() {
                Ok(model) => {
                    let mut problems = differences(&model);
                    // some things show only once it is built
                    if problems.is_empty()
                        && let Err(error) = model.stage(true, KernelPath::detect())
                    {
                        problems.push(error.to_string());
                    }
                    if problems.is_empty() {
                        self.taken = Some(file);
                        return Ok(Arc::new(model));
                    }
                    problems
                }
                Err(problem) => vec![problem],
            };
            self.passed_over.push(format!("{}: {}", file.name, problems.join("; ")));
        }
        Err(PlanError::NothingToResume { folder: self.folder.clone(), passed_over: self.passed_over.clone() })
    }

    /// Notes which saved stretches of rest do not fit the configuration.
    pub fn say_of_references(&mut self, passed_over: &[String]) {
        self.passed_over.extend_from_slice(passed_over);
    }

    /// Passes over the model that was taken, for what is known of the run by now.
    pub fn pass_over(&mut self, differences: &[String]) {
        if let Some(file) = self.taken.take() {
            self.passed_over.push(format!("{}: {}", file.name, differences.join("; ")));
        }
    }

    /// Looks for the adaptive state at the end of the session before, of these streams, where the model has one; without it the
    /// model begins with that of its training.
    pub fn find_state(&mut self, model: &IdentifiedModel, streams: &[StreamFeatures]) {
        if model.model.running_weight().is_none() {
            return;
        }
        let found = SavedState::load(&self.folder).and_then(|saved| {
            let saved = saved.ok_or_else(|| "none is saved".to_owned())?;
            let date = kalmind_recording::date(saved.unix);
            Ok((saved.of(streams)?, date))
        });
        let said = match found {
            Ok((state, date)) => {
                self.state = Some(state);
                format!("goes on from {date}")
            }
            Err(why) => format!("begins with that of training: {why}"),
        };
        self.said = Some(format!("its running z-score {said}"));
    }

    /// The adaptive state that was found.
    #[must_use]
    pub fn state(&self) -> Option<&AdaptiveState> {
        self.state.as_ref()
    }

    /// What there is to say of the session before, where it was interrupted.
    #[must_use]
    pub fn interrupted(&self) -> Option<&str> {
        self.interrupted.as_deref()
    }

    /// Name of the file that was taken.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.taken.as_ref().map(|file| file.name.as_str())
    }

    /// Which one was taken, and why newer ones were not, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let taken =
            self.taken.iter().map(|file| format!("resumed: {}", self.folder.join(&file.name).display()));
        let said = self.said.iter().chain(&self.interrupted);
        let taken = taken.chain(said.map(|said| format!("  {said}")));
        taken.chain(self.passed_over.iter().map(|why| format!("  passed over {why}"))).collect()
    }
}
