//! How much of a training a budget has room for.

use super::{Budget, FitReport};

/// Part of what is left of a budget that a training may plan with.
const PLANNED: f64 = 0.85;

/// The networks, of which `held` again for each of the folds, and epochs that a budget has room for, fewer networks before
/// fewer epochs; at least one of each. `epoch` trains one network for one epoch, so that its time can be taken.
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
    let runs = (networks + super::windows::FOLDS * held) as f64;
    let planned = seconds * epochs as f64 * runs / rayon::current_num_threads() as f64;
    let left = PLANNED * budget.left();
    if planned <= left && left > 0.0 {
        return (networks, held, epochs);
    }
    report.budget_used_up = true;
    let part = if planned > 0.0 { left / planned } else { 0.0 };
    let fewer = |count: usize| ((count as f64 * part) as usize).max(1);
    let (networks, held) = (fewer(networks), fewer(held));
    let runs_left = (networks + super::windows::FOLDS * held) as f64;
    (networks, held, ((epochs as f64 * (part * runs / runs_left).min(1.0)) as usize).max(1))
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<f64> = const { Cell::new(0.0) };
    }

    fn plan(end: f64) -> ((usize, usize, usize), bool) {
        NOW.set(0.0);
        let mut report = FitReport::default();
        let budget = Budget { end, clock: || NOW.get() };
        let threads = rayon::current_num_threads() as f64;
        let plan = affordable(Some(&budget), (8, 4), 10, &mut report, || NOW.set(threads));
        (plan, report.budget_used_up)
    }

    #[test]
    fn a_budget_takes_networks_first_and_then_epochs() {
        // 28 networks of 10 epochs, each a second on all threads
        assert_eq!(plan(1e9), ((8, 4, 10), false));
        let ((networks, held, epochs), used_up) = plan(150.0);
        assert!(used_up && networks < 8 && held < 4 && epochs >= 9, "{networks} {held} {epochs}");
        assert_eq!(plan(1.5), ((1, 1, 1), true));
        assert_eq!(plan(0.0), ((1, 1, 1), true));
    }
}
