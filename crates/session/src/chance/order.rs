//! The order of targets, and the other orders in which the task could have shown them.
//!
//! Directions cannot change places among trials even where targets can: the way back to the centre is opposite to the way
//! out, and where the cursor goes from target to target, each direction depends on the target before. So targets are
//! rearranged, and directions follow from the new order. Which targets may change places is read off the order itself, by
//! rules that hold in its rearrangements too:
//!
//! - the place to which the task goes back between other targets stays where it is;
//! - where targets come in rounds that show each place equally often, they change places within a round;
//! - where every target is away from where the cursor starts, it is in every order.

use core::ops::Range;

use kalmind_types::Position;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::trials::{Start, Trials};

/// Targets nearer to each other than this part of the greatest distance between any two are one place.
const SAME_PLACE: f64 = 0.01;
/// The place to go back to is that of at least this part of the trials.
const HOME: f64 = 0.4;
/// How often a round may show each place.
const MOST_IN_A_ROUND: usize = 4;
/// Changes of place for each trial after which an order is as good as independent of the one before.
const CHANGES: usize = 3;

/// Targets in one order.
#[derive(Clone, Debug)]
pub(super) struct TargetOrder {
    places: Vec<Position>,
    /// The place of each trial's target.
    order: Vec<usize>,
    starts: Vec<Start>,
    scored: Vec<usize>,
    /// Trials whose targets may change places.
    free: Vec<usize>,
    /// For each of `free`, those of `free` in the same round.
    rounds: Vec<Range<usize>>,
    /// What counts as the same place.
    tolerance: f64,
    always_away: bool,
}

impl TargetOrder {
    pub(super) fn of(trials: &Trials) -> Self {
        let targets: Vec<Position> = trials.trials.iter().map(|trial| trial.target).collect();
        let tolerance = SAME_PLACE * extent(&targets);
        let mut places: Vec<Position> = Vec::new();
        let mut order = Vec::with_capacity(targets.len());
        for target in targets {
            let known = places.iter().position(|place| place.distance(target) <= tolerance);
            order.push(known.unwrap_or(places.len()));
            if known.is_none() {
                places.push(target);
            }
        }
        let home = home(&order, places.len());
        let free: Vec<usize> = (0..order.len()).filter(|&trial| Some(order[trial]) != home).collect();
        let shown: Vec<usize> = free.iter().map(|&trial| order[trial]).collect();
        let rounds = rounds(&shown, places.len());
        let scored = (0..order.len()).filter(|&trial| trials.trials[trial].scored).collect();
        let starts = trials.trials.iter().map(|trial| trial.start).collect();
        let mut this = Self { places, order, starts, scored, free, rounds, tolerance, always_away: false };
        this.always_away = (0..this.order.len()).all(|trial| this.is_away(trial));
        this
    }

    /// How many orders there are at most, up to `u64::MAX`.
    pub(super) fn count(&self) -> u64 {
        let mut orders: u64 = 1;
        let mut at = 0;
        while let Some(round) = self.rounds.get(at) {
            let mut shown = vec![0_u64; self.places.len()];
            for (number, &trial) in self.free[round.clone()].iter().enumerate() {
                let count = &mut shown[self.order[trial]];
                *count += 1;
                // the multinomial coefficient grows by this factor, which keeps it whole
                orders = orders.saturating_mul(number as u64 + 1) / *count;
            }
            at = round.end;
        }
        orders
    }

    /// The unit vector to the target in each scored trial; zero where there is no way to go.
    pub(super) fn directions(&self) -> impl Iterator<Item = [f64; 2]> {
        self.scored.iter().map(|&trial| {
            let [x, y] = self.start(trial).to(self.target(trial));
            let distance = x.hypot(y);
            if distance > self.tolerance { [x / distance, y / distance] } else { [0.0; 2] }
        })
    }

    /// How alike targets are to the ones before: the sum of the products of their positions, taken from their mean.
    pub(super) fn alikeness(&self) -> f64 {
        let count = self.free.len().max(1) as f64;
        let mean =
            [0, 1].map(|axis| self.free.iter().map(|&trial| self.target(trial).0[axis]).sum::<f64>() / count);
        let from_mean = |trial: usize| Position(mean).to(self.target(trial));
        let pairs = self.free.windows(2).map(|pair| (from_mean(pair[0]), from_mean(pair[1])));
        pairs.map(|(before, after)| before[0] * after[0] + before[1] * after[1]).sum()
    }

    /// Another order. From a true one drawn at random, this leads to each of the others with the same probability; it leads
    /// back as likely as there.
    pub(super) fn rearrange(&mut self, generator: &mut ChaCha8Rng) {
        for _ in 0..CHANGES * self.free.len() {
            let at = generator.random_range(0..self.free.len());
            let other = generator.random_range(self.rounds[at].clone());
            let (one, other) = (self.free[at], self.free[other]);
            self.order.swap(one, other);
            let touched = [one, one + 1, other, other + 1];
            if self.always_away
                && touched.into_iter().any(|trial| trial < self.order.len() && !self.is_away(trial))
            {
                self.order.swap(one, other);
            }
        }
    }

    fn target(&self, trial: usize) -> Position {
        self.places[self.order[trial]]
    }

    fn start(&self, trial: usize) -> Position {
        match self.starts[trial] {
            Start::PreviousTarget => self.target(trial - 1),
            Start::At(position) => position,
        }
    }

    fn is_away(&self, trial: usize) -> bool {
        self.start(trial).distance(self.target(trial)) > self.tolerance
    }
}

/// The greatest side of the rectangle around all targets.
fn extent(targets: &[Position]) -> f64 {
    let side = |axis: usize| {
        let values = targets.iter().map(|target| target.0[axis]);
        values.clone().fold(f64::NEG_INFINITY, f64::max) - values.fold(f64::INFINITY, f64::min)
    };
    side(0).max(side(1)).max(0.0)
}

/// The place that the task goes back to between others, if it does: the most frequent, never shown twice in a row.
fn home(order: &[usize], places: usize) -> Option<usize> {
    let shown = |place: usize| order.iter().filter(|&&other| other == place).count();
    let most = (0..places).max_by_key(|&place| shown(place))?;
    let often = shown(most) as f64 >= HOME * order.len() as f64;
    let twice = order.windows(2).any(|pair| pair == [most, most]);
    (often && !twice).then_some(most)
}

/// For each target the round that it is in: the shortest rounds (the first and last may be cut short) that show every place
/// equally often, or one round of all. Those that show a place more than once have to be seen whole twice.
fn rounds(shown: &[usize], places: usize) -> Vec<Range<usize>> {
    let mut different = shown.to_vec();
    different.sort_unstable();
    different.dedup();
    for each in 1..=MOST_IN_A_ROUND {
        let length = each * different.len();
        if length >= shown.len() {
            break;
        }
        // from the first trial on, if that fits
        for first in (1..=length).rev() {
            let starts = (0..).map(|number| if number == 0 { 0 } else { first + (number - 1) * length });
            let cuts: Vec<usize> =
                starts.take_while(|&start| start < shown.len()).chain([shown.len()]).collect();
            let is_round = |cut: &[usize]| {
                let mut counts = vec![0; places];
                shown[cut[0]..cut[1]].iter().for_each(|&place| counts[place] += 1);
                counts.iter().all(|&count| count <= each)
            };
            let whole = cuts.windows(2).filter(|cut| cut[1] - cut[0] == length).count();
            if whole >= each.min(2) && cuts.windows(2).all(is_round) {
                let round =
                    |cut: &[usize]| core::iter::repeat_n(cut[0]..cut[1], cut[1] - cut[0]).collect::<Vec<_>>();
                return cuts.windows(2).flat_map(round).collect();
            }
        }
    }
    vec![0..shown.len(); shown.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nalgebra::DMatrix;
    use rand::SeedableRng as _;

    use super::super::trials::Trial;
    use super::*;

    /// Trials on a line, from one target to the next.
    fn order(targets: &[f64]) -> TargetOrder {
        let trial = |(at, x): (usize, &f64)| Trial {
            target: Position([*x, 0.0]),
            start: if at == 0 { Start::At(Position([-9.0, 0.0])) } else { Start::PreviousTarget },
            scored: true,
        };
        let trials = targets.iter().enumerate().map(trial).collect();
        TargetOrder::of(&Trials { trials, features: DMatrix::zeros(targets.len(), 1) })
    }

    /// How often each order comes.
    fn drawn(order: &TargetOrder, draws: usize) -> BTreeMap<Vec<usize>, usize> {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let mut counts = BTreeMap::new();
        for _ in 0..draws {
            let mut other = order.clone();
            (0..20).for_each(|_| other.rearrange(&mut generator));
            *counts.entry(other.order).or_default() += 1;
        }
        counts
    }

    #[test]
    fn targets_change_places_and_the_way_back_stays() {
        let order = order(&[1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0]);
        assert_eq!(order.free, [0, 2, 4, 6]);
        assert_eq!(order.count(), 24);
        let drawn = drawn(&order, 4800);
        assert_eq!(drawn.len(), 24);
        assert!(drawn.keys().all(|order| [1, 3, 5].into_iter().all(|trial| order[trial] == 1)));
        // 200 of each are expected, give or take 14
        assert!(drawn.values().all(|count| (140..=260).contains(count)), "{drawn:?}");
    }

    #[test]
    fn no_target_is_shown_twice_in_a_row_where_none_was() {
        let order = order(&[1.0, 2.0, 3.0, 2.0, 3.0, 2.0, 1.0, 3.0, 1.0]);
        let drawn = drawn(&order, 20_000);
        // 1680 orders of three times three, of which 174 have no two alike beside each other
        assert_eq!(drawn.len(), 174);
        let (least, most) = (drawn.values().min(), drawn.values().max());
        assert!(
            least.is_some_and(|least| *least > 60) && most.is_some_and(|most| *most < 180),
            "{least:?}, {most:?}"
        );
    }

    #[test]
    fn targets_change_places_within_their_round() {
        let order = order(&[1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 2.0, 0.0, 3.0, 0.0, 1.0, 0.0, 3.0, 0.0]);
        assert_eq!(order.rounds, [0..3, 0..3, 0..3, 3..6, 3..6, 3..6, 6..7]);
        assert_eq!(order.count(), 36);
        assert_eq!(drawn(&order, 2000).len(), 36);
    }

    #[test]
    fn rounds_may_show_a_place_more_than_once_and_begin_in_the_middle() {
        assert_eq!(rounds(&[0, 0, 1, 1, 1, 0, 1, 0], 2)[0], 0..4);
        assert_eq!(rounds(&[2, 0, 1, 2, 2, 1, 0], 3), [0..1, 1..4, 1..4, 1..4, 4..7, 4..7, 4..7]);
        assert_eq!(rounds(&[0, 0, 0, 0, 0, 1, 1], 2), vec![0..7; 7]);
    }

    #[test]
    fn directions_follow_from_the_order() {
        let order = order(&[1.0, 0.0, 2.0, 0.0]);
        assert_eq!(
            order.directions().collect::<Vec<_>>(),
            [[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]
        );
    }
}
