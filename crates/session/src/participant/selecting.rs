//! When a participant means to select by clicking.

use kalmind_types::{LslTime, Position, Target};

/// How long it sees the cursor in the target before it means to click.
const SURE_S: f64 = 0.1;
/// How long it means to.
const CLICK_S: f64 = 0.3;
/// How long after that it tries again, where it still sees the cursor in the same target: longer than it takes to see what
/// came of it.
const AGAIN_S: f64 = 0.5;
/// What rounding of bin times may take from these.
const ROUNDING_S: f64 = 1e-6;

/// Whether it means to select now: an act of [`CLICK_S`] once it has seen the cursor in the target for [`SURE_S`]. An act that
/// has begun goes on to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selecting {
    /// Since when it sees the cursor in this target.
    inside: Option<(Target, LslTime)>,
    /// When the newest act began, and the target that it was meant for.
    act: Option<(Target, LslTime)>,
}

impl Selecting {
    /// Whether it means to select in the bin at `time`, in which it sees the cursor there and knows of that target; none where
    /// it means nothing.
    pub(super) fn step(&mut self, time: LslTime, seen: Option<(Position, Target)>) -> bool {
        let since = |start: LslTime| (time - start).0 + ROUNDING_S;
        let inside = seen.filter(|(position, target)| position.distance(target.position) <= target.radius);
        self.inside = inside.map(|(_, target)| match self.inside {
            Some((same, start)) if same == target => (target, start),
            _ => (target, time),
        });
        let acts = |act: Option<(Target, LslTime)>| act.is_some_and(|(_, start)| since(start) < CLICK_S);
        if acts(self.act) {
            return true;
        }
        if let Some((target, _)) = self.inside.filter(|(_, start)| since(*start) >= SURE_S) {
            let tried = self.act.filter(|(meant_for, _)| *meant_for == target);
            if tried.is_none_or(|(_, start)| since(start) >= CLICK_S + AGAIN_S) {
                self.act = Some((target, time));
            }
        }
        acts(self.act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bins of 20 ms, of so many, in which it means to select.
    fn meant(bins: u32, seen: impl Fn(u32) -> Option<(f64, Target)>) -> Vec<u32> {
        let mut selecting = Selecting::default();
        let at = |bin: u32| LslTime(10.0 + 0.02 * f64::from(bin));
        let mut step = |bin: u32| {
            let seen = seen(bin).map(|(x, target)| (Position([x, 0.5]), target));
            selecting.step(at(bin), seen)
        };
        (0..bins).filter(|bin| step(*bin)).collect()
    }

    fn target(x: f64) -> Target {
        Target { position: Position([x, 0.5]), radius: 0.1 }
    }

    #[test]
    fn it_means_to_for_300_ms_once_it_was_inside_for_100_and_again_after_500() {
        let found = meant(100, |bin| Some((if bin < 10 { 0.3 } else { 0.5 }, target(0.5))));
        let acts: Vec<u32> = (15..30).chain(55..70).chain(95..100).collect();
        assert_eq!(found, acts);
    }

    #[test]
    fn an_act_that_has_begun_goes_on_and_no_other_begins_outside() {
        let found = meant(100, |bin| Some((if bin < 10 { 0.5 } else { 0.2 }, target(0.5))));
        assert_eq!(found, (5..20).collect::<Vec<u32>>());
        assert!(meant(50, |bin| (bin % 5 != 4).then_some((0.5, target(0.5)))).is_empty(), "never sure");
    }

    #[test]
    fn another_target_needs_no_pause() {
        let found = meant(60, |bin| Some((0.5, target(if bin < 25 { 0.5 } else { 0.55 }))));
        assert_eq!(found, (5..20).chain(30..45).collect::<Vec<u32>>());
    }
}
