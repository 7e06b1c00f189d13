//! How much of a training a budget has room for.

use crate::{Budget, FitReport};

/// Part of what is left of a budget that a training may plan with.
const PLANNED: f64 = 0.85;

/// The networks, of which `held` again for each of the folds, and epochs that a budget has room for, fewer networks before
/// fewer epochs; at least one of each. `epoch` trains as many networks as there are threads for one epoch, side by side as
/// the training will, so that its time can be taken.
pub(crate) fn affordable(
    budget: Option<&Budget>,
    (networks, held): (usize, usize),
    epochs: usize,
    report: &mut FitReport,
    epoch: impl FnOnce(),
) -> (usize, usize, usize) {
    let Some(budget) = budget else { return (networks, held, epochs) };
    let before = (budget.clock)();
    if budget.left() > 0.0 {
        epoch();
    }
    let seconds = (budget.clock)() - before;
    let threads = rayon::current_num_threads();
    // one after the other, on all threads; a fold has four fifths of the rows
    let turns = |networks: usize, held: usize| {
        networks.div_ceil(threads) as f64 + (crate::windows::FOLDS - 1) as f64 * held.div_ceil(threads) as f64
    };
    let planned = seconds * epochs as f64 * turns(networks, held);
    let left = PLANNED * budget.left();
    if planned <= left && left > 0.0 {
        return (networks, held, epochs);
    }
    report.budget_used_up = true;
    let part = if planned > 0.0 { left / planned } else { 0.0 };
    let fewer = |count: usize| ((count as f64 * part) as usize).max(1);
    let (fewer_networks, fewer_held) = (fewer(networks), fewer(held));
    let part = part * turns(networks, held) / turns(fewer_networks, fewer_held);
    (fewer_networks, fewer_held, ((epochs as f64 * part.min(1.0)) as usize).max(1))
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static SECONDS: AtomicU64 = AtomicU64::new(0);

    /// On one thread, where an epoch takes a second.
    fn plan(end: f64) -> ((usize, usize, usize), bool) {
        SECONDS.store(0, Ordering::Relaxed);
        let mut report = FitReport::default();
        let budget = Budget { end, clock: || SECONDS.load(Ordering::Relaxed) as f64 };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let epoch = || {
            let _before = SECONDS.fetch_add(1, Ordering::Relaxed);
        };
        let plan = pool.install(|| affordable(Some(&budget), (8, 4), 10, &mut report, epoch));
        (plan, report.budget_used_up)
    }

    #[test]
    fn a_budget_takes_networks_first_and_then_epochs() {
        // 8 networks and four fifths of 5 x 4, of 10 epochs of a second
        assert_eq!(plan(1e9), ((8, 4, 10), false));
        let ((networks, held, epochs), used_up) = plan(150.0);
        assert!(used_up && networks < 8 && held < 4 && epochs >= 9, "{networks} {held} {epochs}");
        assert_eq!(plan(1.5), ((1, 1, 1), true));
        assert_eq!(plan(0.0), ((1, 1, 1), true));
    }
}
