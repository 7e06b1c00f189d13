//! The trials of a session, by what its task told.

use std::path::Path;

use kalmind_session::{Timeline, TrialPath};
use kalmind_types::{Event, EventBody, LslTime, Phase, Position, Target, TaskBlock, TrialResult};

use crate::recorded::{Item, ReadError, SessionReader, Wanted};

/// Points of a cursor's path that are kept of each trial.
const PATH_POINTS: usize = 200;

/// One trial.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) block: Option<TaskBlock>,
    pub(super) target: Option<Target>,
    /// None while it ran on, or where its block was broken off.
    pub(super) result: Option<TrialResult>,
    /// When it began and ended.
    pub(super) from: LslTime,
    pub(super) to: LslTime,
    /// How long it was, as the task counts.
    pub(super) seconds: f64,
    /// The way that the cursor took, and as many points of it as are drawn.
    pub(super) path: TrialPath,
    pub(super) points: Vec<[f64; 2]>,
}

impl Trial {
    /// The cursor came to a place, when so many seconds of the trial had counted.
    pub(super) fn reach(&mut self, place: [f64; 2], seconds: f64) {
        self.path.take(Position(place), seconds, self.target);
        self.points.push(place);
    }

    /// Bits a second by Fitts's law, of a target that was acquired.
    pub(super) fn throughput(&self) -> Option<f64> {
        let bits = self.path.index_of_difficulty(self.target?)?;
        (self.seconds > 0.0).then(|| bits / self.seconds)
    }

    fn thin(&mut self) {
        let keep = self.points.len().div_ceil(PATH_POINTS).max(1);
        self.points = self.points.iter().copied().step_by(keep).collect();
    }
}

/// What the task told in all of a session.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) timeline: Timeline,
    trials: Vec<Trial>,
    /// The trial that the newest bin was of.
    newest: Option<usize>,
}

impl Course {
    /// By the events of a recording, as far as it can be read: what is wrong with the rest is told by whoever reads it all.
    ///
    /// # Errors
    /// [`ReadError`] where it cannot be opened.
    pub(super) fn read(path: &Path) -> Result<Self, ReadError> {
        let mut reader = SessionReader::open(path, Wanted::default())?;
        let (mut timeline, mut told) = (Timeline::recorded(), Vec::new());
        while let Ok(Some(item)) = reader.next_item() {
            if let Item::Event(event) = item {
                timeline.take(event.time, &event.body);
                if matches!(event.body, EventBody::Target(_) | EventBody::Trial { .. }) {
                    told.push(event);
                }
            }
        }
        told.sort_by(|a, b| a.time.0.total_cmp(&b.time.0));
        Ok(Self { trials: trials(&timeline, &told), timeline, newest: None })
    }

    /// The trial that the whole of a bin lies in. Bins come in order.
    pub(super) fn trial(&mut self, start: LslTime, end: LslTime) -> Option<&mut Trial> {
        let begun = self.trials.partition_point(|trial| trial.from <= start);
        let index =
            begun.checked_sub(1).filter(|last| self.trials.get(*last).is_some_and(|trial| end <= trial.to));
        if self.newest != index
            && let Some(over) = self.newest.and_then(|newest| self.trials.get_mut(newest))
        {
            over.thin();
        }
        self.newest = index;
        index.and_then(|index| self.trials.get_mut(index))
    }

    /// The trials, once all bins have come; one that ran on ends at `end`.
    pub(super) fn take_trials(&mut self, end: LslTime) -> Vec<Trial> {
        let mut trials = core::mem::take(&mut self.trials);
        for trial in trials.iter_mut().filter(|trial| trial.to.0.is_infinite()) {
            trial.to = end;
        }
        trials
    }
}

/// The trials that ended, and the one that ran on, of events in the order of their times. One in whose midst another begins
/// is none.
fn trials(timeline: &Timeline, told: &[Event]) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut running: Option<Trial> = None;
    for Event { time, body, .. } in told {
        match body {
            EventBody::Target(Some(target)) => {
                if let Some(trial) = &mut running {
                    trial.target.get_or_insert(*target);
                }
            }
            EventBody::Trial { phase: Phase::Start, .. } => {
                let now = timeline.at(*time);
                running = Some(Trial {
                    block: now.block,
                    target: now.target,
                    result: None,
                    from: *time,
                    to: LslTime(f64::INFINITY),
                    seconds: 0.0,
                    path: TrialPath::default(),
                    points: Vec::new(),
                });
            }
            EventBody::Trial { phase: Phase::End, result, .. } => {
                trials.extend(running.take().map(|trial| Trial { result: *result, to: *time, ..trial }));
            }
            _ => {}
        }
    }
    trials.extend(running);
    trials
}
