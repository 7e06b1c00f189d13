//! How a block went, in figures: its trials and clicks as they come, and what is shown of them.

use kalmind_types::{Click, LslTime, Position, Seconds, Target, TrialResult};
use serde::{Deserialize, Serialize};

use crate::{
    BlockFigures, BlockScore, ClickContext, ClickFigures, ClickScore, EndedTrial, TaskScore, TrialPath,
    history::{CAPACITY, History},
};

/// How a block went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreStatus {
    /// Targets that were acquired, timed out or missed for another.
    pub presented: u64,
    /// Targets acquired.
    pub acquired: u64,
    /// Selections of something else.
    pub incorrect: u64,
    /// Median time to target.
    pub time_to_target_s: Option<f64>,
    /// Bits per second, where wrong ones could be selected.
    pub bit_rate: Option<f64>,
    /// From where to where that may be, with 95 % confidence; none where too few trials have ended to say.
    #[serde(default)]
    pub bit_rate_interval: Option<[f64; 2]>,
    /// The most assistance in any trial that counts here, 0 to 1.
    pub assistance: f64,
    /// What the papers report of its trials without help; none before one has ended, and of an open loop, which the task itself moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<BlockFigures>,
    /// How clicks went, where they select.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clicks: Option<ClickFigures>,
}

impl ScoreStatus {
    /// The part of all targets that were acquired, with help or without; none before one was presented.
    #[must_use]
    pub fn success(&self) -> Option<f64> {
        (self.presented > 0).then(|| self.acquired as f64 / self.presented as f64)
    }
}

/// What a block's score is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Scoring {
    trials: BlockScore,
    /// The path of the trial that runs, and how many seconds of it have counted.
    path: TrialPath,
    seconds: f64,
    /// How clicks go, where they select.
    clicks: Option<ClickScore>,
    /// So long before its press a click selects.
    lead: Seconds,
    /// Where the cursor was after the tick before, and further back in the trial that runs.
    cursor: Option<Position>,
    places: Places,
}

#[derive(Clone, Debug)]
struct Places(History<Position>);

impl Default for Places {
    fn default() -> Self {
        Self(History::new(CAPACITY))
    }
}

impl Scoring {
    /// Of a block that begins; `lead` is that of its clicks, where they select in it.
    pub(super) fn new(choices: Option<u64>, lead: Option<Seconds>) -> Self {
        let clicks = lead.map(|_| ClickScore::default());
        Self { trials: BlockScore::of(choices), clicks, lead: lead.unwrap_or_default(), ..Self::default() }
    }

    /// Sees a tick, `counted` seconds of which count, in which this target was shown. Before the task does.
    pub(super) fn observe(
        &mut self,
        time: LslTime,
        counted: Option<f64>,
        cursor: Position,
        target: Option<Target>,
        click: Option<Click>,
    ) {
        let before = self.cursor.replace(cursor).unwrap_or(cursor);
        self.seconds += counted.unwrap_or_default();
        self.path.take(cursor, self.seconds, target);
        if let Some(clicks) = &mut self.clicks {
            let seen = self.places.0.in_force(time - self.lead).unwrap_or(before);
            self.places.0.insert(time, cursor);
            // what it was on when it was seen is still selected
            let context = match ClickContext::of(target, before) {
                ClickContext::Moving => ClickContext::of(target, seen),
                context => context,
            };
            clicks.observe(time, counted, context, click);
        }
    }

    /// The cursor is put there with the next tick.
    pub(super) fn place(&mut self, cursor: Position) {
        self.cursor = Some(cursor);
    }

    /// A trial begins.
    pub(super) fn begin_trial(&mut self) {
        (self.path, self.seconds) = (TrialPath::default(), 0.0);
        self.places = Places::default();
        if let Some(cursor) = self.cursor {
            self.path.take(cursor, 0.0, None);
        }
    }

    /// A trial ended by itself, with so much help at most.
    pub(super) fn end_trial(
        &mut self,
        result: TrialResult,
        seconds: f64,
        target: Option<Target>,
        assistance: f64,
    ) {
        self.trials.take(EndedTrial { result, seconds, path: self.path.figures(target), assistance });
    }

    /// What there is to show, beside the task's own `score`; `is_decoded` says whether a decoder moves the cursor in this block.
    pub(super) fn status(&self, score: &TaskScore, is_decoded: bool) -> ScoreStatus {
        let all = self.trials.figures(1.0);
        ScoreStatus {
            presented: score.presented(),
            acquired: score.acquired(),
            incorrect: score.incorrect(),
            time_to_target_s: score.median_time_to_target(),
            bit_rate: score.bit_rate(),
            bit_rate_interval: all.bit_rate.and_then(|rate| rate.interval),
            assistance: all.most_assistance,
            figures: (is_decoded && all.trials > 0).then(|| self.trials.unassisted()),
            clicks: self.clicks.as_ref().map(ClickScore::figures),
        }
    }
}
