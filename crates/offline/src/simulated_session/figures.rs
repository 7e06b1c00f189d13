//! What came of a session: trials, blocks, the verdict and when it was reached.

use kalmind_session::{BlockStatus, ComparisonStatus, Profile, SessionStatus, Verdict};
use kalmind_types::{
    Assistance, Command, CursorDrive, EventBody, LslTime, Phase, SessionChange, TaskState, TrialResult,
};
use serde::Serialize;

/// The most assistance with which a target counts as one that the participant acquired.
const FIRST_TARGET_ASSISTANCE: f64 = 0.2;

/// A trial that ended by itself while the decoder moved the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrialFigures {
    /// Place of its block in the preset.
    pub block: usize,
    /// When it ended, in seconds from the start.
    pub at_s: f64,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub result: TrialResult,
    /// The most assistance in it, 0 to 1.
    pub assistance: f64,
}

/// A verdict, and when the session first came to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerdictFigures {
    /// Its name.
    pub verdict: String,
    /// In seconds from the start.
    pub at_s: f64,
}

/// What came of a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionFigures {
    /// The seed.
    pub seed: u64,
    /// The participant's profile.
    pub profile: Profile,
    /// When the first target was acquired by the decoder with at most 20 % assistance, in seconds from the start.
    pub first_target_s: Option<f64>,
    /// The most assistance in that trial.
    pub first_target_assistance: Option<f64>,
    /// The blocks of the preset as the session shows them, with their scores.
    pub blocks: Vec<BlockStatus>,
    /// What came of a comparison of decoders, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonStatus>,
    /// The verdict at the end.
    pub verdict: Verdict,
    /// The verdicts in the order in which they were first reached.
    pub verdicts: Vec<VerdictFigures>,
    /// Models that came of fits.
    pub fits: u64,
    /// Fits that failed.
    pub fits_failed: u64,
    /// Fitted models that were kept out.
    pub models_kept_out: u64,
    /// Who let the decoder control where the verdict did not.
    pub overridden_by: Option<String>,
    /// Trials in which the decoder moved the cursor.
    pub trials: Vec<TrialFigures>,
    /// Why it was over before its end, in words.
    pub ended_early: Option<String>,
    /// Seconds of the session.
    pub session_s: f64,
    /// Seconds that it took to simulate it.
    pub wall_s: f64,
    /// Seconds of the session per second of that.
    pub times_real_time: f64,
}

impl SessionFigures {
    /// When a verdict was first reached, in seconds from the start.
    #[must_use]
    pub fn reached_s(&self, verdict: &str) -> Option<f64> {
        self.verdicts.iter().find(|known| known.verdict == verdict).map(|known| known.at_s)
    }
}

/// Gathers them.
#[derive(Debug)]
pub(super) struct Figures {
    seed: u64,
    profile: Profile,
    start: LslTime,
    task: TaskState,
    block: usize,
    trial: Option<RunningTrial>,
    trials: Vec<TrialFigures>,
    verdicts: Vec<VerdictFigures>,
}

/// The trial that runs.
#[derive(Clone, Copy, Debug)]
struct RunningTrial {
    start: LslTime,
    /// The most assistance so far; none before the task said how its cursor is moved.
    assistance: Option<f64>,
    /// Whether the task moved the cursor itself.
    label: bool,
}

impl Figures {
    pub(super) fn new(seed: u64, profile: Profile) -> Self {
        Self {
            seed,
            profile,
            start: LslTime(0.0),
            task: TaskState::default(),
            block: 0,
            trial: None,
            trials: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// The session was started.
    pub(super) fn started(&mut self, now: LslTime) {
        self.start = now;
    }

    pub(super) fn command(&mut self, command: &Command) {
        let Command::Task(task) = command else { return };
        self.task = *task;
        if let Some(trial) = &mut self.trial {
            trial.see(task);
        }
    }

    pub(super) fn event(&mut self, time: LslTime, event: &EventBody) {
        let at_s = (time - self.start).0;
        match event {
            EventBody::Trial { phase: Phase::Start, .. } => {
                self.trial = Some(RunningTrial { start: time, assistance: None, label: false });
            }
            EventBody::Trial { phase: Phase::End, result, .. } => {
                let Some(mut trial) = self.trial.take() else { return };
                if trial.assistance.is_none() {
                    trial.see(&self.task);
                }
                if let Some(result) = result.filter(|_| !trial.label) {
                    let assistance = trial.assistance.unwrap_or_default();
                    let seconds = (time - trial.start).0;
                    let block = self.block;
                    self.trials.push(TrialFigures { block, at_s, seconds, result, assistance });
                }
            }
            EventBody::Session(event) => match &event.change {
                SessionChange::BlockStarted { number, .. } => self.block = *number,
                SessionChange::Verdict { verdict, .. } => self.verdict(time, verdict),
                _ => {}
            },
            _ => {}
        }
    }

    /// The session has come to a verdict.
    pub(super) fn verdict(&mut self, time: LslTime, verdict: &str) {
        if self.verdicts.iter().all(|known| known.verdict != verdict) {
            self.verdicts.push(VerdictFigures { verdict: verdict.to_owned(), at_s: (time - self.start).0 });
        }
    }

    pub(super) fn ended(
        self,
        status: &SessionStatus,
        now: LslTime,
        ended_early: Option<String>,
        wall_s: f64,
    ) -> SessionFigures {
        let Self { seed, profile, start, trials, verdicts, .. } = self;
        let by_itself = |trial: &&TrialFigures| {
            trial.result == TrialResult::Acquired && trial.assistance <= FIRST_TARGET_ASSISTANCE
        };
        let first = trials.iter().find(by_itself).copied();
        let session_s = (now - start).0;
        SessionFigures {
            seed,
            profile,
            first_target_s: first.map(|trial| trial.at_s),
            first_target_assistance: first.map(|trial| trial.assistance),
            blocks: status.blocks.clone(),
            comparison: status.comparison.clone(),
            verdict: status.verdict.clone(),
            verdicts,
            fits: status.fits.done,
            fits_failed: status.fits.failed,
            models_kept_out: status.fits.kept_out,
            overridden_by: status.control.overridden_by.clone(),
            trials,
            ended_early,
            session_s,
            wall_s,
            times_real_time: session_s / wall_s,
        }
    }
}

impl RunningTrial {
    fn see(&mut self, task: &TaskState) {
        let now = Assistance::most(&task.assistance);
        self.assistance = Some(self.assistance.map_or(now, |before| before.max(now)));
        self.label |= task.drive == CursorDrive::Label;
    }
}
