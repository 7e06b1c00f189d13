//! Figures over seeds: medians and shares, with intervals that assume nothing of how they are distributed.

use serde::Serialize;

/// What an interval does not hold on either side, at most.
const TAIL: f64 = 0.025;
/// The normal deviate that leaves so much above it.
const DEVIATE: f64 = 1.959_963_984_540_054;

/// The median of a figure over seeds, with the interval between two order statistics that holds the true one with 95 %
/// probability at least. A seed in which the figure was never reached counts as later than all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MedianInterval {
    /// The median; none where half of the seeds never got there.
    pub median: Option<f64>,
    /// Lower end; none of fewer than six seeds.
    pub low: Option<f64>,
    /// Upper end; none of fewer than six seeds, and where it was never reached.
    pub high: Option<f64>,
    /// Seeds.
    pub seeds: usize,
    /// Seeds that got there.
    pub reached: usize,
}

impl MedianInterval {
    /// Of one value a seed.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
        sorted.sort_by(f64::total_cmp);
        let finite = |value: f64| value.is_finite().then_some(value);
        let place = order_statistic(sorted.len());
        Self {
            median: middle(&sorted).and_then(finite),
            low: place.and_then(|place| finite(sorted[place])),
            high: place.and_then(|place| finite(sorted[sorted.len() - 1 - place])),
            seeds: sorted.len(),
            reached: sorted.iter().filter(|value| value.is_finite()).count(),
        }
    }
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]))
}

/// The place, from 0, of the lower end among so many sorted values: as many as a fair coin leaves below it no more often
/// than [`TAIL`].
fn order_statistic(count: usize) -> Option<usize> {
    let mut chance = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut below = 0.0;
    let mut place = None;
    for tosses in 0..count {
        below += chance;
        if below > TAIL {
            break;
        }
        place = Some(tosses);
        chance *= (count - tosses) as f64 / (tosses + 1) as f64;
    }
    place
}

/// In how many seeds something was so, with Wilson's score interval at 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShareInterval {
    /// Seeds in which it was so.
    pub count: usize,
    /// Seeds.
    pub seeds: usize,
    /// The part.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl ShareInterval {
    /// Of one answer a seed.
    #[must_use]
    pub fn of(answers: impl IntoIterator<Item = bool>) -> Self {
        let (count, seeds) =
            answers.into_iter().fold((0, 0), |(count, seeds), so| (count + usize::from(so), seeds + 1));
        if seeds == 0 {
            return Self { count, seeds, share: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, share) = (seeds as f64, count as f64 / seeds as f64);
        let square = DEVIATE * DEVIATE;
        let middle = share + square / (2.0 * n);
        let half = DEVIATE * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
        let scale = 1.0 + square / n;
        Self { count, seeds, share, low: (middle - half) / scale, high: (middle + half) / scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_those_of_the_tables_of_the_sign_test() {
        // one less than scipy.stats.binom.ppf(0.025, n, 0.5)
        for (count, place) in
            [(5, None), (6, Some(0)), (8, Some(0)), (9, Some(1)), (20, Some(5)), (50, Some(17))]
        {
            assert_eq!(order_statistic(count), place, "{count}");
        }
    }

    #[test]
    fn what_was_never_reached_is_later_than_everything() {
        let values = (1..=9).map(|value| (value < 9).then_some(f64::from(value)));
        let found = MedianInterval::of(values);
        assert_eq!((found.median, found.low, found.high), (Some(5.0), Some(2.0), Some(8.0)));
        assert_eq!((found.seeds, found.reached), (9, 8));
        let never = MedianInterval::of([None, None, Some(1.0)]);
        assert_eq!((never.median, never.low, never.reached), (None, None, 1));
    }

    #[test]
    fn shares_have_the_intervals_of_wilson() {
        // statsmodels: proportion_confint(count, n, method="wilson")
        let found = ShareInterval::of((0..50).map(|seed| seed < 49));
        assert!((found.low - 0.895_0).abs() < 5e-4 && (found.high - 0.996_5).abs() < 5e-4, "{found:?}");
        let none = ShareInterval::of((0..300).map(|_| false));
        assert!(none.low.abs() < 1e-12 && (none.high - 0.012_643).abs() < 5e-6, "{none:?}");
    }
}
