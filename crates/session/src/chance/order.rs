//! The order of targets, and the other orders in which the task could have shown them.
//!
//! Directions are not exchangeable between trials even where targets are: the way back to the centre is opposite to the way
//! out. So targets are rearranged, and directions follow from the new order.

use kalmind_types::Position;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::trials::{Start, Trials};

/// Targets in one order.
#[derive(Clone, Debug)]
pub(super) struct TargetOrder {
    targets: Vec<Position>,
    starts: Vec<Start>,
    /// The trial of each row of the read-out.
    scored: Vec<usize>,
    /// Trials among which targets may change places.
    strata: Vec<Vec<usize>>,
}

impl TargetOrder {
    pub(super) fn of(trials: &Trials) -> Self {
        let targets: Vec<Position> = trials.trials.iter().map(|trial| trial.target).collect();
        let starts: Vec<Start> = trials.trials.iter().map(|trial| trial.start).collect();
        let scored = trials
            .trials
            .iter()
            .enumerate()
            .filter(|(_, trial)| trial.scored.is_some())
            .map(|(at, _)| at)
            .collect();
        let home = home(&targets);
        let free: Vec<usize> = (0..targets.len()).filter(|&at| Some(targets[at]) != home).collect();
        Self { targets, starts, scored, strata: vec![free] }
    }

    /// How many orders there are, at most `u64::MAX`.
    pub(super) fn count(&self) -> u64 {
        let mut orders: u64 = 1;
        for stratum in &self.strata {
            let mut places: Vec<(Position, u64)> = Vec::new();
            for (number, &at) in stratum.iter().enumerate() {
                let target = self.targets[at];
                let count = match places.iter_mut().find(|(place, _)| *place == target) {
                    Some((_, count)) => {
                        *count += 1;
                        *count
                    }
                    None => {
                        places.push((target, 1));
                        1
                    }
                };
                orders = orders.saturating_mul(number as u64 + 1) / count;
            }
        }
        orders
    }

    /// The unit vector to the target in each scored trial; zero where there is no way to go.
    pub(super) fn directions(&self) -> Vec<[f64; 2]> {
        self.scored
            .iter()
            .map(|&at| {
                let start = match self.starts[at] {
                    Start::PreviousTarget => self.targets[at - 1],
                    Start::At(position) => position,
                };
                let [x, y] = start.to(self.targets[at]);
                let distance = x.hypot(y);
                if distance > 0.0 { [x / distance, y / distance] } else { [0.0; 2] }
            })
            .collect()
    }

    /// Another order, each as likely.
    pub(super) fn rearrange(&mut self, generator: &mut ChaCha8Rng) {
        for stratum in &self.strata {
            for number in (1..stratum.len()).rev() {
                let other = generator.random_range(0..=number);
                self.targets.swap(stratum[number], stratum[other]);
            }
        }
    }
}

/// The target that every other trial goes back to, if there is one.
fn home(targets: &[Position]) -> Option<Position> {
    [0, 1].into_iter().find_map(|first| {
        let home = *targets.get(first)?;
        let alternates =
            targets.iter().enumerate().all(|(at, target)| (at % 2 == first) == (*target == home));
        alternates.then_some(home)
    })
}
