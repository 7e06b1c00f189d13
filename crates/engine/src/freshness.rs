//! Whether the input is fresh, and when it counts as fresh again after it was not.
//!
//! A silence is noticed at once. One that stands alone also ends at once, with the first complete bin; but where silences
//! follow one another the input has to be steady for a second (`STEADY`) before it counts as fresh, so that the state that
//! people are shown does not flicker. Times are those of the stream, so that a recording gives the same again.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

use kalmind_types::{LslTime, Seconds};

/// How long complete bins must come without a silence before the input counts as fresh, where silences followed one another.
pub(crate) const STEADY: Seconds = Seconds(1.0);
/// A silence that begins so soon after the end of another follows it.
pub(crate) const FOLLOWS: Seconds = Seconds(2.0);

/// What a tick shows of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickFacts {
    /// The tick's time.
    pub(crate) time: LslTime,
    /// Whether its bin was complete.
    pub(crate) complete: bool,
    /// Time since the newest complete bin before it.
    pub(crate) gap: Seconds,
    /// What the local clock said of the input before this tick.
    pub(crate) silence: Silence,
    /// Whether the signals came and were unlike those of training: that counts at once.
    pub(crate) implausible: bool,
    /// Whether somebody who may has asked to go on with this tick: nothing is waited for then but a complete bin.
    pub(crate) resumed: bool,
}

/// How long there was no complete bin on the local clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Silence {
    /// Not for long.
    #[default]
    None,
    /// For so long that `stale` was shown.
    Shown,
    /// For so long that the operator has to agree to go on.
    Long,
}

/// What is to be made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Fresh, as before.
    Fresh,
    /// No complete bin for too long.
    Silent,
    /// It comes and goes: complete bins come again, not yet for long enough.
    Unsteady,
    /// Fresh again with this tick.
    Back {
        /// Whether it was away for less than `auto_resume`.
        brief: bool,
    },
}

/// Judges the input tick by tick. Fixed size; no clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    stale_after: Seconds,
    auto_resume: Seconds,
    /// The silence that goes on, or the silences that follow one another.
    away: Option<Away>,
    /// When the input was last back.
    back: Option<LslTime>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    began: LslTime,
    /// The first complete bin since the newest silence.
    steady_since: Option<LslTime>,
    /// Whether it follows another silence.
    repeated: bool,
    /// Whether the local clock called it long.
    long: bool,
}

impl Freshness {
    /// Fresh until a tick says otherwise.
    pub(crate) fn new(stale_after: Seconds, auto_resume: Seconds) -> Self {
        Self { stale_after, auto_resume, away: None, back: None }
    }

    /// Whether the input is away, or back and not steady yet.
    pub(crate) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// Takes a tick. Real-time: no allocation, constant cost.
    pub(crate) fn judge(&mut self, tick: TickFacts) -> Verdict {
        let silent = tick.gap.0 > self.stale_after.0 || tick.silence != Silence::None || tick.implausible;
        let mut away = match (self.away, silent) {
            (None, false) => return Verdict::Fresh,
            (None, true) => Away {
                began: tick.time - Seconds((tick.gap.0 - self.stale_after.0).max(0.0)),
                steady_since: None,
                repeated: self.back.is_some_and(|back| (tick.time - back).0.abs() - tick.gap.0 < FOLLOWS.0),
                long: false,
            },
            (Some(away), false) => away,
            (Some(away), true) => {
                Away { repeated: away.repeated || away.steady_since.is_some(), steady_since: None, ..away }
            }
        };
        away.long |= tick.silence == Silence::Long;
        away.repeated &= !tick.resumed;
        if tick.complete && away.steady_since.is_none() {
            away.steady_since = Some(tick.time);
        }
        let steady_for = away.steady_since.map(|since| (tick.time - since).0.abs());
        let verdict = match (away.steady_since, steady_for) {
            (Some(since), Some(steady_for))
                if tick.complete && (!away.repeated || steady_for >= STEADY.0) =>
            {
                let brief = !away.long && (since - away.began).0.abs() < self.auto_resume.0;
                self.back = Some(tick.time);
                self.away = None;
                return Verdict::Back { brief };
            }
            (Some(_), _) => Verdict::Unsteady,
            // between silences that follow one another what people are told does not change either
            (None, _) if away.repeated && tick.gap.0 <= STEADY.0 => Verdict::Unsteady,
            (None, _) => Verdict::Silent,
        };
        self.away = Some(away);
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges ticks of 20 ms one after another.
    struct Course {
        freshness: Freshness,
        time: f64,
        complete: f64,
        resumed: bool,
    }

    impl Course {
        fn new() -> Self {
            let freshness = Freshness::new(Seconds(0.1), Seconds(2.0));
            Self { freshness, time: 100.0, complete: 100.0, resumed: false }
        }

        fn tick(&mut self, complete: bool, silence: Silence) -> Verdict {
            self.time += 0.02;
            let facts = TickFacts {
                time: LslTime(self.time),
                complete,
                gap: Seconds(self.time - self.complete),
                silence,
                implausible: false,
                resumed: self.resumed,
            };
            if complete {
                self.complete = self.time;
            }
            self.freshness.judge(facts)
        }

        /// Complete bins (or none) for so long; what was said, repetitions left out.
        fn go(&mut self, seconds: f64, complete: bool) -> Vec<Verdict> {
            let ticks = (seconds / 0.02).round() as usize;
            let mut said: Vec<_> = (0..ticks).map(|_| self.tick(complete, Silence::None)).collect();
            said.dedup();
            said
        }

        /// No ticks at all for so long, then one that is complete.
        fn jump(&mut self, seconds: f64) -> Verdict {
            self.time += seconds - 0.02;
            self.tick(true, Silence::None)
        }
    }

    const BRIEF: Verdict = Verdict::Back { brief: true };
    const LONG: Verdict = Verdict::Back { brief: false };

    #[test]
    fn a_silence_that_stands_alone_ends_with_the_first_complete_bin() {
        let mut course = Course::new();
        assert_eq!(course.go(1.0, true), [Verdict::Fresh]);
        assert_eq!(course.go(0.5, false), [Verdict::Fresh, Verdict::Silent]);
        assert_eq!(course.go(4.0, true), [BRIEF, Verdict::Fresh]);
        assert_eq!(course.jump(1.9), BRIEF);
        assert_eq!(course.go(4.0, true), [Verdict::Fresh]);
        assert_eq!(course.jump(2.2), LONG);
    }

    #[test]
    fn silences_in_a_row_end_when_the_input_was_steady_for_a_second() {
        let mut course = Course::new();
        course.go(1.0, true);
        assert_eq!(course.jump(0.3), BRIEF);
        course.go(0.2, true);
        // the second one, and a third within it
        assert_eq!(course.jump(0.3), Verdict::Unsteady);
        assert_eq!(course.go(0.5, true), [Verdict::Unsteady]);
        assert_eq!(course.go(0.3, false), [Verdict::Unsteady]);
        assert_eq!(course.go(0.98, true), [Verdict::Unsteady]);
        assert_eq!(course.go(0.1, true), [Verdict::Unsteady, BRIEF, Verdict::Fresh]);
        // one that lasts is told as what it is
        assert_eq!(course.go(1.5, false), [Verdict::Fresh, Verdict::Unsteady, Verdict::Silent]);
    }

    #[test]
    fn what_comes_and_goes_for_longer_than_auto_resume_waits_for_the_operator() {
        let mut course = Course::new();
        course.go(1.0, true);
        let mut changes = Vec::new();
        for _ in 0..20 {
            changes.extend(course.go(0.16, false));
            changes.extend(course.go(0.14, true));
        }
        let back = changes.iter().filter(|verdict| matches!(verdict, Verdict::Back { .. })).count();
        assert_eq!(back, 1, "the first alone; then it is unsteady: {changes:?}");
        assert_eq!(course.go(1.2, true), [Verdict::Unsteady, LONG, Verdict::Fresh]);
    }

    #[test]
    fn the_local_clock_counts_whatever_the_stamps_say() {
        let mut course = Course::new();
        course.go(1.0, true);
        assert_eq!(course.tick(true, Silence::Shown), BRIEF);
        course.go(4.0, true);
        assert_eq!(course.tick(true, Silence::Long), LONG);
        course.go(0.5, true);
        assert_eq!(course.tick(true, Silence::Shown), Verdict::Unsteady, "it follows the one before");
    }

    #[test]
    fn whoever_resumes_waits_for_nothing_but_a_complete_bin() {
        let mut course = Course::new();
        course.go(1.0, true);
        course.jump(0.3);
        assert_eq!(course.jump(0.3), Verdict::Unsteady);
        course.resumed = true;
        assert_eq!(course.tick(true, Silence::None), BRIEF);
    }

    #[test]
    fn a_silence_long_after_another_stands_alone() {
        let mut course = Course::new();
        course.go(1.0, true);
        course.jump(0.3);
        course.go(FOLLOWS.0 + 0.1, true);
        assert_eq!(course.jump(0.3), BRIEF);
    }
}
