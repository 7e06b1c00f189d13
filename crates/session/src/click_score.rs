//! How well clicks went: false ones a minute while moving and at rest, and how long the others took.

use kalmind_types::{Click, LslTime, Position, Target};
use serde::{Deserialize, Serialize};

use crate::{Estimate, quantile};

/// What a participant is at in a tick, as far as clicks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClickContext {
    /// On the way to a target: no click is meant.
    Moving,
    /// Nothing is shown to move to: no click is meant.
    Resting,
    /// At the target: one click is meant.
    Selecting,
}

impl ClickContext {
    /// By what is shown: the target, if any, and the cursor.
    pub fn of(target: Option<Target>, cursor: Position) -> Self {
        match target {
            None => Self::Resting,
            Some(target) if cursor.distance(target.position) <= target.radius => Self::Selecting,
            Some(_) => Self::Moving,
        }
    }
}

/// Presses and time, by what the participant was at. One press an act is right; a second one is no selection of its own but
/// counts as `repeated`. Sees ticks in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClickScore {
    /// Seconds, and false presses, while moving and at rest.
    moving: (f64, u64),
    resting: (f64, u64),
    acts: u64,
    repeated: u64,
    latencies: Vec<f64>,
    /// Since when it selects, and whether that was a press.
    act: Option<(LslTime, bool)>,
    presses: Option<u64>,
}

/// How well clicks went, with intervals of 95 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClickFigures {
    /// False presses a minute while moving; none where it never moved.
    pub false_per_minute_moving: Option<Estimate>,
    /// False presses a minute at rest; none where it never rested.
    pub false_per_minute_resting: Option<Estimate>,
    /// Times that the participant came to select.
    pub acts: u64,
    /// How many of them were a press.
    pub pressed: u64,
    /// Presses after the first one of an act.
    pub repeated: u64,
    /// Median seconds from the beginning of an act to the end of the tick of its press.
    pub latency_s: Option<Estimate>,
}

impl ClickFigures {
    /// The part of the acts that was a press; none without an act.
    #[must_use]
    pub fn part_pressed(&self) -> Option<f64> {
        (self.acts > 0).then(|| self.pressed as f64 / self.acts as f64)
    }
}

impl ClickScore {
    /// What there is to tell of it.
    pub fn figures(&self) -> ClickFigures {
        let rate = |(seconds, presses): (f64, u64)| Estimate::rate(presses, seconds / 60.0);
        ClickFigures {
            false_per_minute_moving: rate(self.moving),
            false_per_minute_resting: rate(self.resting),
            acts: self.acts,
            pressed: self.pressed(),
            repeated: self.repeated,
            latency_s: Estimate::median(&self.latencies),
        }
    }

    /// Sees the tick at `time`, `seconds` of which count (see [`seconds_that_count`](crate::seconds_that_count)), what the
    /// participant was at before it, and what came of clicks in it. Presses of a tick that does not count are none.
    pub fn observe(
        &mut self,
        time: LslTime,
        seconds: Option<f64>,
        context: ClickContext,
        click: Option<Click>,
    ) {
        let now = click.map_or(0, |click| click.presses);
        let new = self.presses.replace(now).map_or(0, |before| now.saturating_sub(before));
        let Some(seconds) = seconds else {
            self.act = None;
            return;
        };
        if context != ClickContext::Selecting {
            self.act = None;
            let (passed, wrong) =
                if context == ClickContext::Moving { &mut self.moving } else { &mut self.resting };
            *passed += seconds;
            *wrong += new;
            return;
        }
        self.acts += u64::from(self.act.is_none());
        let (since, pressed) = self.act.unwrap_or((LslTime(time.0 - seconds), false));
        let right = u64::from(!pressed).min(new);
        self.repeated += new - right;
        if right > 0 {
            self.latencies.push((time - since).0);
        }
        self.act = Some((since, pressed || right > 0));
    }

    /// False presses a minute while moving; none where it never moved.
    pub fn false_per_minute_moving(&self) -> Option<f64> {
        a_minute(self.moving)
    }

    /// False presses a minute at rest; none where it never rested.
    pub fn false_per_minute_resting(&self) -> Option<f64> {
        a_minute(self.resting)
    }

    /// Times that the participant came to select.
    pub fn acts(&self) -> u64 {
        self.acts
    }

    /// How many of them were a press.
    pub fn pressed(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Presses after the first one of an act.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// A quantile of the seconds from the beginning of an act to the end of the tick of its press; none without one.
    pub fn latency(&self, probability: f64) -> Option<f64> {
        quantile(&self.latencies, probability)
    }
}

fn a_minute((seconds, presses): (f64, u64)) -> Option<f64> {
    (seconds > 0.0).then(|| presses as f64 * 60.0 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClickContext::{Moving, Resting, Selecting};

    /// Ticks of half a second: what the participant was at, and presses since the start.
    fn scored(ticks: &[(ClickContext, u64)]) -> ClickScore {
        let mut score = ClickScore::default();
        for (at, (context, presses)) in ticks.iter().enumerate() {
            let click = Click { presses: *presses, ..Click::default() };
            score.observe(LslTime(10.0 + 0.5 * at as f64), Some(0.5), *context, Some(click));
        }
        score
    }

    #[test]
    fn presses_are_false_where_none_was_meant() {
        // 2 s of moving with one press, 1 s of rest with two (one tick can only show their number)
        let score = scored(&[(Moving, 5), (Moving, 5), (Resting, 5), (Moving, 6), (Resting, 8), (Moving, 8)]);
        assert_eq!(score.false_per_minute_moving(), Some(30.0));
        assert_eq!(score.false_per_minute_resting(), Some(120.0));
        let resting = score.figures().false_per_minute_resting.unwrap();
        assert_eq!((resting.value, resting.interval.map(|[low, _]| low > 14.0)), (120.0, Some(true)));
        assert_eq!((score.acts(), score.pressed(), score.latency(0.5)), (0, 0, None));
    }

    #[test]
    fn an_act_has_one_press_and_its_latency_counts_from_its_beginning() {
        let score = scored(&[
            (Moving, 0),
            (Selecting, 0),
            (Selecting, 0),
            (Selecting, 1),
            (Selecting, 2),
            (Moving, 2),
            (Selecting, 3),
            (Moving, 3),
            (Selecting, 3),
            (Moving, 3),
        ]);
        assert_eq!((score.acts(), score.pressed(), score.repeated()), (3, 2, 1));
        assert_eq!((score.latency(0.0), score.latency(1.0)), (Some(0.5), Some(1.5)));
        assert_eq!(score.false_per_minute_moving(), Some(0.0));
        assert_eq!(score.false_per_minute_resting(), None);
    }

    #[test]
    fn time_that_does_not_count_ends_an_act_and_its_presses_are_none() {
        let mut score = scored(&[(Moving, 0), (Selecting, 0)]);
        let click = |presses| Some(Click { presses, ..Click::default() });
        score.observe(LslTime(11.0), None, Selecting, click(1));
        score.observe(LslTime(11.5), Some(0.5), Selecting, click(2));
        assert_eq!((score.acts(), score.pressed(), score.repeated()), (2, 1, 0));
        assert_eq!(score.latency(0.5), Some(0.5));
    }

    #[test]
    fn what_is_shown_says_what_the_participant_is_at() {
        let target = Target { position: Position([0.5, 0.5]), radius: 0.25 };
        assert_eq!(ClickContext::of(None, target.position), Resting);
        assert_eq!(ClickContext::of(Some(target), Position([0.75, 0.5])), Selecting, "on its rim");
        assert_eq!(ClickContext::of(Some(target), Position([0.8, 0.5])), Moving);
    }
}
